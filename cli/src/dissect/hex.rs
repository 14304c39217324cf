//! Hexadecimal digits: `golden/*.hex`, what xxd and tcpdump -x write, or digits alone.

use anyhow::{Context, Result, ensure};

use super::Chunk;

/// A chunk for each paragraph that has digits.
pub(super) fn read(text: &str) -> Result<Vec<Chunk>> {
    let mut chunks = Vec::new();
    for (number, paragraph) in text.replace("\r\n", "\n").split("\n\n").enumerate() {
        let bytes: Vec<u8> = paragraph
            .lines()
            .map(|line| line_bytes(line).with_context(|| format!("{line:?}")))
            .collect::<Result<Vec<_>>>()?
            .concat();
        if !bytes.is_empty() {
            chunks.push(Chunk {
                time: None,
                stream: format!("#{number}"),
                bytes,
                gap: false,
            });
        }
    }
    Ok(chunks)
}

/// Nothing for a comment or a title. An offset with a colon in front, and the text that xxd puts
/// behind two blanks, are not bytes.
fn line_bytes(line: &str) -> Result<Vec<u8>> {
    let line = line.trim();
    let line = match line.split_once(':') {
        Some((offset, rest)) if is_hex(offset.trim_start_matches("0x")) => rest.trim_start(),
        _ => line,
    };
    let words: Vec<&str> = line
        .split("  ")
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    if line.starts_with('#') || !words.iter().all(|word| is_hex(word)) {
        return Ok(Vec::new());
    }
    let digits: Vec<u8> = words.concat().into_bytes();
    ensure!(digits.len().is_multiple_of(2), "half a byte");
    let nibble = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
    Ok(digits
        .chunks(2)
        .map(|pair| nibble(pair[0]) << 4 | nibble(pair[1]))
        .collect())
}

fn is_hex(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_offsets_and_texts_are_left_out() {
        let text = "# a comment\nREQ_CALL\n0102 03\n\n00000000: 4041 42ff  @AB.\n";
        let chunks = read(text).unwrap();
        let bytes: Vec<_> = chunks.into_iter().map(|chunk| chunk.bytes).collect();
        assert_eq!(bytes, [vec![1, 2, 3], vec![0x40, 0x41, 0x42, 0xff]]);
        assert!(read("012").is_err());
    }
}
