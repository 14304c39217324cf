//! Calls on names: to list a directory, and to give a file another name.

use anyhow::{Context, Result, ensure};

use super::fields::{Fields, u16_at, u32_at, utf16};
use super::{Command, Connection, FileId, HEADER, Open, Status};

/// FileRenameInformation ([MS-FSCC] 2.4.37).
const RENAME: u8 = 10;
/// FileNamesInformation ([MS-FSCC] 2.4.28): a name an entry, and nothing else.
const NAMES: u8 = 12;
/// Where the variable part of both requests begins: the header and 32 bytes.
const VARIABLE: u16 = 96;
/// The longest part of a list that is taken in at once, in bytes.
const PART: u32 = 65_536;

impl Connection {
    /// Makes a directory, if it is not there.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn make_directory(&mut self, name: &str) -> Result<()> {
        let directory = self.must_open(&Open::directory(name))?.file;
        self.close(directory)?.expect(Status::OK)
    }

    /// The names in a directory but for `.` and `..`, in the server's order.
    ///
    /// # Errors
    /// No answer, a refusal, or an answer that makes no sense.
    pub fn list(&mut self, name: &str) -> Result<Vec<String>> {
        let directory = self.must_open(&Open::directory(name))?.file;
        let mut names = Vec::new();
        loop {
            let reply = self.call(Command::QueryDirectory, list_body(directory))?;
            match reply.status {
                Status::OK => names.extend(decode_names(&reply.packet)?),
                Status::NO_MORE_FILES => break,
                refused => refused.expect(Status::OK)?,
            }
        }
        self.close(directory)?.expect(Status::OK)?;
        names.retain(|name| name != "." && name != "..");
        Ok(names)
    }

    /// Gives a file another name, which no file may have.
    ///
    /// # Errors
    /// No answer, or the file does not open.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<Status> {
        let file = self.must_open(&Open::renaming(from))?.file;
        let name = utf16(to);
        let information = Fields::default()
            .u64(0)
            .u64(0)
            .len32(name.len())
            .bytes(&name);
        let body = Fields::default()
            .u16(33)
            .u8(1)
            .u8(RENAME)
            .len32(information.0.len())
            .u16(VARIABLE)
            .u16(0)
            .u32(0)
            .bytes(&file.0)
            .bytes(&information.0);
        let status = self.call(Command::SetInfo, body)?.status;
        self.close(file)?.expect(Status::OK)?;
        Ok(status)
    }
}

fn list_body(directory: FileId) -> Fields {
    let pattern = utf16("*");
    let body = Fields::default().u16(33).u8(NAMES).u8(0).u32(0);
    body.bytes(&directory.0)
        .u16(VARIABLE)
        .len16(pattern.len())
        .u32(PART)
        .bytes(&pattern)
}

/// The entries of one answer; each says how far the next one is, the last one 0.
fn decode_names(packet: &[u8]) -> Result<Vec<String>> {
    let start = usize::from(u16_at(packet, HEADER + 2)?);
    let length = u32_at(packet, HEADER + 4)? as usize;
    let mut entries = start
        .checked_add(length)
        .and_then(|end| packet.get(start..end))
        .context("a list that is not there")?;
    let mut names = Vec::new();
    loop {
        let next = u32_at(entries, 0)? as usize;
        let length = u32_at(entries, 8)? as usize;
        let name = length.checked_add(12).and_then(|end| entries.get(12..end));
        names.push(text(name.context("a name that is not there")?));
        if next == 0 {
            return Ok(names);
        }
        ensure!(next >= 12, "entries of {next} bytes");
        entries = entries.get(next..).context("an entry that is not there")?;
    }
}

fn text(name: &[u8]) -> String {
    let units = name.chunks_exact(2);
    let units: Vec<_> = units
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(entries: &[u8]) -> Vec<u8> {
        let body = Fields::default().u16(9).u16(72).len32(entries.len());
        [&[0; HEADER], &*body.0, entries].concat()
    }

    fn entry(next: u32, name: &str) -> Vec<u8> {
        let name = utf16(name);
        Fields::default()
            .u32(next)
            .u32(0)
            .len32(name.len())
            .bytes(&name)
            .0
    }

    #[test]
    fn a_list_has_all_names() {
        let entries = [entry(16, "ab"), entry(0, "c")].concat();
        assert_eq!(decode_names(&answer(&entries)).unwrap(), ["ab", "c"]);
    }

    #[test]
    fn a_list_that_lies_is_an_error() {
        for entries in [entry(1, "ab"), entry(4000, "ab"), vec![0; 11]] {
            decode_names(&answer(&entries)).unwrap_err();
        }
    }
}
