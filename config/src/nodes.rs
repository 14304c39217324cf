//! The list of nodes: a file, or the output of a command, with one private address a line.
//!
//! A node's number (pnn) is its place in the list. A line that begins with `#` is a *deleted*
//! node: it keeps its place, so that the numbers behind it do not change. Blank lines have no
//! place (`ctdb_read_nodes_file`, 4.17.12; commands came later).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::str::FromStr;

use wire::Pnn;

use crate::cluster_lock::words;

/// One place of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeEntry {
    /// The place.
    pub pnn: Pnn,
    /// The private address; 0.0.0.0 for a deleted node, as it goes over the wire. The port is
    /// the service "ctdb", 4379.
    pub address: IpAddr,
    /// A place that is kept for a node that is gone.
    pub deleted: bool,
}

/// Where the list comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodesSource {
    /// A file.
    File(PathBuf),
    /// `!command arguments`, split at blanks without any quoting.
    Command(Vec<String>),
}

/// Why there is no list of nodes.
#[derive(Debug, thiserror::Error)]
pub enum NodesError {
    /// The file cannot be read.
    #[error("Failed to read nodes file \"{}\": {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The command cannot be run.
    #[error("Failed to run nodes command \"{command}\": {source}")]
    NotRun {
        /// The command.
        command: String,
        /// What the system says.
        source: io::Error,
    },
    /// The command failed, so its output is not to be trusted.
    #[error("nodes command \"{command}\" failed: {status}")]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// A line that is no address.
    #[error("{origin}:{line}: Invalid node address {text}")]
    Address {
        /// File or command.
        origin: String,
        /// Line number, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// An address that stands in the list twice.
    #[error("{origin}:{line}: node address {address} stands on line {earlier} already")]
    Duplicate {
        /// File or command.
        origin: String,
        /// Line number, from 1.
        line: usize,
        /// The address.
        address: IpAddr,
        /// Line number of the first.
        earlier: usize,
    },
}

impl FromStr for NodesSource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.strip_prefix('!') {
            Some(command) => Self::Command(words(command)),
            None => Self::File(text.into()),
        })
    }
}

impl NodesSource {
    /// Reads the list. A command runs to its end here, so not on the data path.
    ///
    /// # Errors
    /// See [`NodesError`].
    pub fn load(&self) -> Result<Vec<NodeEntry>, NodesError> {
        match self {
            Self::File(file) => {
                let text = fs::read(file).map_err(|source| NodesError::Unreadable {
                    file: file.clone(),
                    source,
                })?;
                parse(&String::from_utf8_lossy(&text), &file.display().to_string())
            }
            Self::Command(words) => run(words),
        }
    }
}

fn run(words: &[String]) -> Result<Vec<NodeEntry>, NodesError> {
    let command = words.join(" ");
    let program = words.first().map_or("", String::as_str);
    let output = Command::new(program)
        .args(words.iter().skip(1))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    match output {
        Err(source) => Err(NodesError::NotRun { command, source }),
        Ok(output) if !output.status.success() => Err(NodesError::Failed {
            command,
            status: output.status,
        }),
        Ok(output) => parse(&String::from_utf8_lossy(&output.stdout), &command),
    }
}

/// Reads the text of a list; `origin` is what complaints call it.
///
/// # Errors
/// [`NodesError::Address`] and [`NodesError::Duplicate`].
pub fn parse(text: &str, origin: &str) -> Result<Vec<NodeEntry>, NodesError> {
    let mut nodes = Vec::new();
    let mut lines_by_address = BTreeMap::new();
    let numbered = text.lines().map(str::trim).zip(1..);
    for ((text, line), pnn) in numbered.filter(|(text, _)| !text.is_empty()).zip(0..) {
        let origin = || origin.to_owned();
        let deleted = text.starts_with('#');
        let address = match text.parse::<IpAddr>() {
            _ if deleted => Ipv4Addr::UNSPECIFIED.into(),
            Ok(address) => address.to_canonical(),
            Err(_) => {
                let (origin, text) = (origin(), text.to_owned());
                return Err(NodesError::Address { origin, line, text });
            }
        };
        if !deleted && let Some(earlier) = lines_by_address.insert(address, line) {
            return Err(NodesError::Duplicate {
                origin: origin(),
                line,
                address,
                earlier,
            });
        }
        nodes.push(NodeEntry {
            pnn: Pnn(pnn),
            address,
            deleted,
        });
    }
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deleted_nodes_keep_their_number_and_blank_lines_have_none() {
        let nodes = parse(
            "10.0.0.1 \n\n#10.0.0.2\n\tfd00::3\n::ffff:10.0.0.4",
            "nodes",
        )
        .unwrap();
        let shown: Vec<_> = nodes
            .iter()
            .map(|n| (n.pnn.0, n.address.to_string(), n.deleted))
            .collect();
        assert_eq!(
            shown,
            [
                (0, "10.0.0.1".to_owned(), false),
                (1, "0.0.0.0".to_owned(), true),
                (2, "fd00::3".to_owned(), false),
                (3, "10.0.0.4".to_owned(), false),
            ]
        );
    }

    #[test]
    fn complaints_name_the_line() {
        let error = parse("10.0.0.1\n\n10.0.0.1:4379\n", "/etc/ctdb/nodes").unwrap_err();
        assert_eq!(
            error.to_string(),
            "/etc/ctdb/nodes:3: Invalid node address 10.0.0.1:4379"
        );
        let error = parse("10.0.0.1\n#\n10.0.0.1\n", "n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "n:3: node address 10.0.0.1 stands on line 1 already"
        );
        // two deleted places are no duplicates
        assert_eq!(parse("#\n#\n", "n").unwrap().len(), 2);
    }

    #[test]
    fn a_command_prints_the_list() {
        let source: NodesSource = "!/bin/echo  192.0.2.1".parse().unwrap();
        assert_eq!(source.load().unwrap()[0].address.to_string(), "192.0.2.1");
        let load = |text: &str| text.parse::<NodesSource>().unwrap().load();
        assert!(matches!(
            load("!/bin/false"),
            Err(NodesError::Failed { .. })
        ));
        assert!(matches!(load("!"), Err(NodesError::NotRun { .. })));
        assert!(matches!(
            load("/nonexistent/nodes"),
            Err(NodesError::Unreadable { .. })
        ));
    }
}
