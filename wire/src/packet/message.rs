//! Messages, keepalives and tunnels.

use serde::{Deserialize, Serialize};

use crate::coding::{DecodeError, Encode, Reader, put_length, wire_flags};
use crate::layout::layout;
use crate::{Srvid, TunnelId};

/// CTDB_REQ_MESSAGE: srvid, datalen, data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReqMessage<'a> {
    /// To whom on the destination.
    pub srvid: Srvid,
    /// The message (see [`crate::message`]).
    pub data: &'a [u8],
}

layout! {
    ReqMessage<'_> "CTDB_REQ_MESSAGE: a message to whoever registered its address." {
        srvid: Srvid, "To whom on the destination.";
        datalen: u32, "";
        data: bytes, "The message.";
    }
    ReqKeepalive "CTDB_REQ_KEEPALIVE: a sign of life between nodes." {
        version: u32, "The sender's Samba version, major << 16 | minor: 4.17 is 0x00040011.";
        uptime: u32, "How long its daemon has been running, in seconds.";
    }
    ReqTunnel<'_> "CTDB_REQ_TUNNEL: data for a tunnel." {
        tunnel: TunnelId, "Which tunnel.";
        flags: TunnelFlags, "Request or answer.";
        datalen: u32, "";
        data: bytes, "The users' own bytes.";
    }
}

impl<'a> ReqMessage<'a> {
    pub(super) fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let srvid = r.at("ReqMessage", "srvid").get()?;
        let data = r.at("ReqMessage", "data").counted()?;
        Ok(Self { srvid, data })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.srvid.encode(out);
        put_length(out, self.data.len());
        out.extend_from_slice(self.data);
    }
}

/// CTDB_REQ_KEEPALIVE: version, uptime.
///
/// Daemons before 4.9 sent the header alone, which 4.17 takes for a version that cannot be mixed;
/// such a packet is read as version 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReqKeepalive {
    /// The sender's Samba version: major << 16 | minor, so 4.17 is 0x0004_0011.
    pub version: u32,
    /// How long its daemon has been running, in seconds.
    pub uptime: u32,
}

impl ReqKeepalive {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if r.remaining() == 0 {
            return Ok(Self {
                version: 0,
                uptime: 0,
            });
        }
        let version = r.at("ReqKeepalive", "version").get()?;
        let uptime = r.at("ReqKeepalive", "uptime").get()?;
        Ok(Self { version, uptime })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.version.encode(out);
        self.uptime.encode(out);
    }
}

wire_flags! {
    /// What a tunnel packet is to its tunnel's users; the daemon only carries it.
    pub struct TunnelFlags: u32 {
        /// A request.
        const REQUEST = 0x1;
        /// An answer.
        const REPLY = 0x2;
        /// A request that wants no answer.
        const NOREPLY = 0x10;
    }
}

/// CTDB_REQ_TUNNEL: tunnel, flags, datalen, data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReqTunnel<'a> {
    /// Which tunnel.
    pub tunnel: TunnelId,
    /// Request or answer.
    pub flags: TunnelFlags,
    /// The users' own bytes.
    pub data: &'a [u8],
}

impl<'a> ReqTunnel<'a> {
    pub(super) fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let tunnel = r.at("ReqTunnel", "tunnel").get()?;
        let flags = r.at("ReqTunnel", "flags").get()?;
        let data = r.at("ReqTunnel", "data").counted()?;
        Ok(Self {
            tunnel,
            flags,
            data,
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.tunnel.encode(out);
        self.flags.encode(out);
        put_length(out, self.data.len());
        out.extend_from_slice(self.data);
    }
}
