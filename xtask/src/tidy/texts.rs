//! Texts: not too long, and with nothing in them that belongs to one machine.

use anyhow::Result;

use super::{Findings, Project};

/// The longest file of code, in lines.
const LONGEST: usize = 800;
/// What no file should have, and why. This file has them in two halves.
const UNWANTED: [(&str, &str); 9] = [
    (concat!("#[", "allow("), "use expect with a reason"),
    (concat!("#![", "allow("), "use expect with a reason"),
    (concat!("TO", "DO"), "say it in an issue, or do it"),
    (concat!("FIX", "ME"), "say it in an issue, or do it"),
    (concat!("../", "shared"), "is outside of the project"),
    (concat!("/", "work/"), "is a path of one machine"),
    (concat!("/", "home/"), "is a path of one machine"),
    (concat!("/", "root/"), "is a path of one machine"),
    (concat!("/", "Users/"), "is a path of one machine"),
];
/// Hosts that a file may name.
const HOSTS: [&str; 12] = [
    "bugzilla.samba.org",
    "crates.io",
    "ctdb.samba.org",
    "doc.rust-lang.org",
    "fsf.org",
    "git.samba.org",
    "github.com",
    "keepachangelog.com",
    "rustup.rs",
    "wiki.samba.org",
    "www.gnu.org",
    // the name of SVG, not a place
    "www.w3.org",
];

pub(super) fn sizes(project: &Project, findings: &mut Findings) -> Result<()> {
    for file in project.rust() {
        let lines = file.content.lines().count();
        if lines > LONGEST {
            findings.add(&file.path, &format!("{lines} lines, the most is {LONGEST}"));
        }
    }
    Ok(())
}

pub(super) fn words(project: &Project, findings: &mut Findings) -> Result<()> {
    for file in &project.files {
        for (number, line) in file.content.lines().enumerate() {
            for (_, why) in UNWANTED.iter().filter(|(word, _)| line.contains(word)) {
                findings.add(
                    &file.path,
                    &format!("line {}: {why}: {}", number + 1, line.trim()),
                );
            }
        }
    }
    Ok(())
}

/// A registry's mirror in Cargo.lock shows here, and so does a link to somebody's machine.
pub(super) fn links(project: &Project, findings: &mut Findings) -> Result<()> {
    let licence = |path: &std::path::Path| path.starts_with("LICENSES");
    for file in project.files.iter().filter(|file| !licence(&file.path)) {
        for (at, _) in file.content.match_indices("://") {
            let host: String = file.content[at + 3..].chars().take_while(is_host).collect();
            let named = host.contains('.') && host.chars().any(char::is_alphabetic);
            if named && !HOSTS.contains(&host.trim_end_matches('.')) {
                findings.add(&file.path, &format!("names the host {host}"));
            }
        }
    }
    Ok(())
}

fn is_host(c: &char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_with_their_line() {
        let project = Project::of("a.rs", concat!("fine\n// TO", "DO later\n"));
        assert!(project.findings(words)[0].starts_with("a.rs: line 2:"));
    }

    #[test]
    fn strange_hosts_are_found_and_known_ones_are_not() {
        let strange = concat!("source = \"sparse+https:/", "/mirror.example.net/index\"");
        assert_eq!(Project::of("Cargo.lock", strange).findings(links).len(), 1);
        let known = "https://github.com/rust-lang/crates.io-index";
        assert_eq!(Project::of("Cargo.lock", known).findings(links).len(), 0);
    }

    #[test]
    fn a_long_file_is_found() {
        let project = Project::of("long.rs", &"\n".repeat(LONGEST + 1));
        assert_eq!(project.findings(sizes).len(), 1);
    }
}
