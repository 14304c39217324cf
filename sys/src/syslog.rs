//! Messages to the system's log daemon, by the four methods of ctdb.conf(5).
//!
//! | method | packet, as 4.17.12 and glibc write it |
//! |---|---|
//! | [`Method::Blocking`] | `<29>Nov 23 03:50:47 ctdbd[123]: text` |
//! | [`Method::Nonblocking`], [`Method::Udp`] | `<29>ctdbd[123]: text` |
//! | [`Method::UdpRfc5424`] | `<29>1 2026-11-23T03:50:47.606940+00:00 host ctdbd 123 - - text` |
//!
//! Where there is no time and no host, log daemons add better ones themselves.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process;

use crate::local_time::LocalTime;
use crate::machine::host_name;

/// The log daemon's socket.
const DEV_LOG: &str = "/dev/log";
/// The log daemon's UDP port.
const PORT: u16 = 514;
/// Facility "daemon", shifted.
const LOG_DAEMON: u8 = 3 << 3;
/// RFC 3164 allows 1024 bytes in a packet, and C's buffer has a NUL at its end. syslog(3) has no limit.
const LONGEST: usize = 1023;

/// How messages get to the log daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// /dev/log; waits while it is full.
    Blocking,
    /// /dev/log; drops messages while it is full, and says how many.
    Nonblocking,
    /// UDP to this machine, port 514.
    Udp,
    /// The same, with the header of RFC 5424.
    UdpRfc5424,
}

/// A connection to the log daemon.
#[derive(Debug)]
pub struct Syslog {
    method: Method,
    program: String,
    host: String,
    peer: Peer,
    dropped: u64,
}

#[derive(Debug)]
enum Peer {
    Unix { socket: UnixDatagram, path: PathBuf },
    Udp(UdpSocket),
}

impl Syslog {
    /// Connects; `program` stands before each message. Where there is no log daemon yet, [`Method::Blocking`] tries again
    /// with each message, as syslog(3) does.
    ///
    /// # Errors
    /// If there is no log daemon, and the method is another one.
    pub fn connect(method: Method, program: &str) -> io::Result<Self> {
        let udp = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        Self::connect_to(method, program, Path::new(DEV_LOG), udp)
    }

    fn connect_to(method: Method, program: &str, path: &Path, udp: SocketAddr) -> io::Result<Self> {
        let peer = match method {
            Method::Blocking | Method::Nonblocking => {
                let socket = UnixDatagram::unbound()?;
                match socket.connect(path) {
                    Err(error) if method == Method::Nonblocking => return Err(error),
                    _ => {}
                }
                socket.set_nonblocking(method == Method::Nonblocking)?;
                let path = path.to_owned();
                Peer::Unix { socket, path }
            }
            Method::Udp | Method::UdpRfc5424 => {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                socket.connect(udp)?;
                socket.set_nonblocking(true)?;
                Peer::Udp(socket)
            }
        };
        Ok(Self {
            method,
            program: program.to_owned(),
            host: host_name(),
            peer,
            dropped: 0,
        })
    }

    /// Sends a message with syslog(3)'s `priority`, 0 (emergency) to 7 (debug). What does not fit
    /// into one packet is cut off.
    ///
    /// # Errors
    /// What the socket says. A full queue is no error when not blocking: the message is counted
    /// as dropped.
    pub fn log(&mut self, priority: u8, message: &str) -> io::Result<()> {
        if self.dropped > 0 {
            let report = format!("[Dropped {} log messages]", self.dropped);
            if !self.send(priority, &report)? {
                self.dropped += 1;
                return Ok(());
            }
            self.dropped = 0;
        }
        if !self.send(priority, message)? {
            self.dropped += 1;
        }
        Ok(())
    }

