//! CTDB Remix, see the README.
#![forbid(unsafe_code)]
