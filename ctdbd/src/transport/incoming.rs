//! Connections that other nodes make, and send on.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tracing::{error, warn};
use wire::Pnn;
use wire::packet::is_aligned;

use super::{came_up, went_down};
use crate::daemon::Input;
use crate::shell::Handle;
use crate::shell::frames::Frames;
use crate::shell::link::{Read, Stream};
use crate::shell::rarely::Rarely;

/// Longer than it takes to connect to a node that is there. One that cannot be reached is heard all the same.
const WAY_BACK: Duration = Duration::from_millis(50);

/// Takes connections for as long as the daemon runs.
pub(crate) async fn accept(handle: Handle, listener: TcpListener) {
    let mut said = Rarely::default();
    loop {
        match listener.accept().await {
            Ok((stream, address)) => welcome(&handle, stream, address.ip().to_canonical()),
            Err(error) => {
                if said.is_due() {
                    error!(%error, "cannot accept a node");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// A node is known by its address alone, so only addresses of the nodes file are let in, and each once.
fn welcome(handle: &Handle, stream: TcpStream, address: std::net::IpAddr) {
    let node = {
        let mut shell = handle.borrow_mut();
        let Some(node) = shell.transport.peer_at(address) else {
            return error!("Refused connection from unknown node {address}");
        };
        let Some(peer) = shell.transport.peers.get_mut(&node) else {
            return;
        };
        if peer.incoming.is_some() {
            return warn!(%node, "Incoming queue active, rejecting connection from {address}");
        }
        if let Err(error) = socket2::SockRef::from(&stream).set_keepalive(true) {
            warn!(%node, %error, "cannot turn keepalive on");
        }
        let task = tokio::task::spawn_local(read(handle.clone(), node, Stream::Tcp(stream)));
        peer.incoming = Some(task.abort_handle());
        node
    };
    came_up(handle, node);
}

async fn read(handle: Handle, node: Pnn, stream: Stream) {
    let mut frames = handle.borrow().new_frames();
    while stream.readable().await.is_ok() {
        if let Some(up) = missing_way_back(&handle, node) {
            let _ = tokio::time::timeout(WAY_BACK, up.notified()).await;
        }
        let read = match stream.try_read(frames.buffer()) {
            Ok(Read::End) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => break,
        };
        if !take_turn(&handle, node, &mut frames) {
            break;
        }
        if read == Read::Full {
            tokio::task::yield_now().await;
        }
    }
    warn!(%node, "the connection from a node ended");
    went_down(&handle, node);
}

/// What tells that the node can be answered, if it cannot be yet. It may know of both connections first, and ask at once; of the
/// two, this one may be the older.
fn missing_way_back(handle: &Handle, node: Pnn) -> Option<Rc<Notify>> {
    let shell = handle.borrow();
    let peer = shell.transport.peers.get(&node)?;
    peer.outgoing.is_none().then(|| peer.can_answer.clone())
}

/// Hands over the packets of one read. False: what came is no packet.
fn take_turn(handle: &Handle, node: Pnn, frames: &mut Frames) -> bool {
    let mut shell = handle.borrow_mut();
    let good = loop {
        match frames.next() {
            Ok(Some(packet)) if is_aligned(packet.len()) => {
                shell.input_unflushed(Input::NodePacket { from: node, packet });
            }
            Ok(Some(packet)) => {
                error!(%node, length = packet.len(), "a node's packet is not a multiple of 8 bytes long");
                break false;
            }
            Ok(None) => break true,
            Err(why) => {
                error!(%node, %why, "malformed packet from a node");
                break false;
            }
        }
    };
    shell.flush();
    good
}
