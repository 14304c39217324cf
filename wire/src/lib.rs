//! CTDB's wire protocol: bytes to types and back
#![forbid(unsafe_code)]
