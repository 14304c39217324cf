//! The sample configuration, made of the table of options.

use std::fmt::Write;

use config::OPTIONS;

/// A sample of the nodes file.
pub(super) const NODES: &str = "# One private address a line; the line's number, from 0, is the \
                                node's.\n# The same on all nodes.\n192.0.2.10\n192.0.2.11\n";

/// Every option with its default, commented out.
pub(super) fn ctdb_conf() -> String {
    let mut text = String::from("# Every option, with its default. See ctdb.conf(5).\n");
    let mut section = "";
    for option in OPTIONS {
        if option.section != section {
            section = option.section;
            put(&mut text, &format!("\n[{section}]\n"));
        }
        let default = option.default.unwrap_or_default();
        put(
            &mut text,
            &format!("\t# {}\n\t# {} = {default}\n", option.doc, option.name),
        );
    }
    text
}

fn put(text: &mut String, line: &str) {
    text.write_str(line).expect("a String takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_section_comes_once_and_each_option_is_commented_out() {
        let text = ctdb_conf();
        assert_eq!(text.matches("[cluster]").count(), 1);
        let option = |line: &&str| !line.is_empty() && !line.starts_with('[');
        assert!(
            text.lines()
                .filter(option)
                .all(|line| line.trim_start().starts_with('#'))
        );
    }
}
