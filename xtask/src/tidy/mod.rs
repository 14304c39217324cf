//! What no other tool checks: licences, borders of the crates, sizes, words, documents.

mod borders;
mod documents;
mod texts;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::step::step;

/// A check: it adds what it finds.
type Check = fn(&Project, &mut Findings) -> Result<()>;

const CHECKS: [(&str, Check); 11] = [
    ("licences of the crates", borders::licences),
    ("clippy.toml of the core crates", borders::clippy_files),
    ("dependencies of the core crates", borders::dependencies),
    ("where unsafe code may be", borders::unsafe_code),
    ("programs that are installed", borders::programs),
    ("sizes of files", texts::sizes),
    ("words", texts::words),
    ("addresses of other machines", texts::links),
    ("documents", documents::promises),
    ("COMPAT.md", documents::compat),
    ("docs/wire.md", documents::wire),
];

/// Runs all checks; true if nothing was found.
pub(crate) fn run() -> Result<bool> {
    let project = Project::read()?;
    let mut findings = Findings::default();
    for (what, check) in CHECKS {
        step(&format!("tidy: {what}"));
        check(&project, &mut findings)?;
    }
    for finding in &findings.0 {
        println!("    {finding}");
    }
    Ok(findings.0.is_empty())
}

/// What is not as it should be, a line each.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn add(&mut self, path: &Path, what: &str) {
        self.0.push(format!("{}: {what}", path.display()));
    }
}

/// The project's text files.
struct Project {
    files: Vec<Text>,
}

/// A text file, by its path from the top.
struct Text {
    path: PathBuf,
    content: String,
}

impl Text {
    fn has_extension(&self, extension: &str) -> bool {
        self.path
            .extension()
            .is_some_and(|found| found == extension)
    }

    fn is_named(&self, name: &str) -> bool {
        self.path.file_name().is_some_and(|found| found == name)
    }
}

impl Project {
    fn read() -> Result<Self> {
        let mut files = Vec::new();
        collect(Path::new(""), &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    fn get(&self, path: impl AsRef<Path>) -> Option<&Text> {
        self.files.iter().find(|file| file.path == path.as_ref())
    }

    fn rust(&self) -> impl Iterator<Item = &Text> {
        self.files.iter().filter(|file| file.has_extension("rs"))
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Text> {
        self.files.iter().filter(move |file| file.is_named(name))
    }
}

/// What is not text (a golden packet, say) is left out.
fn collect(dir: &Path, files: &mut Vec<Text>) -> Result<()> {
    let place = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    for entry in fs::read_dir(place).with_context(|| place.display().to_string())? {
        let entry = entry?;
        let path = dir.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() && path != Path::new("target") && path != Path::new(".git") {
            collect(&path, files)?;
        } else if kind.is_file()
            && let Ok(content) = fs::read_to_string(&path)
        {
            files.push(Text { path, content });
        }
    }
    Ok(())
}

#[cfg(test)]
impl Project {
    fn of(path: &str, content: &str) -> Self {
        Self {
            files: vec![Text {
                path: path.into(),
                content: content.to_owned(),
            }],
        }
    }

    fn findings(&self, check: Check) -> Vec<String> {
        let mut findings = Findings::default();
        check(self, &mut findings).unwrap();
        findings.0
    }
}
