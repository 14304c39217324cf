//! COMPAT.md: what of upstream is there, made of the tables in the code and of what is known of
//! each line ([`coverage`]).

mod coverage;
mod library;
mod page;

use std::fs;

use anyhow::{Context, Result, ensure};
use wire::control::{self, Life};

use crate::step::step;
use coverage::{Coverage, Line};
use page::Page;

/// Where it is written to.
pub(crate) const FILE: &str = "COMPAT.md";

/// Writes the page, or says whether it is current.
pub(crate) fn run(check: bool) -> Result<bool> {
    let text = text()?;
    if check {
        let current = fs::read_to_string(FILE).is_ok_and(|written| written == text);
        step(if current {
            "COMPAT.md is current"
        } else {
            "COMPAT.md is not current"
        });
        return Ok(current);
    }
    step("writing COMPAT.md");
    fs::write(FILE, text).context(FILE)?;
    Ok(true)
}

/// The whole page.
pub(crate) fn text() -> Result<String> {
    check_names()?;
    let mut page = Page::default();
    controls(&mut page);
    page.section(
        "Packets",
        "All that nodes and clients send.",
        coverage::PACKETS,
    );
    page.section(
        "Messages",
        "Well-known addresses (SRVIDs) that a daemon listens or sends to.",
        coverage::SRVIDS,
    );
    page.section(
        "The `ctdb` tool",
        "Commands of the C tool, asked of our daemon.",
        coverage::COMMANDS,
    );
    options(&mut page);
    tunables(&mut page);
    page.section(
        "Files and places",
        "Where upstream's package has them.",
        coverage::FILES,
    );
    page.section(
        "Programs",
        "By the names that other programs call them by.",
        coverage::PROGRAMS,
    );
    library::tables(&mut page)?;
    Ok(page.finish())
}

/// Every name that something is known about has to be in the code's tables.
fn check_names() -> Result<()> {
    let names = |lines: &'static [Line]| lines.iter().map(|line| line.0);
    for name in names(coverage::CONTROLS) {
        ensure!(
            control::TABLE.iter().any(|info| info.name == name),
            "coverage: no control {name}"
        );
    }
    for name in names(coverage::OPTIONS) {
        let found = config::OPTIONS
            .iter()
            .any(|option| option_name(option) == name);
        ensure!(found, "coverage: no option {name}");
    }
    for (name, ..) in coverage::TUNABLES {
        let found = wire::tunables::TABLE
            .iter()
            .any(|tunable| tunable.name == *name);
        ensure!(found, "coverage: no tunable {name}");
    }
    Ok(())
}

fn known(lines: &[Line], name: &str, otherwise: Coverage) -> Coverage {
    lines
        .iter()
        .find(|line| line.0 == name)
        .map_or(otherwise, |line| line.1)
}

fn controls(page: &mut Page) {
    let lines: Vec<_> = control::TABLE
        .iter()
        .map(|info| {
            let otherwise = match info.life {
                Life::Live => Coverage::NotYet(""),
                Life::Retired { .. } => Coverage::Retired,
            };
            let name = format!("{} {}", info.opcode, info.name);
            (name, known(coverage::CONTROLS, info.name, otherwise))
        })
        .collect();
    page.add(
        "Controls",
        "Numbers and names are upstream's, up to 4.25pre.",
        &lines,
    );
}

fn option_name(option: &config::options::OptionSpec) -> String {
    format!("{}: {}", option.section, option.name)
}

fn options(page: &mut Page) {
    let line = |option: &config::options::OptionSpec| {
        let name = option_name(option);
        let known = known(coverage::OPTIONS, &name, Coverage::NotYet(""));
        (name, option.doc, known)
    };
    let lines: Vec<_> = config::OPTIONS.iter().map(line).collect();
    page.add_with_effect(
        "Options of ctdb.conf",
        "All are read and checked; here is what each does, and whether it does.",
        &lines,
    );
}

fn tunables(page: &mut Page) {
    let line = |tunable: &wire::tunables::TunableInfo| {
        let known = coverage::TUNABLES
            .iter()
            .find(|line| line.0 == tunable.name);
        let (effect, coverage) = match known {
            Some((_, effect, coverage)) => (*effect, *coverage),
            None if tunable.obsolete => ("none", Coverage::Retired),
            None => ("", Coverage::NotYet("kept and listed")),
        };
        (tunable.name.to_owned(), effect, coverage)
    };
    let lines: Vec<_> = wire::tunables::TABLE.iter().map(line).collect();
    page.add_with_effect(
        "Tunables",
        "All can be set, in files and by `ctdb setvar`, and listed. A test changes the tunable and sees what is\n\
         different then.",
        &lines,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_live_control_and_its_sum() {
        crate::step::enter_project().unwrap();
        let text = text().unwrap();
        assert!(text.contains("| 35 GET_PNN |"));
        assert!(text.starts_with("# What is there"));
    }
}
