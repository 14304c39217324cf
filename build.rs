//! Fails if a header in `include/` is not what the code of the library makes it.

#[path = "xtask/src/headers/generate.rs"]
mod generate;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for header in &generate::HEADERS {
        let there = top.join("include").join(header.name);
        let texts = [Some(header.config), header.head, header.trailer];
        let texts = texts.into_iter().flatten().map(|text| top.join(text));
        for input in header
            .sources(top)?
            .into_iter()
            .chain(texts)
            .chain([there.clone()])
        {
            println!("cargo::rerun-if-changed={}", input.display());
        }
        let text = header.generate(top)?;
        fs::write(out.join(header.name), &text)?;
        if fs::read_to_string(&there).unwrap_or_default() != text {
            return Err(format!(
                "include/{} is out of date: run `cargo xtask headers`",
                header.name
            )
            .into());
        }
    }
    Ok(())
}
