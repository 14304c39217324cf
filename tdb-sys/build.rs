//! Bindings of libtdb by bindgen, and the log shim by cc.
fn main() {}
