//! docs/wire.md: the parts of it that are made of the tables in `wire/`, between marks.

mod samples;
mod tables;

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::step::step;

/// The page that is written partly by hand.
pub(crate) const FILE: &str = "docs/wire.md";

/// What makes a part.
type Part = fn() -> Result<String>;

/// The parts that are made, by the names in their marks.
const PARTS: [(&str, Part); 7] = [
    ("packets", || Ok(tables::group("Packets"))),
    ("numbers", || Ok(tables::numbers())),
    ("types", || Ok(tables::groups())),
    ("controls", || Ok(tables::controls())),
    ("messages", || Ok(tables::messages())),
    ("dialects", || Ok(tables::dialects())),
    ("samples", samples::table),
];

/// Writes the page, or says whether it is current.
pub(crate) fn run(check: bool) -> Result<bool> {
    let old = fs::read_to_string(FILE).context(FILE)?;
    let new = text(&old)?;
    if check {
        step(if old == new {
            "docs/wire.md is current"
        } else {
            "docs/wire.md is not current"
        });
        return Ok(old == new);
    }
    step("writing docs/wire.md");
    fs::write(FILE, new).context(FILE)?;
    Ok(true)
}

/// The page with the made parts as they should be.
pub(crate) fn text(page: &str) -> Result<String> {
    PARTS
        .iter()
        .try_fold(page.to_owned(), |page, (name, part)| {
            replace(&page, name, &part()?)
        })
}

/// The page with the text between a part's marks replaced.
fn replace(page: &str, name: &str, part: &str) -> Result<String> {
    let (begin, end) = (
        format!("<!-- made by `cargo xtask wire`: {name} -->\n"),
        format!("<!-- end of {name} -->"),
    );
    let (before, rest) = page
        .split_once(&begin)
        .with_context(|| format!("no mark where {name} begins"))?;
    let (_, after) = rest
        .split_once(&end)
        .with_context(|| format!("no mark where {name} ends"))?;
    ensure!(!after.contains(&begin), "{name} is there twice");
    Ok(format!("{before}{begin}\n{}\n\n{end}{after}", part.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let page = "a\n<!-- made by `cargo xtask wire`: x -->\nold\n<!-- end of x -->\nb\n";
        let new = replace(page, "x", "new").unwrap();
        assert_eq!(
            new,
            "a\n<!-- made by `cargo xtask wire`: x -->\n\nnew\n\n<!-- end of x -->\nb\n"
        );
        assert_eq!(replace(&new, "x", "new").unwrap(), new);
        assert!(replace(page, "y", "new").is_err());
    }
}
