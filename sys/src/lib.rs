//! What the daemons need of the operating system beyond the standard library and tokio.
//!
//! All `unsafe` of the daemons is here, each piece behind a safe function. Nothing in this crate
//! knows CTDB.
//!
//! | concern | module |
//! |---|---|
//! | becoming a daemon | [`mod@daemonize`], [`pidfile`], [`signals`], [`rlimit`] |
//! | not being held up | [`realtime`], [`memory`] |
//! | other processes | [`child`], [`process`], [`credentials`] |
//! | files | [`dir`], [`fcntl_lock`] |
//! | the machine | [`machine`], [`random`] |
//! | the network | [`network`], [`packets`] |
//! | logging | [`local_time`], [`syslog`] |

pub mod child;
pub mod credentials;
pub mod daemonize;
pub mod dir;
pub mod fcntl_lock;
pub mod local_time;
pub mod machine;
pub mod memory;
pub mod network;
pub mod packets;
pub mod pidfile;
pub mod process;
pub mod random;
pub mod realtime;
pub mod rlimit;
pub mod signals;
pub mod syslog;

pub use credentials::{Credentials, peer_credentials};
pub use daemonize::{Detach, daemonize};
pub use local_time::LocalTime;
pub use machine::{boot_id, host_name, service_port};
pub use pidfile::{PidFile, PidFileError};
pub use process::{process_exists, reap_orphans, set_process_name};
pub use random::{random_u32, random_u64};

use std::io;

/// The result of a system call that answers -1 for "see errno".
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        other => Ok(other),
    }
}
