//! The event daemon's own protocol, spoken on its unix socket `eventd.socket`.
//!
//! ```text
//! 0 length  4 version  8 reqid  12 command   request: 16 the command's fields
//!                                            reply:   16 result  20 a status, if result is 0
//! ```
//!
//! The length counts the whole packet; nothing is padded. A result is 0 or an errno. Requests are
//! answered in the order in which they end, so a client tells replies apart by `reqid`. `ctdb-eventd`
//! ends a connection at the first packet that it cannot read (event_request.c, 4.17.12).
//!
//! C writes a version of 0, since nothing sets it, and looks at none (event_protocol.c, 4.17.12), so
//! we do the same.

mod run;

use std::borrow::Cow;
use std::num::NonZeroI32;

use serde::{Deserialize, Serialize};

use crate::ReqId;
use crate::coding::{
    Decode, DecodeError, Encode, Reader, put_length, wire_enum, wire_flags, wire_struct,
};
use crate::types::TimeVal;

pub use run::{Event, LEGACY, Outcome};

/// Size of the header, in bytes.
pub const HEADER_SIZE: usize = 12;
/// What stands in the header's version.
pub const VERSION: u32 = 0;
/// The longest packet that we accept, in bytes; upstream has no limit. Arguments of an event and
/// the output of its scripts are in it.
pub const MAX_PACKET: usize = 64 << 20;

wire_enum! {
    /// What is asked of the event daemon.
    pub enum Command: "a command (1-3)" {
        /// Run an event.
        Run = 1,
        /// How an event went the last time.
        Status = 2,
        /// Enable or disable a script.
        Script = 3,
    }

    /// What is to be done with a script.
    pub enum ScriptAction: "0 (disable) or 1 (enable)" {
        /// It is no longer run.
        Disable = 0,
        /// It is run.
        Enable = 1,
    }
}

wire_flags! {
    /// How an event is run.
    pub struct RunFlags: u32 {
        /// Scripts behind one that failed are run too.
        const ALL = 0x1;
    }
}

/// A text with its length in front, which counts the NUL. C's NULL is the length 0.
///
/// Scripts may print what they like, so it need not be UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(pub Option<Vec<u8>>);

impl Text {
    /// C's NULL.
    pub const NULL: Self = Self(None);

    /// The text, with what is not UTF-8 replaced.
    pub fn to_str(&self) -> Option<Cow<'_, str>> {
        self.0.as_deref().map(String::from_utf8_lossy)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Some(text.as_bytes().to_vec()))
    }
}

impl Encode for Text {
    /// C reads up to the first NUL, so one inside ends the text.
    fn encode(&self, out: &mut Vec<u8>) {
        let Some(text) = &self.0 else {
            return put_length(out, 0);
        };
        let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
        put_length(out, end + 1);
        out.extend_from_slice(&text[..end]);
        out.push(0);
    }
}

impl Decode for Text {
    const MIN_SIZE: usize = 4;
    const FIXED: bool = false;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.counted()? {
            [] => Ok(Self::NULL),
            bytes => r.before_nul(bytes).map(|text| Self(Some(text.to_vec()))),
        }
    }
}

