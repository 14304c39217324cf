//! A small SMB 2.1 client: guest session, no signing ([MS-SMB2]).
//!
//! It exists to hold opens, locks, oplocks and leases on several servers at once from one thread,
//! and to see each break and each pending answer when it comes, which no command line client
//! shows. One [`Connection`] is one session; requests may be left pending and asked for later.

mod directory;
mod fields;
mod file;

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use fields::{Fields, array_at, u16_at, u32_at, u64_at, utf16};
pub use file::{Access, Break, Caching, Disposition, FileId, Open, Opened, Share};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// No answer of the server is nearly as long.
const LONGEST_PACKET: usize = 1 << 20;
const HEADER: usize = 64;
/// The message id of what the server sends unasked.
const UNASKED: u64 = u64::MAX;

/// An NTSTATUS ([MS-ERREF] 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    /// Done.
    pub const OK: Self = Self(0);
    /// Taken on, the answer follows.
    pub const PENDING: Self = Self(0x103);
    /// An authentication needs another round.
    pub const MORE: Self = Self(0xC000_0016);
    /// The share mode of another open does not allow this one.
    pub const SHARING_VIOLATION: Self = Self(0xC000_0043);
    /// Another handle has locked the range that was to be read.
    pub const FILE_LOCK_CONFLICT: Self = Self(0xC000_0054);
    /// Another handle has locked the range that was to be locked.
    pub const LOCK_NOT_GRANTED: Self = Self(0xC000_0055);
    /// The file is to be deleted at its last close.
    pub const DELETE_PENDING: Self = Self(0xC000_0056);
    /// There is no such file.
    pub const NOT_FOUND: Self = Self(0xC000_0034);
    /// A directory was listed to its end.
    pub const NO_MORE_FILES: Self = Self(0x8000_0006);

    /// Fails unless the status is the one wanted.
    ///
    /// # Errors
    /// Names both.
    pub fn expect(self, wanted: Self) -> Result<()> {
        ensure!(
            self == wanted,
            "status {:#010x}, expected {:#010x}",
            self.0,
            wanted.0
        );
        Ok(())
    }
}

/// Command codes ([MS-SMB2] 2.2.1.2).
#[derive(Clone, Copy)]
enum Command {
    Negotiate = 0,
    SessionSetup = 1,
    TreeConnect = 3,
    Create = 5,
    Close = 6,
    Read = 8,
    Write = 9,
    Lock = 10,
    QueryDirectory = 14,
    ChangeNotify = 15,
    SetInfo = 17,
    OplockBreak = 18,
}

/// The id of a request whose answer is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pending(u64);

struct Reply {
    status: Status,
    packet: Vec<u8>,
}

/// One session on one server, with one share.
pub struct Connection {
    stream: TcpStream,
    patience: Duration,
    received: Vec<u8>,
    next_message: u64,
    session: u64,
    tree: u32,
    replies: BTreeMap<Pending, Reply>,
    breaks: VecDeque<Break>,
}

impl Connection {
    /// Connects as guest to a share.
    ///
    /// # Errors
    /// No connection, no answer, or a refusal.
    pub fn open_share(server: IpAddr, share: &str) -> Result<Self> {
        Self::open_share_within(server, share, PATIENCE)
    }

