//! The page: a summary first, then a table for each kind of thing.

use std::fmt::Write;

use super::coverage::{Coverage, Line};

/// The page as it grows.
#[derive(Default)]
pub(super) struct Page {
    summary: String,
    tables: String,
}

impl Page {
    /// A table of what is written down as it is.
    pub(super) fn section(&mut self, title: &str, about: &str, lines: &[Line]) {
        let lines: Vec<_> = lines
            .iter()
            .map(|(name, known)| ((*name).to_owned(), *known))
            .collect();
        self.add(title, about, &lines);
    }

    /// A table, and its line of the summary.
    pub(super) fn add(&mut self, title: &str, about: &str, lines: &[(String, Coverage)]) {
        self.count(title, lines.iter().map(|(_, known)| known));
        let headings = "| | there | tested by, or why not |\n|---|---|---|\n";
        put(
            &mut self.tables,
            &format!("\n## {title}\n\n{about}\n\n{headings}"),
        );
        for (name, known) in lines {
            let (there, why) = known.words();
            put(&mut self.tables, &format!("| {name} | {there} | {why} |\n"));
        }
    }

    /// The same for things of which it is told what they do.
    pub(super) fn add_with_effect(
        &mut self,
        title: &str,
        about: &str,
        lines: &[(String, &str, Coverage)],
    ) {
        self.count(title, lines.iter().map(|(_, _, known)| known));
        let headings = "| | what it does | there | tested by, or why not |\n|---|---|---|---|\n";
        put(
            &mut self.tables,
            &format!("\n## {title}\n\n{about}\n\n{headings}"),
        );
        for (name, effect, known) in lines {
            let (there, why) = known.words();
            put(
                &mut self.tables,
                &format!("| {name} | {effect} | {there} | {why} |\n"),
            );
        }
    }

    /// A table of symbols and the programs that test each; `counted` if they are upstream's.
    pub(super) fn symbols(
        &mut self,
        title: &str,
        about: &str,
        lines: &[(String, Vec<String>)],
        counted: bool,
    ) {
        let there = lines.len();
        let tested = lines.iter().filter(|(_, by)| !by.is_empty()).count();
        let upstream = if counted { there } else { 0 };
        put(
            &mut self.summary,
            &format!("| {title} | {upstream} | {there} | {tested} |\n"),
        );
        put(
            &mut self.tables,
            &format!("\n## {title}\n\n{about}\n\n| | tested by |\n|---|---|\n"),
        );
        for (name, by) in lines {
            let by = match by.is_empty() {
                true => "no test of its own".to_owned(),
                false => by.join(", "),
            };
            put(&mut self.tables, &format!("| {name} | {by} |\n"));
        }
    }

    fn count<'a>(&mut self, title: &str, lines: impl Iterator<Item = &'a Coverage> + Clone) {
        let count = |of: fn(&Coverage) -> bool| lines.clone().filter(|known| of(known)).count();
        let live = count(|known| !matches!(known, Coverage::Retired | Coverage::Kept(_)));
        let tested = count(|known| matches!(known, Coverage::Tested(_)));
        let there = tested + count(|known| matches!(known, Coverage::There(_)));
        put(
            &mut self.summary,
            &format!("| {title} | {live} | {there} | {tested} |\n"),
        );
    }

    /// The whole text.
    pub(super) fn finish(self) -> String {
        format!(
            "# What is there\n\nMade by `cargo xtask compat` of the tables in the code; do not edit. \
             What upstream itself has\nretired is listed, but not counted.\n\n\
             | | upstream has | there | tested |\n|---|---|---|---|\n{}{}",
            self.summary, self.tables
        )
    }
}

impl Coverage {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Tested(by) => ("yes", by),
            Self::There(why) => (
                "yes",
                if why.is_empty() {
                    "no test of its own"
                } else {
                    why
                },
            ),
            Self::NotYet(why) => ("no", if why.is_empty() { "not yet" } else { why }),
            Self::Retired => ("retired", "by upstream"),
            Self::Kept(by) => ("kept", by),
        }
    }
}

fn put(text: &mut String, line: &str) {
    text.write_str(line).expect("a String takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_retired_is_not_counted() {
        let mut page = Page::default();
        let lines = [
            ("a", Coverage::Tested("x")),
            ("b", Coverage::There("")),
            ("c", Coverage::NotYet("")),
            ("d", Coverage::Retired),
            ("e", Coverage::Kept("")),
        ];
        page.section("Things", "About.", &lines);
        assert!(page.finish().contains("| Things | 3 | 2 | 1 |"));
    }
}
