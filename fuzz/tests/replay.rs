//! The inputs that are kept, and small changes of them, through every target.

use std::path::Path;

use fuzz::{TARGETS, corpus};

/// The inputs of a target: its seeds, and what the fuzzer kept.
fn inputs(name: &str) -> Vec<Vec<u8>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("corpus/{name}.hex"));
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let kept = corpus::parse(&kept).unwrap_or_else(|line| panic!("{}: {line}", file.display()));
    [corpus::seeds(name), kept].concat()
}

#[test]
fn what_was_found_once_is_well_now() {
    for target in TARGETS {
        inputs(target.name)
            .iter()
            .for_each(|input| (target.run)(input));
    }
}

/// Each of the first bytes set to borders in turn, and every length cut.
#[test]
fn seeds_with_a_byte_changed_are_well() {
    for target in TARGETS {
        // a whole node takes its time
        let every = if target.name == "node" { 16 } else { 1 };
        for seed in corpus::seeds(target.name).into_iter().step_by(every) {
            for at in 0..seed.len().min(96) {
                (target.run)(&seed[..at]);
                for value in [0, 1, 0x7f, 0xff, seed[at] ^ 1] {
                    let mut changed = seed.clone();
                    changed[at] = value;
                    (target.run)(&changed);
                }
            }
        }
    }
}

#[test]
fn every_corpus_belongs_to_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for entry in std::fs::read_dir(folder).expect("the folder of the corpora") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        assert!(fuzz::target(name).is_some(), "{}", path.display());
    }
}