    /// The same, where no answer may take longer than `patience`, now and later.
    ///
    /// # Errors
    /// As [`Connection::open_share`].
    pub fn open_share_within(server: IpAddr, share: &str, patience: Duration) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&SocketAddr::new(server, 445), patience)
            .with_context(|| format!("SMB connection to {server}"))?;
        let mut connection = Self {
            stream,
            patience,
            received: Vec::new(),
            next_message: 0,
            session: 0,
            tree: 0,
            replies: BTreeMap::new(),
            breaks: VecDeque::new(),
        };
        connection.negotiate()?;
        connection.log_on_as_guest()?;
        connection.connect_tree(&format!(r"\\{server}\{share}"))?;
        Ok(connection)
    }

    /// Fails when the server has closed the connection; takes in what came meanwhile.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn check_alive(&mut self) -> Result<()> {
        while self.take_in(Instant::now())? {}
        Ok(())
    }

    /// Waits for the server to announce that an oplock or lease is to be given up.
    ///
    /// # Errors
    /// The connection is gone, or nothing came within ten seconds.
    pub fn wait_break(&mut self) -> Result<Break> {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(broken) = self.breaks.pop_front() {
                return Ok(broken);
            }
            ensure!(self.take_in(end)?, "no break came");
        }
    }

    /// What the server has announced so far and nobody waited for.
    pub fn take_breaks(&mut self) -> Vec<Break> {
        self.breaks.drain(..).collect()
    }

    /// The final status of a pending request, or `None` when it is still pending after `patience`.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn status(&mut self, request: Pending, patience: Duration) -> Result<Option<Status>> {
        Ok(self.reply(request, patience)?.map(|reply| reply.status))
    }

    fn negotiate(&mut self) -> Result<()> {
        let body = Fields::default().u16(36).u16(1).u16(1).u16(0).u32(0);
        // any client GUID will do; the one dialect offered is 2.1
        let body = body.bytes(b"ctdb-remix-tests").u64(0).u16(0x0210);
        self.call(Command::Negotiate, body)?
            .status
            .expect(Status::OK)
    }

    /// NTLM ([MS-NLMP]) with a user nobody knows, which the server maps to its guest.
    fn log_on_as_guest(&mut self) -> Result<()> {
        let hello = Fields::default()
            .bytes(b"NTLMSSP\0")
            .u32(1)
            .u32(0x0008_8207)
            .bytes(&[0; 16]);
        self.set_up_session(&hello.0)?.expect(Status::MORE)?;
        let (response, domain, user) = (vec![1; 24], utf16("X"), utf16("nosuchuser"));
        let parts = [&response, &response, &domain, &user, &vec![], &vec![]];
        let mut body = Fields::default().bytes(b"NTLMSSP\0").u32(3);
        let mut data = Vec::new();
        for part in parts {
            body = body
                .len16(part.len())
                .len16(part.len())
                .len32(64 + data.len());
            data.extend(part);
        }
        let body = body.u32(0x0000_8207).bytes(&data);
        self.set_up_session(&body.0)?.expect(Status::OK)
    }

    fn set_up_session(&mut self, blob: &[u8]) -> Result<Status> {
        let body = Fields::default().u16(25).u8(0).u8(1).u32(0).u32(0).u16(88);
        let body = body.len16(blob.len()).u64(0).bytes(blob);
        Ok(self.call(Command::SessionSetup, body)?.status)
    }

    fn connect_tree(&mut self, path: &str) -> Result<()> {
        let path = utf16(path);
        let body = Fields::default()
            .u16(9)
            .u16(0)
            .u16(72)
            .len16(path.len())
            .bytes(&path);
        self.call(Command::TreeConnect, body)?
            .status
            .expect(Status::OK)
    }

    fn send(&mut self, command: Command, body: Fields) -> Result<Pending> {
        let message = self.next_message;
        self.next_message += 1;
        let header = Fields::default().bytes(b"\xfeSMB").u16(64).u16(1).u32(0);
        let header = header
            .u16(command as u16)
            .u16(64)
            .u32(0)
            .u32(0)
            .u64(message);
        let header = header
            .u32(0xFEFF)
            .u32(self.tree)
            .u64(self.session)
            .bytes(&[0; 16]);
        let length = u32::try_from(header.0.len() + body.0.len())?;
        let packet = [&length.to_be_bytes(), &*header.0, &*body.0].concat();
        self.stream.write_all(&packet).context("SMB send")?;
        Ok(Pending(message))
    }

    fn call(&mut self, command: Command, body: Fields) -> Result<Reply> {
        let request = self.send(command, body)?;
        self.reply(request, self.patience)?
            .with_context(|| format!("no answer to SMB2 command {}", command as u16))
    }

    fn reply(&mut self, request: Pending, patience: Duration) -> Result<Option<Reply>> {
        let end = Instant::now() + patience;
        loop {
            if let Some(reply) = self.replies.remove(&request) {
                return Ok(Some(reply));
            }
            if !self.take_in(end)? {
                return Ok(None);
            }
        }
    }

    /// Takes in one packet; false when none was complete by `end`.
    fn take_in(&mut self, end: Instant) -> Result<bool> {
        loop {
            if let Some(packet) = self.next_packet()? {
                self.sort(packet)?;
                return Ok(true);
            }
            if !self.receive(end)? {
                return Ok(false);
            }
        }
    }

    fn next_packet(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(prefix) = self.received.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*prefix) as usize;
        ensure!(length <= LONGEST_PACKET, "SMB packet of {length} bytes");
        if self.received.len() < 4 + length {
            return Ok(None);
        }
        let rest = self.received.split_off(4 + length);
        let mut packet = std::mem::replace(&mut self.received, rest);
        packet.drain(..4);
        Ok(Some(packet))
    }

    fn receive(&mut self, end: Instant) -> Result<bool> {
        // a time-out of zero would mean none at all
        let left = end
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left))?;
        let mut buffer = [0; 16384];
        match self.stream.read(&mut buffer) {
            Ok(0) => bail!("closed by the server"),
            Ok(count) => self.received.extend(&buffer[..count]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(false);
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e).context("SMB receive"),
        }
        Ok(true)
    }

    fn sort(&mut self, packet: Vec<u8>) -> Result<()> {
        let status = Status(u32_at(&packet, 8)?);
        let command = u16_at(&packet, 12)?;
        let message = u64_at(&packet, 24)?;
        if command == Command::OplockBreak as u16 && message == UNASKED {
            self.breaks.push_back(Break::decode(&packet[HEADER..])?);
        } else if status != Status::PENDING {
            match command {
                c if c == Command::SessionSetup as u16 => self.session = u64_at(&packet, 40)?,
                c if c == Command::TreeConnect as u16 => self.tree = u32_at(&packet, 36)?,
                _ => {}
            }
            self.replies
                .insert(Pending(message), Reply { status, packet });
        }
        Ok(())
    }
}

impl Break {
    fn decode(body: &[u8]) -> Result<Self> {
        Ok(match u16_at(body, 0)? {
            24 => Self::Oplock {
                level: array_at::<1>(body, 2)?[0],
                file: FileId(array_at(body, 8)?),
            },
            _ => Self::Lease {
                key: array_at(body, 8)?,
                from: u32_at(body, 24)?,
                to: u32_at(body, 28)?,
            },
        })
    }
}