wire_struct! {
    /// What every packet begins with: 12 bytes.
    #[derive(Copy, Eq)]
    pub struct EventHeader {
        /// Of the whole packet, in bytes.
        pub length: u32,
        /// Not looked at.
        pub version: u32,
        /// Chosen by who asks, repeated in the answer.
        pub reqid: ReqId,
    }

    /// RUN: run an event's scripts, one after the other.
    #[derive(Eq)]
    pub struct RunRequest {
        /// Whose scripts: the folder, `legacy` for CTDB's own.
        pub component: Text,
        /// The event, the scripts' first argument.
        pub event: Text,
        /// Their other arguments, with blanks between.
        pub args: Text,
        /// For how many seconds they may run.
        pub timeout: u32,
        /// How.
        pub flags: RunFlags,
    }

    /// STATUS: how an event went the last time.
    #[derive(Eq)]
    pub struct StatusRequest {
        /// Whose scripts.
        pub component: Text,
        /// The event.
        pub event: Text,
    }

    /// SCRIPT: enable or disable a script. No program of 4.17 sends it: `ctdb-event` does the
    /// work itself.
    #[derive(Eq)]
    pub struct ScriptRequest {
        /// Whose script.
        pub component: Text,
        /// Its name.
        pub script: Text,
        /// What is to be done with it.
        pub action: ScriptAction,
    }

    /// A script of an event that was run.
    #[derive(Eq)]
    pub struct ScriptStatus {
        /// Its name, without `.script`.
        pub name: Text,
        /// When it was started.
        pub begin: TimeVal,
        /// When it ended.
        pub end: TimeVal,
        /// Its exit status, or a negative errno: -8 (ENOEXEC) disabled, -110 (ETIMEDOUT) timed out.
        pub result: i32,
        /// What it printed.
        pub output: Text,
    }

    /// The answer to STATUS.
    #[derive(Eq)]
    pub struct EventStatus {
        /// The event's result: that of the script that failed, 0, or a negative errno.
        pub summary: i32,
        /// The scripts in the order they were run.
        pub scripts: Vec<ScriptStatus>,
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// See [`RunRequest`].
    Run(RunRequest),
    /// See [`StatusRequest`].
    Status(StatusRequest),
    /// See [`ScriptRequest`].
    Script(ScriptRequest),
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// 0; ENOEXEC (8) if a script failed, ETIMEDOUT (110), ECANCELED (125), another errno.
    Run(i32),
    /// What it was, or an errno: EINVAL (22) if the event was never run.
    Status(Result<EventStatus, NonZeroI32>),
    /// 0 or an errno.
    Script(i32),
}

impl Request {
    /// Which command it is.
    pub fn command(&self) -> Command {
        match self {
            Self::Run(_) => Command::Run,
            Self::Status(_) => Command::Status,
            Self::Script(_) => Command::Script,
        }
    }

    /// Reads a packet that fills `bytes` (see [`frame_length`]). Bytes behind the request are
    /// ignored, as C does.
    ///
    /// # Errors
    /// If the length is not that of the bytes, or they are not a request.
    pub fn decode(bytes: &[u8]) -> Result<(ReqId, Self), DecodeError> {
        let (reqid, command, mut r) = open(bytes)?;
        let request = match command {
            Command::Run => Self::Run(r.get()?),
            Command::Status => Self::Status(r.get()?),
            Command::Script => Self::Script(r.get()?),
        };
        Ok((reqid, request))
    }

    /// Appends the whole packet.
    pub fn encode(&self, reqid: ReqId, out: &mut Vec<u8>) {
        packet(reqid, self.command(), out, |out| match self {
            Self::Run(run) => run.encode(out),
            Self::Status(status) => status.encode(out),
            Self::Script(script) => script.encode(out),
        });
    }
}

impl Reply {
    /// What it answers.
    pub fn command(&self) -> Command {
        match self {
            Self::Run(_) => Command::Run,
            Self::Status(_) => Command::Status,
            Self::Script(_) => Command::Script,
        }
    }

    /// 0 or an errno.
    pub fn result(&self) -> i32 {
        match self {
            Self::Run(result) | Self::Script(result) => *result,
            Self::Status(Ok(_)) => 0,
            Self::Status(Err(errno)) => errno.get(),
        }
    }

    /// Reads a packet that fills `bytes`. Bytes behind the reply are ignored, as C does.
    ///
    /// # Errors
    /// If the length is not that of the bytes, or they are not a reply.
    pub fn decode(bytes: &[u8]) -> Result<(ReqId, Self), DecodeError> {
        let (reqid, command, mut r) = open(bytes)?;
        let result = r.at("Reply", "result").get()?;
        let reply = match (command, NonZeroI32::new(result)) {
            (Command::Run, _) => Self::Run(result),
            (Command::Script, _) => Self::Script(result),
            (Command::Status, Some(errno)) => Self::Status(Err(errno)),
            (Command::Status, None) => Self::Status(Ok(r.get()?)),
        };
        Ok((reqid, reply))
    }

    /// Appends the whole packet.
    pub fn encode(&self, reqid: ReqId, out: &mut Vec<u8>) {
        packet(reqid, self.command(), out, |out| {
            self.result().encode(out);
            if let Self::Status(Ok(status)) = self {
                status.encode(out);
            }
        });
    }
}

/// The length of the packet at the head of a stream, in bytes; `None` while fewer than 4 are there.
///
/// # Errors
/// [`DecodeError::Length`] if no packet can be that short, or if it is longer than [`MAX_PACKET`].
pub fn frame_length(bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
    let Some(head) = bytes.first_chunk() else {
        return Ok(None);
    };
    match u32::from_ne_bytes(*head) as usize {
        found if found < HEADER_SIZE + 4 => Err(DecodeError::Length {
            expected: "at least 16",
            found,
        }),
        found if found > MAX_PACKET => Err(DecodeError::Length {
            expected: "at most 64 MiB",
            found,
        }),
        length => Ok(Some(length)),
    }
}

/// Reads what requests and replies begin with.
fn open(bytes: &[u8]) -> Result<(ReqId, Command, Reader<'_>), DecodeError> {
    let mut r = Reader::new(bytes);
    let header: EventHeader = r.get()?;
    if header.length as usize != bytes.len() {
        return Err(DecodeError::Length {
            expected: "that of the bytes",
            found: header.length as usize,
        });
    }
    let command = r.at("EventHeader", "command").get()?;
    Ok((header.reqid, command, r))
}

/// Appends a packet with `body` behind the command.
fn packet(reqid: ReqId, command: Command, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    let header = EventHeader {
        length: 0,
        version: VERSION,
        reqid,
    };
    header.encode(out);
    command.encode(out);
    body(out);
    let length = u32::try_from(out.len() - start).expect("a packet fits the wire's 32 bits");
    out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_empty_are_told_apart() {
        assert_eq!(Text::NULL.to_bytes(), [0; 4]);
        assert_eq!(Text::from("").to_bytes(), [1, 0, 0, 0, 0]);
        assert_eq!(Text::from("a\0b").to_bytes(), Text::from("a").to_bytes());
        assert!(Text::from_bytes(&[1, 0, 0, 0, b'a']).is_err());
    }

    #[test]
    fn a_status_comes_only_with_success() {
        let failed = Reply::Status(Err(NonZeroI32::new(22).unwrap()));
        let mut bytes = Vec::new();
        failed.encode(ReqId(3), &mut bytes);
        assert_eq!(bytes.len(), 20);
        assert_eq!(Reply::decode(&bytes), Ok((ReqId(3), failed)));
        bytes[16..20].fill(0);
        assert!(Reply::decode(&bytes).is_err());
    }

    #[test]
    fn a_count_of_scripts_is_not_believed() {
        let status = EventStatus {
            summary: 0,
            scripts: Vec::new(),
        };
        let mut bytes = Vec::new();
        Reply::Status(Ok(status)).encode(ReqId(1), &mut bytes);
        bytes[24..28].fill(0xff);
        let error = Reply::decode(&bytes).unwrap_err().to_string();
        assert!(
            error.starts_with("EventStatus.scripts at offset 24"),
            "{error}"
        );
    }
}