    /// False if the log daemon's queue is full.
    fn send(&self, priority: u8, message: &str) -> io::Result<bool> {
        let packet = self.packet(priority, message, LocalTime::now());
        let sent = match &self.peer {
            Peer::Udp(socket) => socket.send(&packet),
            Peer::Unix { socket, path } => match socket.send(&packet) {
                Err(error) if is_gone(&error) => {
                    // the log daemon was started again
                    socket.connect(path)?;
                    socket.send(&packet)
                }
                other => other,
            },
        };
        match sent {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn packet(&self, priority: u8, message: &str, now: LocalTime) -> Vec<u8> {
        let priority = LOG_DAEMON | priority.min(7);
        let (program, host, pid) = (&self.program, &self.host, process::id());
        let text = match self.method {
            Method::Blocking => {
                let time = now.syslog();
                return format!("<{priority}>{time} {program}[{pid}]: {message}").into_bytes();
            }
            Method::Nonblocking | Method::Udp => {
                format!("<{priority}>{program}[{pid}]: {message}")
            }
            Method::UdpRfc5424 => {
                format!("<{priority}>1 {now} {host} {program} {pid} - - {message}")
            }
        };
        let mut packet = text.into_bytes();
        packet.truncate(LONGEST);
        packet
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 8192];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn the_nonblocking_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let missing = Syslog::connect_to(Method::Nonblocking, "ctdbd", &path, NOWHERE);
        assert!(missing.is_err(), "no log daemon must not go unnoticed");

        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut log = Syslog::connect_to(Method::Nonblocking, "ctdbd", &path, NOWHERE).unwrap();
        log.log(3, "hello").unwrap();
        let pid = process::id();
        assert_eq!(received(&daemon), format!("<27>ctdbd[{pid}]: hello"));
        log.log(5, &"x".repeat(3000)).unwrap();
        assert_eq!(received(&daemon).len(), LONGEST);

        while log.dropped < 2 {
            log.log(5, "filling").unwrap();
        }
        received(&daemon);
        received(&daemon);
        log.log(5, "again").unwrap();
        assert_eq!(log.dropped, 0);
        let mut last = received(&daemon);
        while last.ends_with("filling") {
            last = received(&daemon);
        }
        assert!(last.ends_with("[Dropped 2 log messages]"), "{last}");
        assert!(received(&daemon).ends_with("again"));
    }

    #[test]
    fn the_blocking_way_waits_for_a_log_daemon_that_comes_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Syslog::connect_to(Method::Blocking, "ctdbd", &path, NOWHERE).unwrap();
        assert!(log.log(3, "nobody").is_err());
        let daemon = UnixDatagram::bind(&path).unwrap();
        log.log(3, &"x".repeat(3000)).unwrap();
        let text = received(&daemon);
        // "<27>Nov 23 03:50:47 ctdbd[123]: xxx"
        let (header, rest) = text.split_at(4 + 15);
        assert!(header.starts_with("<27>") && header.contains(':'), "{text}");
        let expected = format!(" ctdbd[{}]: {}", process::id(), "x".repeat(3000));
        assert_eq!(rest, expected, "not cut off");
        drop(daemon);
        std::fs::remove_file(&path).unwrap();
        assert!(log.log(3, "nobody").is_err());
        let daemon = UnixDatagram::bind(&path).unwrap();
        log.log(3, "back").unwrap();
        assert!(received(&daemon).ends_with("back"));
    }

    #[test]
    fn udp_with_either_header() {
        let daemon = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = daemon.local_addr().unwrap();
        daemon
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let sent_by = |method| {
            let mut log = Syslog::connect_to(method, "ctdbd", Path::new(""), address).unwrap();
            log.log(6, "hello").unwrap();
            let mut buffer = [0; 2048];
            let length = daemon.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        let pid = process::id();
        assert_eq!(sent_by(Method::Udp), format!("<30>ctdbd[{pid}]: hello"));
        let text = sent_by(Method::UdpRfc5424);
        assert!(text.starts_with("<30>1 20"), "{text}");
        let tail = format!(" {} ctdbd {pid} - - hello", host_name());
        assert!(text.ends_with(&tail), "{text}");
    }
}
