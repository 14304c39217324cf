//! What `ctdb dumpmemory` and `rddumpmemory` print: the form of C's talloc report, which scripts know.

use core::fmt;

/// What a daemon keeps, part by part. Sizes are those of the entries themselves, without what these point at.
#[derive(Debug, Clone)]
pub struct MemoryReport {
    title: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
struct Part {
    name: String,
    bytes: usize,
    blocks: usize,
}

impl MemoryReport {
    /// A report without parts; the title says of what.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            parts: Vec::new(),
        }
    }

    /// Adds a part that is `count` entries of type `T`.
    #[must_use]
    pub fn part<T>(mut self, name: impl Into<String>, count: usize) -> Self {
        self.parts.push(Part {
            name: name.into(),
            bytes: size_of::<T>().saturating_mul(count),
            blocks: count,
        });
        self
    }

    /// The bytes of all parts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let bytes = self.parts.iter().map(|part| part.bytes);
        bytes.fold(0, usize::saturating_add)
    }
}

impl fmt::Display for MemoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes();
        let blocks: usize = self.parts.iter().map(|part| part.blocks).sum();
        let title = &self.title;
        writeln!(
            f,
            "full talloc report on '{title}' (total {bytes:6} bytes in {blocks} blocks)"
        )?;
        for part in &self.parts {
            writeln!(
                f,
                "    {:<30} contains {:6} bytes in {:3} blocks (ref 0) 0x0",
                part.name, part.bytes, part.blocks
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_tallocs() {
        let report = MemoryReport::new("ctdbd")
            .part::<u64>("clients", 3)
            .part::<u8>("databases", 200_000);
        assert_eq!(
            report.to_string(),
            "full talloc report on 'ctdbd' (total 200024 bytes in 200003 blocks)\n    \
             clients                        contains     24 bytes in   3 blocks (ref 0) 0x0\n    \
             databases                      contains 200000 bytes in 200000 blocks (ref 0) 0x0\n"
        );
    }
}
