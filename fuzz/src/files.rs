//! What is read from files.

use std::path::Path;

use cli::dissect::{self, Protocol, Streams, Style};
use config::{Config, nodes as nodes_file, public_addresses as addresses_file, tunables_file};
use wire::backup::Backup;
use wire::tunables::Tunables;

/// A backup is checked, and its count agrees with what is in it.
pub(crate) fn backup(bytes: &[u8]) {
    let Ok(backup) = Backup::new(bytes) else {
        return;
    };
    if let Ok(found) = backup.check() {
        assert_eq!(found, backup.header.nrec);
    }
}

/// What is understood can be written and understood again.
pub(crate) fn ctdb_conf(bytes: &[u8]) {
    let file = Path::new("ctdb.conf");
    let (config, diagnostics) = Config::parse(file, bytes);
    let _ = config.dump();
    diagnostics
        .iter()
        .for_each(|diagnostic| drop((diagnostic.to_string(), diagnostic.c_lines())));
}

/// Nodes are numbered by their lines.
pub(crate) fn nodes(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(nodes) = nodes_file::parse(text, "nodes")
    {
        assert!(nodes.len() <= text.lines().count());
    }
}

/// Addresses differ, and each can be somewhere.
pub(crate) fn public_addresses(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(found) = addresses_file::parse(text, "public_addresses")
    {
        let mut addresses: Vec<_> = found.iter().map(|entry| entry.address).collect();
        addresses.sort_unstable();
        assert!(addresses.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(found.iter().all(|entry| !entry.interfaces.is_empty()));
    }
}

/// A file of tunables.
pub(crate) fn tunables(bytes: &[u8]) {
    let mut tunables = Tunables::default();
    let diagnostics = tunables_file::apply(Path::new("ctdb.tunables"), bytes, &mut tunables);
    diagnostics
        .iter()
        .for_each(|diagnostic| drop(diagnostic.to_string()));
}

/// A capture, printed in each style.
pub(crate) fn capture(bytes: &[u8]) {
    let Ok(chunks) = dissect::read(dissect::guess(bytes), bytes, 4379) else {
        return;
    };
    for protocol in [Protocol::Ctdb, Protocol::Event] {
        let mut streams = Streams::new(protocol);
        for chunk in chunks.clone() {
            streams.take(chunk, |seen| {
                for style in [Style::Line, Style::Full, Style::Json] {
                    dissect::print(&seen, style);
                }
            });
        }
    }
}
