//! Tests against real peers: smbd, the C ctdb tool, upstream's own programs
#![forbid(unsafe_code)]
