//! Numbers as C's `strtoul` with base 0 reads them: decimal, `0x` hexadecimal, `0` octal.

/// The number that `text` begins with, and what stands behind it. `None` if there is no digit or
/// the number does not fit.
pub(crate) fn leading(text: &str) -> Option<(u64, &str)> {
    let text = text.trim_start();
    let text = text.strip_prefix('+').unwrap_or(text);
    let hex = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_hexdigit()));
    let (digits, radix) = match hex {
        Some(rest) => (rest, 16),
        None if text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    let end = digits
        .find(|c: char| !c.is_digit(radix))
        .unwrap_or(digits.len());
    let (number, rest) = digits.split_at(end);
    Some((u64::from_str_radix(number, radix).ok()?, rest))
}

/// The number that the whole of `text` is.
pub(crate) fn whole(text: &str) -> Option<u64> {
    leading(text).and_then(|(number, rest)| rest.is_empty().then_some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_and_remainders() {
        assert_eq!(leading("10"), Some((10, "")));
        assert_eq!(leading("0x1fz"), Some((31, "z")));
        assert_eq!(leading("072"), Some((58, "")));
        assert_eq!(leading("0"), Some((0, "")));
        assert_eq!(leading("09"), Some((0, "9")));
        assert_eq!(leading("0xgg"), Some((0, "xgg")));
        assert_eq!(leading("5s"), Some((5, "s")));
        assert_eq!(leading("-5"), None);
        assert_eq!(leading("abc"), None);
        assert_eq!(leading("99999999999999999999999"), None);
        assert_eq!(whole("5s"), None);
        assert_eq!(whole("+7"), Some(7));
    }
}
