//! All targets in one program; `FUZZ_TARGET` says which one runs.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fn chosen() -> fn(&[u8]) {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    fuzz::target(&name)
        .unwrap_or_else(|| panic!("FUZZ_TARGET={name}: no such target"))
        .run
}

fuzz_target!(|data: &[u8]| TARGET.get_or_init(chosen)(data));
