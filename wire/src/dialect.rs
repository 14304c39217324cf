//! What differs on the wire between the two versions that we speak to.
//!
//! Nothing in a packet says which version its sender is, but a node's keepalives do. The layouts of
//! what both know are the same, so one set of types serves both; what only the newer one knows is
//! here.

use crate::Srvid;
use crate::control::{Life, Opcode};

/// A version of the protocol.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Dialect {
    /// Samba 4.17.
    Samba4_17,
    /// Samba's master branch of August 2026, 4.25pre.
    Master,
}

/// The last control of 4.17.
const LAST_OF_4_17: u32 = 158;

/// What a difference is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A control.
    Control(Opcode),
    /// A message address, or the range of it.
    Srvid(Srvid),
    /// Something else, by name.
    Other(&'static str),
}

/// A line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// What differs.
    pub subject: Subject,
    /// What 4.17 sends and accepts.
    pub samba_4_17: &'static str,
    /// What master sends and accepts.
    pub master: &'static str,
}

const UNKNOWN: &str = "not known: answered -1, \"Unknown CTDB control opcode\"";

/// All differences that we know of (protocol/, server/, event/ and tools/ of both).
pub static DIFFERENCES: &[Difference] = &[
    Difference {
        subject: Subject::Control(Opcode::TcpClientDisconnected),
        samba_4_17: UNKNOWN,
        master: "smbd to its daemon: a client's connection is gone, forget it",
    },
    Difference {
        subject: Subject::Control(Opcode::TcpClientPassed),
        samba_4_17: UNKNOWN,
        master: "smbd to its daemon: a connection was passed on to another smbd",
    },
    Difference {
        subject: Subject::Control(Opcode::StartIpreallocate),
        samba_4_17: UNKNOWN,
        master: "a takeover run begins: runs the event startipreallocate, with the node RUNNING",
    },
    Difference {
        subject: Subject::Control(Opcode::PushRecord),
        samba_4_17: UNKNOWN,
        master: "a record for the other nodes to keep; always with NOREPLY",
    },
    Difference {
        subject: Subject::Srvid(Srvid::IPREALLOCATED),
        samba_4_17: "never sent",
        master: "sent to the own clients behind the event ipreallocated, without data",
    },
    Difference {
        subject: Subject::Srvid(Srvid::START_IPREALLOCATE),
        samba_4_17: "never sent",
        master: "sent to the own clients behind the event startipreallocate, without data",
    },
    Difference {
        subject: Subject::Srvid(Srvid::SERVER_RANGE),
        samba_4_17: "of no special use",
        master: "the daemon's own addresses",
    },
    Difference {
        subject: Subject::Other("RecordFlags PERSISTENT, PERSISTENT_IN_PROGRESS"),
        samba_4_17: "never set; kept if they come",
        master: "the record is to survive its node; and is being written",
    },
    Difference {
        subject: Subject::Other("length and count fields of packets"),
        samba_4_17: "partly believed: a wrong one may be read beyond the packet",
        master: "checked: \"Invalid packet\" in the log, and the packet is dropped",
    },
    Difference {
        subject: Subject::Other("counts of lists (node map, vnnmap, db map, connections, ...)"),
        samba_4_17: "memory is taken for as many as the count says",
        master: "checked against the bytes that are there",
    },
    Difference {
        subject: Subject::Other("a counted text whose length is more than its NUL is behind"),
        samba_4_17: "the next field begins behind the NUL",
        master: "the next field begins behind the length, as here",
    },
    Difference {
        subject: Subject::Other("REQ_KEEPALIVE version"),
        samba_4_17: "0x00040011",
        master: "0x00040019; of two nodes that differ the younger one stops",
    },
    Difference {
        subject: Subject::Other("STATUS of the event daemon"),
        samba_4_17: "the last run; scripts behind one that failed are left out",
        master: "scripts behind one that failed with what they did in an earlier run, or -42 (ENOMSG)",
    },
];

impl Dialect {
    /// That of a node by the version in its keepalives: major << 16 | minor.
    pub fn of_version(version: u32) -> Self {
        match version {
            ..=0x0004_0011 => Self::Samba4_17,
            _ => Self::Master,
        }
    }

    /// Whether it has such a control, be it to say that it is not implemented any more.
    pub fn has(self, opcode: Opcode) -> bool {
        self == Self::Master || opcode.number() <= LAST_OF_4_17
    }

    /// Whether it answers such a control.
    pub fn answers(self, opcode: Opcode) -> bool {
        self.has(opcode) && opcode.info().life == Life::Live
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::TABLE;

    #[test]
    fn the_table_has_every_control_of_master_alone() {
        let listed = |opcode| {
            DIFFERENCES
                .iter()
                .any(|line| line.subject == Subject::Control(opcode))
        };
        for info in TABLE {
            let opcode = Opcode::from_u32(info.opcode).unwrap();
            assert_eq!(listed(opcode), !Dialect::Samba4_17.has(opcode), "{opcode}");
            assert!(Dialect::Master.has(opcode));
        }
        assert!(!Dialect::Master.answers(Opcode::Thaw));
    }

    #[test]
    fn keepalives_tell_the_version() {
        assert_eq!(Dialect::of_version(0x0004_0011), Dialect::Samba4_17);
        assert_eq!(Dialect::of_version(0), Dialect::Samba4_17);
        assert_eq!(Dialect::of_version(0x0004_0019), Dialect::Master);
    }
}
