//! The part in C: functions with variable arguments, which stable Rust can neither define nor call.

fn main() {
    println!("cargo::rerun-if-changed=shim.c");
    cc::Build::new()
        .file("shim.c")
        .warnings(true)
        .extra_warnings(true)
        .compile("ctdb_shim");
}
