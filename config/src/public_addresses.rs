//! The file of public addresses: on each line an address with the length of its network mask, and
//! the interfaces that it can be on.
//!
//! ```text
//! 192.0.2.100/24 eth1
//! 2001:db8::100/64 eth1,eth2
//! ```
//!
//! A line that begins with `#` says nothing, nor does what stands behind the interfaces
//! (`ctdb_set_public_addresses`, 4.17.12). Nodes may have different files: an address that is not
//! in a node's file is never on that node.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicAddress {
    /// The address; IPv4 as such, never mapped into IPv6.
    pub address: IpAddr,
    /// How many bits of it are the network's.
    pub mask: u8,
    /// The interfaces that it can be on, in the order of the line, at least one.
    pub interfaces: Vec<String>,
}

/// What is wrong with the file. Line numbers count from 1.
#[derive(Debug, thiserror::Error)]
pub enum PublicAddressesError {
    /// It is there and cannot be read.
    #[error("Failed to load public address list '{}': {source}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line with an address alone.
    #[error("{file}: No interface specified at line {line} of public addresses file")]
    NoInterface {
        /// Which file.
        file: String,
        /// Line number.
        line: usize,
    },
    /// What stands first is no address with a mask.
    #[error("{file}: Badly formed line {line} in public address list: {text} is no address/mask")]
    Address {
        /// Which file.
        file: String,
        /// Line number.
        line: usize,
        /// What stands first.
        text: String,
    },
    /// An address that stands in the file twice.
    #[error("{file}: Duplicate public IP address '{address}' at line {line}")]
    Duplicate {
        /// Which file.
        file: String,
        /// Line number of the second.
        line: usize,
        /// The address.
        address: IpAddr,
    },
}

/// Reads the file; none if there is no such file.
///
/// # Errors
/// [`PublicAddressesError`]
pub fn load(file: &Path) -> Result<Option<Vec<PublicAddress>>, PublicAddressesError> {
    match fs::read(file) {
        Ok(text) => {
            let name = file.display().to_string();
            parse(&String::from_utf8_lossy(&text), &name).map(Some)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PublicAddressesError::Unreadable {
            file: file.to_owned(),
            source,
        }),
    }
}

/// Reads the text of a file; complaints call it `file`.
///
/// # Errors
/// All of [`PublicAddressesError`] but that it cannot be read.
pub fn parse(text: &str, file: &str) -> Result<Vec<PublicAddress>, PublicAddressesError> {
    let mut found: Vec<PublicAddress> = Vec::new();
    let lines = text.lines().map(str::trim).zip(1..);
    for (text, line) in lines.filter(|(text, _)| !text.is_empty() && !text.starts_with('#')) {
        let entry = parse_line(text, file, line)?;
        if found.iter().any(|other| other.address == entry.address) {
            return Err(PublicAddressesError::Duplicate {
                file: file.to_owned(),
                line,
                address: entry.address,
            });
        }
        found.push(entry);
    }
    Ok(found)
}

fn parse_line(text: &str, file: &str, line: usize) -> Result<PublicAddress, PublicAddressesError> {
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    let interfaces: Vec<String> = words.next().map(interface_names).unwrap_or_default();
    if interfaces.is_empty() {
        let file = file.to_owned();
        return Err(PublicAddressesError::NoInterface { file, line });
    }
    let Some((address, mask)) = address_and_mask(first) else {
        return Err(PublicAddressesError::Address {
            file: file.to_owned(),
            line,
            text: first.to_owned(),
        });
    };
    Ok(PublicAddress {
        address,
        mask,
        interfaces,
    })
}

/// The names between the commas; nothing between two commas is no name.
#[must_use]
pub fn interface_names(text: &str) -> Vec<String> {
    let names = text.split(',').filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// An address, and a mask that it can have.
fn address_and_mask(text: &str) -> Option<(IpAddr, u8)> {
    let (address, mask) = text.rsplit_once('/')?;
    let address = address.parse::<IpAddr>().ok()?.to_canonical();
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let digits = !mask.is_empty() && mask.bytes().all(|byte| byte.is_ascii_digit());
    let mask = mask
        .parse()
        .ok()
        .filter(|&mask| digits && mask <= longest)?;
    Some((address, mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_an_address_a_mask_and_interfaces() {
        let text =
            "\n# none\n 192.0.2.1/24\teth0,,eth1 more\n::ffff:192.0.2.2/32 eth0\nfd00::1/64 e\n";
        let found = parse(text, "public_addresses").unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|entry| format!("{}/{} {:?}", entry.address, entry.mask, entry.interfaces))
            .collect();
        assert_eq!(
            shown,
            [
                r#"192.0.2.1/24 ["eth0", "eth1"]"#,
                r#"192.0.2.2/32 ["eth0"]"#,
                r#"fd00::1/64 ["e"]"#
            ]
        );
    }

    #[test]
    fn complaints_name_the_line() {
        let complaint = |text: &str| parse(text, "f").unwrap_err().to_string();
        assert_eq!(
            complaint("#\n192.0.2.1/24\n"),
            "f: No interface specified at line 2 of public addresses file"
        );
        assert_eq!(
            complaint("192.0.2.1/24 ,\n"),
            "f: No interface specified at line 1 of public addresses file"
        );
        for bad in [
            "192.0.2.1",
            "192.0.2.1/",
            "192.0.2.1/33",
            "192.0.2.1/+8",
            "x/8",
            "fd00::1/129",
        ] {
            assert_eq!(
                complaint(&format!("{bad} eth0")),
                format!("f: Badly formed line 1 in public address list: {bad} is no address/mask")
            );
        }
        assert_eq!(
            complaint("192.0.2.1/24 eth0\n::ffff:192.0.2.1/24 eth1"),
            "f: Duplicate public IP address '192.0.2.1' at line 2"
        );
    }

    #[test]
    fn no_file_is_no_error() {
        assert!(
            load(Path::new("/nonexistent/public_addresses"))
                .unwrap()
                .is_none()
        );
        assert!(load(Path::new("/")).is_err());
    }
}
