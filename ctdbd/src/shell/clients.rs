//! Local clients: the unix socket and a task for each connection.

use std::io;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;
use tracing::{debug, error, warn};
use wire::ClientId;
use wire::packet::{Body, Packet};

use super::frames::Frames;
use super::link::{Link, Read, Stream};
use super::rarely::Rarely;
use super::{Handle, Shell, Target};
use crate::daemon::Input;
use client::socket::Socket;

/// Answers that may wait for a client that goes on asking and does not read; C has no limit for them.
const REPLIES: usize = 1_000_000;
/// Bytes of messages that may wait, however few they are: about what MaxQueueDropMsg small ones are.
const MESSAGE_BYTES: usize = 256 << 20;

/// Takes connections for as long as the daemon runs.
pub(super) async fn accept(handle: Handle, listener: UnixListener) {
    let mut said = Rarely::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => welcome(&handle, stream),
            Err(error) => {
                // out of descriptors, most likely: those who wait in the queue get their turn later
                if said.is_due() {
                    error!(%error, "cannot accept a client");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn welcome(handle: &Handle, stream: UnixStream) {
    let pid = match sys::credentials::peer_credentials(&stream) {
        Ok(credentials) => credentials.pid,
        Err(error) => {
            warn!(%error, "a client without credentials");
            0
        }
    };
    let socket = match Socket::new(stream) {
        Ok(socket) => socket,
        Err(error) => return error!(%error, "cannot watch a client"),
    };
    let client = {
        let mut shell = handle.borrow_mut();
        let client = shell.new_client_id();
        shell
            .clients
            .insert(client, Link::new(Stream::Client(socket)));
        shell.input(Input::ClientConnected { client, pid });
        client
    };
    debug!(%client, pid, "Connected client");
    tokio::task::spawn_local(serve(handle.clone(), client));
}

/// Reads and writes until the client or the daemon ends the connection.
async fn serve(handle: Handle, client: ClientId) {
    let Some((stream, wake)) = handle.borrow().link_of(client) else {
        return;
    };
    let mut frames = handle.borrow().new_frames();
    loop {
        let (blocked, congested) = match handle.borrow().clients.get(&client) {
            Some(link) if link.broken => break,
            Some(link) => (link.is_blocked(), link.congested_until()),
            None => return,
        };
        tokio::select! {
            ready = stream.readable(), if congested.is_none() => {
                if ready.is_err() {
                    break;
                }
                match read_turn(&handle, client, &stream, &mut frames) {
                    Read::End => break,
                    Read::Full => tokio::task::yield_now().await,
                    Read::Drained => {}
                }
            }
            _ = stream.writable(), if blocked => handle.borrow_mut().unblock_client(client),
            () = wake.notified() => {}
            () = until(congested), if congested.is_some() => {
                error!(%client, "a client does not read what it asked for - killing client connection.");
                break;
            }
        }
    }
    handle.borrow_mut().client_ended(client);
}

pub(crate) async fn until(time: Option<Instant>) {
    if let Some(time) = time {
        tokio::time::sleep_until(time).await;
    }
}

/// One read and what came by it. At [`Read::End`] the connection is over.
fn read_turn(handle: &Handle, client: ClientId, stream: &Stream, frames: &mut Frames) -> Read {
    let read = match stream.try_read(frames.buffer()) {
        Ok(Read::End) => return Read::End,
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Read::Drained,
        Err(_) => return Read::End,
    };
    let mut shell = handle.borrow_mut();
    let read = loop {
        match frames.next() {
            Ok(Some(packet)) => shell.input_unflushed(Input::ClientPacket { client, packet }),
            Ok(None) => break read,
            Err(why) => {
                warn!(%client, %why, "malformed packet, the client is cut off");
                break Read::End;
            }
        }
        if !shell.clients.contains_key(&client) {
            break read;
        }
    };
    shell.flush();
    read
}

/// Whether one packet more cuts a client off that has so many packets and bytes waiting, MaxQueueDropMsg being `limit`.
fn is_too_much(packet: &[u8], (waiting, bytes): (usize, usize), limit: usize) -> bool {
    if waiting <= limit && bytes <= MESSAGE_BYTES {
        return false;
    }
    let decoded = Packet::decode(packet);
    let is_message = decoded.is_ok_and(|packet| matches!(packet.body, Body::ReqMessage(_)));
    is_message || waiting > REPLIES
}

impl Shell {
    /// Never 0, which stands for the daemon itself, and never one that is in use.
    fn new_client_id(&mut self) -> ClientId {
        loop {
            self.last_client = self.last_client.wrapping_add(1);
            let client = ClientId(self.last_client);
            if client.0 != 0 && !self.clients.contains_key(&client) {
                return client;
            }
        }
    }

    fn link_of(
        &self,
        client: ClientId,
    ) -> Option<(std::rc::Rc<Stream>, std::rc::Rc<tokio::sync::Notify>)> {
        self.clients
            .get(&client)
            .map(|link| (link.stream.clone(), link.wake.clone()))
    }

    fn unblock_client(&mut self, client: ClientId) {
        if let Some(link) = self.clients.get_mut(&client) {
            link.unblock();
        }
    }

    /// Queues a packet. MaxQueueDropMsg is about messages, which nobody asked for, as in C: it counts what the socket
    /// does not take, and 0 is for clients that always read. A client that does not read is cut off before it takes the
    /// daemon's memory.
    pub(super) fn queue_for_client(&mut self, client: ClientId, packet: Vec<u8>) {
        let Some(link) = self.clients.get_mut(&client) else {
            return;
        };
        let limit = self.tunables.max_queue_depth_drop_msg as usize;
        let too_much = |link: &Link| is_too_much(&packet, (link.waiting(), link.bytes()), limit);
        if too_much(link) {
            // what was queued in this turn has not been offered to the socket yet
            link.flush();
        }
        if too_much(link) {
            error!(%client, "CTDB_REQ_MESSAGE queue full - killing client connection.");
            link.broken = true;
            link.wake.notify_one();
            return;
        }
        if link.push(packet) {
            self.unflushed.push(Target::Client(client));
        }
    }

    /// The daemon ends a connection.
    pub(super) fn close_client(&mut self, client: ClientId, reason: &str) {
        warn!(%client, reason, "a client is cut off");
        if let Some(mut link) = self.clients.remove(&client) {
            link.flush();
            link.wake.notify_one();
            self.later.push_back(Input::ClientGone(client));
        }
    }

    /// A connection has ended from outside.
    fn client_ended(&mut self, client: ClientId) {
        if self.clients.remove(&client).is_some() {
            debug!(%client, "client disconnected");
            self.input(Input::ClientGone(client));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::packet::{Header, ReplyControl, ReqMessage};
    use wire::{Generation, Pnn, ReqId, Srvid};

    fn packet(body: Body<'_>) -> Vec<u8> {
        let header = Header {
            generation: Generation::INVALID,
            operation: body.operation(),
            destination: Pnn(0),
            source: Pnn(0),
            reqid: ReqId(0),
        };
        Packet { header, body }.to_bytes()
    }

    #[test]
    fn messages_are_bounded_by_number_and_by_bytes() {
        let srvid = Srvid(7);
        let message = packet(Body::ReqMessage(ReqMessage { srvid, data: b"x" }));
        for (waiting, expected) in [
            ((10, 0), false),
            ((11, 0), true),
            ((1, MESSAGE_BYTES), false),
            ((1, MESSAGE_BYTES + 1), true),
        ] {
            assert_eq!(is_too_much(&message, waiting, 10), expected, "{waiting:?}");
        }
    }

    #[test]
    fn answers_are_what_the_client_asked_for() {
        let answer = packet(Body::ReplyControl(ReplyControl {
            status: 0,
            data: b"",
            error: b"",
        }));
        assert!(!is_too_much(&answer, (11, MESSAGE_BYTES + 1), 10));
        assert!(is_too_much(&answer, (REPLIES + 1, 0), 10));
    }
}
