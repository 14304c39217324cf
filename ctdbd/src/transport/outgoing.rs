//! The connection that this node makes, and sends on.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{debug, error, warn};
use wire::Pnn;

use super::{came_up, went_down};
use crate::shell::Handle;
use crate::shell::clients::until;
use crate::shell::link::{Link, Stream};

/// A try takes no longer, and the next comes after as long: a node that is up is found quickly. A connection that lasted
/// for less was refused, or is not wanted.
const RETRY: Duration = Duration::from_secs(1);

/// Longer than it takes to connect to a node that is there: what a try has sent by then was lost, and is sent again only
/// after seconds.
const LOST: Duration = Duration::from_millis(100);

/// Connects for as long as the node is in the nodes file.
pub(super) async fn keep_connected(
    handle: Handle,
    node: Pnn,
    own: IpAddr,
    to: SocketAddr,
    restart: Rc<Notify>,
    sign: Rc<Notify>,
) {
    let mut signs = Signs {
        sign,
        next: Instant::now(),
    };
    loop {
        let attempt = tokio::select! {
            biased;
            attempt = tokio::time::timeout(RETRY, connect(own, to)) => attempt,
            () = signs.next(LOST) => continue,
        };
        match attempt {
            Ok(Ok(stream)) => {
                // word that was left while there was no connection is not about this one
                let _ = tokio::time::timeout(Duration::ZERO, restart.notified()).await;
                let since = Instant::now();
                use_connection(&handle, node, stream, &restart).await;
                if outgoing(&handle, node, |_| ()).is_some() {
                    went_down(&handle, node);
                }
                // else both were dropped, and a new one of the other side may be there already
                if since.elapsed() >= RETRY {
                    // a node that went on after a pause, or that was taken for dead, is back at once
                    continue;
                }
            }
            Ok(Err(error)) => debug!(%node, %error, "cannot connect"),
            Err(_) => continue,
        }
        let _ = tokio::time::timeout(RETRY, signs.next(Duration::ZERO)).await;
    }
}

/// Signs that the node may be there. Nodes that refuse each other must not call each other all the time, so one in [`RETRY`]
/// counts.
struct Signs {
    sign: Rc<Notify>,
    next: Instant,
}

impl Signs {
    async fn next(&mut self, earliest: Duration) {
        tokio::time::sleep_until(self.next.max(Instant::now() + earliest)).await;
        self.sign.notified().await;
        self.next = Instant::now() + RETRY;
    }
}

/// From the node address: the other side knows this node by it.
async fn connect(own: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_keepalive(true)?;
    socket.bind(SocketAddr::new(own, 0))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Writes what is queued until the connection ends.
async fn use_connection(handle: &Handle, node: Pnn, stream: TcpStream, restart: &Notify) {
    let link = Link::new(Stream::Tcp(stream));
    let (stream, wake) = (link.stream.clone(), link.wake.clone());
    {
        let mut shell = handle.borrow_mut();
        let Some(peer) = shell.transport.peers.get_mut(&node) else {
            return;
        };
        peer.outgoing = Some(link);
        peer.can_answer.notify_waiters();
    }
    came_up(handle, node);
    let mut unwanted = bytes::BytesMut::new();
    loop {
        let state = |link: &mut Link| (link.broken, link.is_blocked(), link.congested_until());
        let (blocked, congested) = match outgoing(handle, node, state) {
            Some((false, blocked, congested)) => (blocked, congested),
            _ => return,
        };
        tokio::select! {
            ready = stream.readable() => {
                // nobody writes in this direction: it is the end, or somebody who is no node
                unwanted.reserve(1);
                match ready.and_then(|()| stream.try_read(&mut unwanted)) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    end => {
                        warn!(%node, ?end, "the connection to a node ended");
                        return;
                    }
                }
            }
            _ = stream.writable(), if blocked => drop(outgoing(handle, node, Link::unblock)),
            () = wake.notified() => {}
            () = until(congested), if congested.is_some() => {
                error!(%node, "a node does not read, its connection is made anew");
                return;
            }
            () = restart.notified() => return,
        }
    }
}

fn outgoing<T>(handle: &Handle, node: Pnn, act: impl FnOnce(&mut Link) -> T) -> Option<T> {
    handle
        .borrow_mut()
        .transport
        .peers
        .get_mut(&node)?
        .outgoing
        .as_mut()
        .map(act)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sign_counts_at_once_and_the_next_a_second_later() {
        let sign = Rc::new(Notify::new());
        let begin = Instant::now();
        let mut signs = Signs {
            sign: sign.clone(),
            next: begin,
        };
        for second in 0..2 {
            sign.notify_one();
            signs.next(Duration::ZERO).await;
            assert!(Instant::now() >= begin + second * RETRY);
            assert!(signs.next >= begin + (second + 1) * RETRY);
        }
    }
}
