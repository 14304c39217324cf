//! Controls and their answers; what is in their data is [`crate::control`]'s.

use crate::coding::{DecodeError, Encode, Reader, put_length, put_pad, wire_flags};
use crate::layout::layout;
use crate::{ClientId, Srvid};

wire_flags! {
    /// How a control is to be handled.
    pub struct ControlFlags: u32 {
        /// Nobody waits for an answer, so none is sent.
        const NOREPLY = 0x1;
        /// GET_PUBLIC_IPS: only addresses that can be hosted now.
        const ONLY_AVAILABLE = 0x0001_0000;
        /// DB_ATTACH: the attach is part of a recovery.
        const ATTACH_RECOVERY = 0x0002_0000;
    }
}

/// CTDB_REQ_CONTROL: opcode, 4 bytes of padding, srvid, client, flags, datalen, data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReqControl<'a> {
    /// Which control; kept as a number, because unknown ones are answered too.
    pub opcode: u32,
    /// An argument of a few controls, otherwise 0.
    pub srvid: Srvid,
    /// The sending client; its daemon fills it in.
    pub client: ClientId,
    /// How.
    pub flags: ControlFlags,
    /// The control's request.
    pub data: &'a [u8],
}

layout! {
    ReqControl<'_> "CTDB_REQ_CONTROL: a control." {
        opcode: u32 => pad 4, "Which control.";
        srvid: Srvid, "An argument of a few controls, otherwise 0.";
        client: ClientId, "The sending client; its daemon fills it in.";
        flags: ControlFlags, "How.";
        datalen: u32, "";
        data: bytes, "The control's request.";
    }
    ReplyControl<'_> "CTDB_REPLY_CONTROL: the answer to a control." {
        status: i32, "0 or more is success; some controls answer with it alone.";
        datalen: u32, "";
        errorlen: u32, "";
        data: bytes, "The control's reply.";
        error: bytes, "Text about a failure; mostly empty, and not terminated.";
    }
}

impl<'a> ReqControl<'a> {
    pub(super) fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        const NAME: &str = "ReqControl";
        let opcode = r.at(NAME, "opcode").get()?;
        r.at(NAME, "padding").pad(4)?;
        let srvid = r.at(NAME, "srvid").get()?;
        let client = r.at(NAME, "client").get()?;
        let flags = r.at(NAME, "flags").get()?;
        let data = r.at(NAME, "data").counted()?;
        Ok(Self {
            opcode,
            srvid,
            client,
            flags,
            data,
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.opcode.encode(out);
        put_pad(out, 4);
        self.srvid.encode(out);
        self.client.encode(out);
        self.flags.encode(out);
        put_length(out, self.data.len());
        out.extend_from_slice(self.data);
    }
}

/// CTDB_REPLY_CONTROL: status, datalen, errorlen, data, error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyControl<'a> {
    /// 0 or more is success; some controls answer with it alone.
    pub status: i32,
    /// The control's reply.
    pub data: &'a [u8],
    /// Text about a failure; mostly empty, and not terminated.
    pub error: &'a [u8],
}

impl<'a> ReplyControl<'a> {
    pub(super) fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        const NAME: &str = "ReplyControl";
        let status = r.at(NAME, "status").get()?;
        let datalen = r.at(NAME, "datalen").u32()?;
        let errorlen = r.at(NAME, "errorlen").u32()?;
        let data = r.at(NAME, "data").take(datalen as usize)?;
        let error = r.at(NAME, "error").take(errorlen as usize)?;
        Ok(Self {
            status,
            data,
            error,
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.status.encode(out);
        put_length(out, self.data.len());
        put_length(out, self.error.len());
        out.extend_from_slice(self.data);
        out.extend_from_slice(self.error);
    }
}
