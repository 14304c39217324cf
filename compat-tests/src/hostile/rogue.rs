//! A client of the unix socket that sends what must not be taken.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use wire::control::Opcode;
use wire::packet::{Body, Packet};
use wire::{Generation, Pnn, ReqId, Srvid};

use super::breaking::{Due, Malformed};
use super::stream::{Address, Wire, check_closed, receive};
use crate::node::Node;

const SOCKET: &str = "/run/ctdb/ctdbd.socket";
/// Whatever is due comes within this time, under load too.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The client. It connects as often as it is cut off.
#[derive(Debug)]
pub(super) struct Rogue {
    path: PathBuf,
    pnn: Pnn,
    stream: Option<UnixStream>,
    reqid: u32,
}

impl Rogue {
    pub(super) fn of(node: &Node) -> Self {
        Self {
            path: node.path(SOCKET),
            pnn: Pnn(u32::try_from(node.pnn).expect("few nodes")),
            stream: None,
            reqid: 0,
        }
    }

    pub(super) fn connect(&self) -> Result<UnixStream> {
        let stream = UnixStream::connect(&self.path).context("connect")?;
        stream.set_patience(PATIENCE)?;
        Ok(stream)
    }

    /// The next packet's address.
    pub(super) fn address(&mut self, to: Pnn) -> Address {
        self.reqid = self.reqid.wrapping_add(1).max(1);
        Address {
            from: self.pnn,
            to,
            generation: Generation(0),
            reqid: ReqId(self.reqid),
        }
    }

    /// Sends a malformed packet, addressed to this node or to another; what is due has to come.
    ///
    /// # Errors
    /// Says what came instead.
    pub(super) fn send(&mut self, malformed: &Malformed, to: Pnn) -> Result<()> {
        let mut bytes = malformed.bytes.clone();
        let address = self.address(to);
        address.put_on(&mut bytes);
        match malformed.due {
            Due::Closed => check_closed(self.connect()?, &bytes, malformed.ends),
            Due::Refused => match self.ask(&bytes, address.reqid)? {
                Some(0) => bail!("was done"),
                _ => Ok(()),
            },
            Due::Nothing => {
                self.stream()?.write_all(&bytes)?;
                self.check_served()
            }
        }
    }

    /// The status with which a control is answered; none if the connection is ended.
    pub(super) fn ask(&mut self, control: &[u8], reqid: ReqId) -> Result<Option<i32>> {
        let stream = self.stream()?;
        let sent = stream.write_all(control);
        let answered = sent
            .context("write")
            .and_then(|()| answer_to(stream, reqid).context("no answer"));
        if !matches!(answered, Ok(Some(_))) {
            self.stream = None;
        }
        answered
    }

    /// The daemon still says who it is.
    pub(super) fn check_served(&mut self) -> Result<()> {
        let address = self.address(Pnn::CURRENT);
        let control = address.control(Opcode::GetPnn.number(), Srvid(0), &[]);
        let status = self.ask(&control, address.reqid)?;
        let expected = self.pnn.0.cast_signed();
        ensure!(status == Some(expected), "GET_PNN says {status:?}");
        Ok(())
    }

    /// A control's status, and its data is not looked at.
    pub(super) fn control(
        &mut self,
        to: Pnn,
        opcode: Opcode,
        srvid: Srvid,
        data: &[u8],
    ) -> Result<Option<i32>> {
        let address = self.address(to);
        let control = address.control(opcode.number(), srvid, data);
        self.ask(&control, address.reqid)
    }

    pub(super) fn stream(&mut self) -> Result<&mut UnixStream> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        Ok(self.stream.insert(stream))
    }

    /// Leaves; the next packet goes over another connection.
    pub(super) fn leave(&mut self) {
        self.stream = None;
    }
}

/// The status of the answer with that number; none if the stream ends before.
fn answer_to(stream: &mut UnixStream, reqid: ReqId) -> Result<Option<i32>> {
    while let Some(bytes) = receive(stream)? {
        let packet = Packet::decode(&bytes).context("the daemon's packet")?;
        if packet.header.reqid == reqid
            && let Body::ReplyControl(reply) = packet.body
        {
            return Ok(Some(reply.status));
        }
    }
    Ok(None)
}
