//! Controls: typed by the table of [`wire::control`], or raw.

use std::time::Duration;

use bytes::Bytes;
use wire::coding::Encode;
use wire::control::Control;
use wire::packet::{Body, ControlFlags, ReqControl};
use wire::{ClientId, Pnn, Srvid};

use crate::connection::{Client, Reply, Waiting};
use crate::error::{Error, Result};

/// A control's reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// Never negative. Controls like GET_PNN return their value here, the others 0.
    pub status: i32,
    /// The data.
    pub reply: T,
}

/// A control's reply as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawAnswer {
    /// Negative: an error, and there may be a text.
    pub status: i32,
    /// The data.
    pub data: Bytes,
    /// The error text, not terminated.
    pub error: Bytes,
}

/// The name of any control in an error, when only its number is known.
const RAW: &str = "control";

impl Client {
    /// Sends a control and waits for the reply.
    ///
    /// # Errors
    /// [`Error::Refused`] if the status is negative; [`Error::TimedOut`], [`Error::Disconnected`],
    /// [`Error::Protocol`], and those of sending.
    pub async fn control<C: Control>(
        &self,
        destination: Pnn,
        request: &C::Request,
        timeout: Duration,
    ) -> Result<Answer<C::Reply>> {
        let plain = (Srvid(0), ControlFlags::empty());
        self.control_with::<C>(destination, plain, request, timeout)
            .await
    }

    /// The same for the controls that use the SRVID field as an argument or know flags.
    ///
    /// # Errors
    /// Those of [`Client::control`].
    pub async fn control_with<C: Control>(
        &self,
        destination: Pnn,
        (srvid, flags): (Srvid, ControlFlags),
        request: &C::Request,
        timeout: Duration,
    ) -> Result<Answer<C::Reply>> {
        let data = request.to_bytes();
        let waiting = self.start(C::NAME, destination, (C::OPCODE, srvid, flags), &data)?;
        let answer = RawAnswer::wait(waiting, timeout).await?;
        answer.checked::<C>(destination)
    }

    /// Sends a control by its number and waits for the reply, whatever its status.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Disconnected`], and those of sending.
    pub async fn raw_control(
        &self,
        destination: Pnn,
        (opcode, srvid, flags): (u32, Srvid, ControlFlags),
        data: &[u8],
        timeout: Duration,
    ) -> Result<RawAnswer> {
        let waiting = self.start(RAW, destination, (opcode, srvid, flags), data)?;
        RawAnswer::wait(waiting, timeout).await
    }

    /// Sends a control that nobody answers. The only kind that may go to a broadcast address.
    ///
    /// # Errors
    /// Those of sending: [`Error::Disconnected`], [`Error::Backlog`].
    pub fn notify_control<C: Control>(
        &self,
        destination: Pnn,
        srvid: Srvid,
        request: &C::Request,
    ) -> Result<()> {
        let data = request.to_bytes();
        let body = body((C::OPCODE, srvid, ControlFlags::NOREPLY), &data);
        self.send(destination, wire::ReqId(0), body)
    }

    /// The same by its number.
    ///
    /// # Errors
    /// Those of sending.
    pub fn raw_notify_control(
        &self,
        destination: Pnn,
        (opcode, srvid, flags): (u32, Srvid, ControlFlags),
        data: &[u8],
    ) -> Result<()> {
        let head = (opcode, srvid, flags | ControlFlags::NOREPLY);
        self.send(destination, wire::ReqId(0), body(head, data))
    }

    fn start(
        &self,
        name: &'static str,
        destination: Pnn,
        head: (u32, Srvid, ControlFlags),
        data: &[u8],
    ) -> Result<Waiting> {
        self.request(name, destination, body(head, data))
    }
}

const fn body((opcode, srvid, flags): (u32, Srvid, ControlFlags), data: &[u8]) -> Body<'_> {
    Body::ReqControl(ReqControl {
        opcode,
        srvid,
        client: ClientId(0),
        flags,
        data,
    })
}

impl RawAnswer {
    async fn wait(waiting: Waiting, timeout: Duration) -> Result<Self> {
        match waiting.reply(timeout).await? {
            Reply::Control {
                status,
                data,
                error,
            } => Ok(Self {
                status,
                data,
                error,
            }),
            Reply::Error { status, message } => Ok(Self {
                status: status.min(-1),
                data: Bytes::new(),
                error: message,
            }),
            Reply::Call { .. } | Reply::Tunnel { .. } => Err(Error::Disconnected),
        }
    }

    /// The error text without a trailing NUL.
    #[must_use]
    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.error)
            .trim_end_matches(['\0', '\n'])
            .to_owned()
    }

    fn checked<C: Control>(&self, destination: Pnn) -> Result<Answer<C::Reply>> {
        if self.status < 0 {
            let message = self.error_text();
            return Err(Error::Refused {
                name: C::NAME,
                destination,
                status: self.status,
                message,
            });
        }
        let reply = C::decode_reply(&self.data)?;
        Ok(Answer {
            status: self.status,
            reply,
        })
    }
}
