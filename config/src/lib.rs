//! CTDB's configuration: files, paths, helper programs, test mode
#![forbid(unsafe_code)]
