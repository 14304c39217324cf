//! Who is at the other end of a unix socket.

use std::io;
use std::os::fd::AsFd;

use nix::sys::socket::{getsockopt, sockopt};

/// The process that connected, as it was then. It may be gone by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Process; 0 if it is in a pid namespace that is not seen from here.
    pub pid: i32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
}

/// SO_PEERCRED of a connected unix socket.
///
/// # Errors
/// What getsockopt(2) says.
pub fn peer_credentials(socket: impl AsFd) -> io::Result<Credentials> {
    let found = getsockopt(&socket, sockopt::PeerCredentials)?;
    Ok(Credentials {
        pid: found.pid(),
        uid: found.uid(),
        gid: found.gid(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{getegid, geteuid};
    use std::os::unix::net::UnixStream;

    #[test]
    fn of_ourselves() {
        let (here, _there) = UnixStream::pair().unwrap();
        let expected = Credentials {
            pid: std::process::id().cast_signed(),
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
        };
        assert_eq!(peer_credentials(&here).unwrap(), expected);
    }
}
