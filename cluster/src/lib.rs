//! The cluster manager: membership, leader, cluster lock, recovery
#![forbid(unsafe_code)]
