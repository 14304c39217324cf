//! Writes the C headers that are made of code.

mod generate;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use crate::step::step;

/// Writes them, or only says whether they are current; true if all is well.
pub(crate) fn run(check: bool) -> Result<bool> {
    let top = Path::new("");
    let mut current = true;
    for header in &generate::HEADERS {
        let path = Path::new("include").join(header.name);
        let text = header
            .generate(top)
            .map_err(|error| anyhow!("{}: {error}", header.name))?;
        if fs::read_to_string(&path).is_ok_and(|there| there == text) {
            continue;
        }
        current = false;
        step(&format!("{} is out of date", path.display()));
        if !check {
            fs::write(&path, text).with_context(|| path.display().to_string())?;
        }
    }
    Ok(current || !check)
}
