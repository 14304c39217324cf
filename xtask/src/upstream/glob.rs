//! Names with `*`.

/// Whether a name fits a pattern, where `*` is any text and all else itself.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|at| rest.is_char_boundary(*at))
                .any(|at| fits(tail, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_is_any_text() {
        for pattern in ["*", "a.b", "a*", "*b", "a*b", "*.*", "**"] {
            assert!(fits(pattern, "a.b"), "{pattern}");
        }
        for pattern in ["", "a", "b*", "*a", "a*a"] {
            assert!(!fits(pattern, "a.b"), "{pattern}");
        }
    }
}
