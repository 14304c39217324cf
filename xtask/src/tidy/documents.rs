//! Documents: what they promise is there.

use std::path::Path;

use anyhow::Result;

use super::{Findings, Project};
use crate::{command_names, compat, wire_page};

/// Documents that have to be there, and what they have to say.
const PROMISES: [(&str, &[&str]); 5] = [
    ("README.md", &["cargo xtask test", "cargo xtask demo"]),
    ("CONTRIBUTING.md", &["cargo xtask ci"]),
    ("CHANGELOG.md", &["## Unreleased"]),
    ("ARCHITECTURE.md", &[]),
    ("docs/operations.md", &[]),
];

pub(super) fn promises(project: &Project, findings: &mut Findings) -> Result<()> {
    for (path, wanted) in PROMISES {
        let Some(file) = project.get(path) else {
            findings.add(Path::new(path), "is missing");
            continue;
        };
        for text in wanted.iter().filter(|text| !file.content.contains(**text)) {
            findings.add(&file.path, &format!("does not say {text:?}"));
        }
    }
    known_commands(project, findings)
}

/// Every `cargo xtask COMMAND` of a document exists.
fn known_commands(project: &Project, findings: &mut Findings) -> Result<()> {
    let known = command_names();
    for file in project.files.iter().filter(|file| file.has_extension("md")) {
        for (at, prefix) in file.content.match_indices("cargo xtask ") {
            let rest = &file.content[at + prefix.len()..];
            let name: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
            if !name.is_empty() && !known.contains(&name) {
                findings.add(&file.path, &format!("there is no `cargo xtask {name}`"));
            }
        }
    }
    Ok(())
}

pub(super) fn compat(project: &Project, findings: &mut Findings) -> Result<()> {
    let written = project.get(compat::FILE).map(|file| file.content.as_str());
    if written != Some(&compat::text()?) {
        findings.add(
            Path::new(compat::FILE),
            "is not current, run `cargo xtask compat`",
        );
    }
    Ok(())
}

pub(super) fn wire(project: &Project, findings: &mut Findings) -> Result<()> {
    let written = project
        .get(wire_page::FILE)
        .map(|file| file.content.as_str());
    let written = written.unwrap_or_default();
    if written != wire_page::text(written)? {
        findings.add(
            Path::new(wire_page::FILE),
            "is not current, run `cargo xtask wire`",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_not_there_is_found() {
        let project = Project::of("a.md", "Run `cargo xtask demo`, then `cargo xtask fly`.");
        let mut findings = Findings::default();
        known_commands(&project, &mut findings).unwrap();
        assert_eq!(findings.0, ["a.md: there is no `cargo xtask fly`"]);
    }
}
