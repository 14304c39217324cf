//! The C headers that are made of the library's code, by cbindgen. `cargo xtask headers` writes them into
//! `include/`, and the build script of the project's root says when they are out of date: both have this file.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// A header, and what it is made of.
pub(crate) struct Header {
    /// Its name in `include/`.
    pub(crate) name: &'static str,
    /// cbindgen's configuration; paths are from the project's top.
    pub(crate) config: &'static str,
    /// Text between the includes and what is generated, if there is some.
    pub(crate) head: Option<&'static str>,
    /// Text behind what is generated, if there is some.
    pub(crate) trailer: Option<&'static str>,
    /// Files, or folders of files, in this order.
    pub(crate) sources: &'static [&'static str],
}

/// All of them.
pub(crate) const HEADERS: [Header; 2] = [
    Header {
        name: "ctdb.h",
        config: "libctdb-ffi/header/ctdb.toml",
        head: Some("libctdb-ffi/header/ctdb_head.h"),
        trailer: Some("libctdb-ffi/header/ctdb_trailer.h"),
        sources: &[
            "libctdb-ffi/src/classic/handle.rs",
            "libctdb-ffi/src/classic/log.rs",
            "libctdb-ffi/src/classic/request.rs",
            "libctdb-ffi/src/classic/message.rs",
            "libctdb-ffi/src/classic/record.rs",
            "libctdb-ffi/src/classic/traverse.rs",
            "libctdb-ffi/src/classic/answers.rs",
            "libctdb-ffi/src/classic/api",
        ],
    },
    Header {
        name: "ctdbx.h",
        config: "libctdb-ffi/header/ctdbx.toml",
        head: Some("libctdb-ffi/header/ctdbx_head.h"),
        trailer: None,
        sources: &[
            "libctdb-ffi/src/wide/failure.rs",
            "libctdb-ffi/src/wide/memory.rs",
            "libctdb-ffi/src/wide/connection.rs",
            "libctdb-ffi/src/wide/events.rs",
            "libctdb-ffi/src/wide/subscription.rs",
            "libctdb-ffi/src/wide/database.rs",
            "libctdb-ffi/src/wide/record.rs",
            "libctdb-ffi/src/wide/transaction.rs",
            "libctdb-ffi/src/wide/g_lock.rs",
            "libctdb-ffi/src/wide/traverse.rs",
            "libctdb-ffi/src/wide/cluster.rs",
            "libctdb-ffi/src/wide/control.rs",
        ],
    },
];

impl Header {
    /// The files that it is made of, besides the texts.
    pub(crate) fn sources(&self, top: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
        let mut files = Vec::new();
        for source in self.sources {
            let path = top.join(source);
            if path.is_dir() {
                let mut inside = Vec::new();
                for entry in fs::read_dir(&path)? {
                    inside.push(entry?.path());
                }
                inside.sort();
                files.extend(inside);
            } else {
                files.push(path);
            }
        }
        Ok(files)
    }

    /// Its text.
    pub(crate) fn generate(&self, top: &Path) -> Result<String, Box<dyn Error>> {
        let mut config = cbindgen::Config::from_file(top.join(self.config))?;
        let read = |text: Option<&str>| text.map(|text| fs::read_to_string(top.join(text)));
        config.after_includes = read(self.head).transpose()?;
        config.trailer = read(self.trailer).transpose()?;
        let mut builder = cbindgen::Builder::new().with_config(config);
        for source in self.sources(top)? {
            builder = builder.with_src(source);
        }
        let mut text = Vec::new();
        builder.generate()?.write(&mut text);
        Ok(without_safety(&String::from_utf8(text)?))
    }
}

/// Leaves out what Rust wants to be said of a function and C takes for granted: valid handles, places that can be
/// written.
fn without_safety(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let word = line.trim();
        if word == "* # Safety" {
            inside = true;
            // the empty line before
            if kept.last().is_some_and(|last| last.trim() == "*") {
                kept.pop();
            }
        }
        inside &= word != "*/";
        if !inside {
            kept.push(line);
        }
    }
    kept.iter().flat_map(|line| [line, "\n"]).collect()
}
