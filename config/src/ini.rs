//! The line syntax that `ctdb.conf` and `ctdb.tunables` share (`lib/util/tini.c`, 4.17.12).
//!
//! Lines that begin with `#` or `;` are comments, a backslash at the end of a line continues it,
//! and runs of white space count as one space, inside values too. A comment behind a value is
//! part of the value.

/// One logical line and the number, from 1, of the physical line it began on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) item: Item,
}

/// What a logical line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// `[name]`; what stands behind the bracket is ignored.
    Section(String),
    /// `name = value`; the value may be empty.
    Param { name: String, value: String },
    /// A line without `=`.
    Bare(String),
    /// No closing bracket, nothing before the `=`, a NUL, or not UTF-8.
    Malformed,
}

/// Splits a file into its logical lines; blank lines and comments are gone.
pub(crate) fn parse(text: &[u8]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut physical = text.split(|&b| b == b'\n').enumerate().peekable();
    while let Some((index, first)) = physical.next() {
        let first = first.trim_ascii_start();
        if first.is_empty() || first[0] == b'#' || first[0] == b';' {
            continue;
        }
        let mut logical = Vec::new();
        squeeze_onto(&mut logical, first);
        while let Some((_, part)) = physical.next_if(|_| strip_continuation(&mut logical)) {
            squeeze_onto(&mut logical, part);
        }
        let item = classify(&logical);
        let number = index + 1;
        lines.push(Line { number, item });
    }
    lines
}

/// Appends `part` with each run of white space shortened to its first character.
fn squeeze_onto(line: &mut Vec<u8>, part: &[u8]) {
    for &byte in part {
        let run = byte.is_ascii_whitespace() && line.last().is_some_and(u8::is_ascii_whitespace);
        if !run {
            line.push(byte);
        }
    }
}

/// Takes a backslash, and one blank behind it, off the end; tells whether there was one.
fn strip_continuation(line: &mut Vec<u8>) -> bool {
    let kept = match line.as_slice() {
        [kept @ .., b'\\'] => kept.len(),
        [kept @ .., b'\\', last] if last.is_ascii_whitespace() => kept.len(),
        _ => return false,
    };
    line.truncate(kept);
    true
}

fn classify(line: &[u8]) -> Item {
    let text = match str::from_utf8(line) {
        Ok(text) if !text.contains('\0') => text,
        _ => return Item::Malformed,
    };
    if let Some(rest) = text.strip_prefix('[') {
        return match rest.split_once(']') {
            Some((name, _)) => Item::Section(name.to_owned()),
            None => Item::Malformed,
        };
    }
    match text.split_once('=') {
        Some((name, _)) if name.trim().is_empty() => Item::Malformed,
        Some((name, value)) => Item::Param {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
        },
        None => Item::Bare(text.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(number: usize, name: &str, value: &str) -> Line {
        let (name, value) = (name.to_owned(), value.to_owned());
        Line {
            number,
            item: Item::Param { name, value },
        }
    }

    #[test]
    fn comments_blanks_and_squeezing() {
        let text = b"# one\n\n ; two\n\t a  key\t = x   y # z \r\n[sec] tail\n";
        let section = Item::Section("sec".into());
        assert_eq!(
            parse(text),
            [
                param(4, "a key", "x y # z"),
                Line {
                    number: 5,
                    item: section
                }
            ]
        );
    }

    #[test]
    fn continuation_lines() {
        assert_eq!(
            parse(b"a = 1 \\\n   2\\ \n3\nb = 4\\"),
            [param(1, "a", "1 23"), param(4, "b", "4\\")]
        );
        // a comment line is never continued
        assert_eq!(parse(b"# c \\\na = 1"), [param(2, "a", "1")]);
    }

    #[test]
    fn malformed_lines() {
        for text in [&b"[open"[..], b"= 5", b" = 5", b"a = \xff", b"a = \0b"] {
            assert_eq!(parse(text)[0].item, Item::Malformed, "{text:?}");
        }
        assert_eq!(parse(b"word only")[0].item, Item::Bare("word only".into()));
        assert_eq!(parse(b"a ="), [param(1, "a", "")]);
    }
}
