//! Messages to the system's log daemon, by the four methods of ctdb.conf(5).
//!
//! Messages begin `<priority>`; the rest of the header is that of `common/logging.c`, 4.17.12: no
//! time and no host name, which log daemons add better themselves, but for RFC 5424.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::machine::host_name;

/// The log daemon's socket.
const DEV_LOG: &str = "/dev/log";
/// The log daemon's UDP port.
const PORT: u16 = 514;
/// Facility "daemon", shifted.
const LOG_DAEMON: u8 = 3 << 3;
/// RFC 3164 allows no longer packet.
const LONGEST: usize = 1024;

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
    /// Connects; `program` stands before each message.
    ///
    /// # Errors
    /// If there is no log daemon, as in many containers: say so on standard error then. C says
    /// nothing and logs into the void.
    pub fn connect(method: Method, program: &str) -> io::Result<Self> {
        let udp = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        Self::connect_to(method, program, Path::new(DEV_LOG), udp)
    }

    fn connect_to(method: Method, program: &str, path: &Path, udp: SocketAddr) -> io::Result<Self> {
        let peer = match method {
            Method::Blocking | Method::Nonblocking => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_nonblocking(method == Method::Nonblocking)?;
                let path = path.to_owned();
                Peer::Unix { socket, path }
            }
            Method::Udp | Method::UdpRfc5424 => {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                socket.connect(udp)?;
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
        let packet = self.packet(priority, message, SystemTime::now());
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

    fn packet(&self, priority: u8, message: &str, now: SystemTime) -> Vec<u8> {
        let priority = LOG_DAEMON | priority.min(7);
        let (program, pid) = (&self.program, process::id());
        let mut text = format!("<{priority}>");
        let _ = match self.method {
            Method::UdpRfc5424 => {
                let (time, host) = (timestamp(now), &self.host);
                write!(text, "1 {time} {host} {program} {pid} - - {message}")
            }
            _ => write!(text, "{program}[{pid}]: {message}"),
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

/// RFC 3339 with microseconds, UTC.
fn timestamp(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_micros()
    )
}

/// Year, month and day of a day counted from 1 January 1970. Works on years that begin in March,
/// so that the leap day is the last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 2048];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn dates() {
        let at = |seconds| timestamp(UNIX_EPOCH + Duration::from_micros(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_782_399_000_001), "2000-02-28T23:59:59.000001Z");
        assert_eq!(at(951_782_400_000_000), "2000-02-29T00:00:00.000000Z");
        assert_eq!(at(1_798_761_599_999_999), "2026-12-31T23:59:59.999999Z");
    }

    #[test]
    fn the_blocking_and_the_nonblocking_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let missing = Syslog::connect_to(Method::Blocking, "ctdbd", &path, NOWHERE);
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
    fn the_log_daemon_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut log = Syslog::connect_to(Method::Blocking, "ctdbd", &path, NOWHERE).unwrap();
        drop(daemon);
        std::fs::remove_file(&path).unwrap();
        assert!(log.log(3, "nobody").is_err());
        let daemon = UnixDatagram::bind(&path).unwrap();
        log.log(3, "back").unwrap();
        assert!(received(&daemon).ends_with("back"));
    }

    #[test]
    fn udp_with_the_new_header() {
        let daemon = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = daemon.local_addr().unwrap();
        daemon
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let unused = Path::new("");
        let mut log = Syslog::connect_to(Method::UdpRfc5424, "ctdbd", unused, address).unwrap();
        log.log(6, "hello").unwrap();
        let mut buffer = [0; 2048];
        let length = daemon.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]);
        assert!(text.starts_with("<30>1 20"), "{text}");
        let tail = format!(" ctdbd {} - - hello", process::id());
        assert!(text.ends_with(&tail), "{text}");
    }
}
