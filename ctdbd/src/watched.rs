//! A descriptor that the runtime watches for one thing only.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

#[expect(
    deprecated,
    reason = "an owned descriptor stays open for as long as it is registered; the successor is unsafe to call"
)]
pub(crate) fn watched(owned: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(owned, interest)
}
