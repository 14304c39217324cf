//! etcd as the coordinator of the cluster manager (`cluster::coordinator`).
//!
//! ```text
//!   ctdb-clusterd            session: actions in, notifications out
//!     stdin  --------------> [ command lane: Join, Campaign, Resign ] --+
//!                            [ renewal lane: Renew                  ] --+-> api -> http -> etcd
//!     stdout <-------------- [ watch -> view                        ] --+
//! ```
//!
//! The keys of a cluster, all under the prefix of ctdb.conf and each bound to the lease of the node that made it:
//!
//! | key | value |
//! |---|---|
//! | `PREFIXmembers/PNN` | the incarnation of the node's daemon |
//! | `PREFIXleader` | the leader's pnn |
//!
//! etcd is spoken to by its JSON gateway (`/v3/...`, etcd 3.4 and later): that takes HTTP/1.1 and TLS, while gRPC would take
//! a generator of code and a compiler of protocols that a machine with Rust and gcc does not have.
#![forbid(unsafe_code)]

pub mod api;
pub mod http;
pub mod json;
pub mod session;
pub mod tls;
pub mod view;
