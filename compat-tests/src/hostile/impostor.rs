//! A node that sends what must not be taken: from the address of a node of the nodes file, where no ctdbd runs.
//!
//! ```text
//!   alone    connects, sends, is cut off, connects again. It never listens, so nobody counts it as connected.
//!   member   listens too, sends keepalives and answers the leader: a stopped node, connected with all.
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, setns};
use wire::coding::Encode;
use wire::control::Opcode;
use wire::packet::{Body, ControlFlags, Packet, ReplyControl, ReqKeepalive};
use wire::types::{Capabilities, NodeAndFlags, NodeFlags, NodeMap, SockAddr, VnnMap};
use wire::{Generation, Pnn, ReqId, Srvid};

use super::breaking::{Due, Malformed};
use super::rogue::PATIENCE;
use super::stream::{Address, Wire, check_closed, receive};
use crate::host::address;

/// Where daemons listen for other nodes (the service "ctdb").
pub(super) const PORT: u16 = 4379;
/// Half of KeepaliveInterval in these clusters.
const KEEPALIVE: Duration = Duration::from_millis(500);
/// The release that our daemons claim: of two that differ the younger ends.
const VERSION: u32 = 0x0004_0011;

fn pnn(number: usize) -> Pnn {
    Pnn(u32::try_from(number).expect("few nodes"))
}

/// Runs something in a node's network; a socket stays in the network in which it was made.
///
/// # Errors
/// There is no such network, or those of `run`.
pub(super) fn within_network<T: Send>(
    network: &Path,
    run: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    let network = File::open(network)?;
    let inside = move || {
        setns(network, CloneFlags::CLONE_NEWNET).context("the node's network")?;
        run()
    };
    std::thread::scope(|scope| match scope.spawn(inside).join() {
        Ok(done) => done,
        Err(_) => bail!("the thread panicked"),
    })
}

pub(super) fn connect(to: usize) -> Result<TcpStream> {
    let to = SocketAddr::new(address(to), PORT);
    let stream = TcpStream::connect_timeout(&to, PATIENCE).context("connect")?;
    stream.set_nodelay(true)?;
    stream.set_patience(PATIENCE)?;
    Ok(stream)
}

/// Sends a packet that ends the connection, which is made for it; in the node's network.
///
/// # Errors
/// The connection is not ended.
pub(super) fn send_alone(me: usize, to: usize, malformed: &Malformed) -> Result<()> {
    let mut bytes = malformed.bytes.clone();
    let address = Address {
        from: pnn(me),
        to: pnn(to),
        generation: Generation(0),
        reqid: ReqId(1),
    };
    address.put_on(&mut bytes);
    check_closed(connect(to)?, &bytes, malformed.ends)
}

/// The impostor as a member of the cluster, until it is dropped.
#[derive(Debug)]
pub(super) struct Member {
    links: BTreeMap<usize, Link>,
    over: Arc<AtomicBool>,
    deaf: Arc<AtomicBool>,
}

/// Its connections with a node.
#[derive(Debug)]
pub(super) struct Link {
    me: Pnn,
    to: Pnn,
    generation: Generation,
    reqid: u32,
    outgoing: Outgoing,
    answers: Receiver<(ReqId, i32)>,
}

type Outgoing = Arc<Mutex<TcpStream>>;

fn write(outgoing: &Outgoing, packet: &[u8]) -> Result<()> {
    let mut stream = outgoing.lock().unwrap_or_else(PoisonError::into_inner);
    stream.write_all(packet).context("write")
}

impl Member {
    /// Joins a cluster of which `me` is the last node; in its network.
    ///
    /// # Errors
    /// A node does not connect.
    pub(super) fn join(me: usize, generation: Generation) -> Result<Self> {
        let listener = TcpListener::bind(SocketAddr::new(address(me), PORT))?;
        listener.set_nonblocking(true)?;
        let [over, deaf] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let mut links = BTreeMap::new();
        let mut incoming = accept_all(&listener, me)?;
        for to in 0..me {
            let outgoing = Arc::new(Mutex::new(connect(to)?));
            let (tell, answers) = channel();
            let reader = Reader {
                me,
                to: pnn(to),
                generation,
                outgoing: outgoing.clone(),
                tell,
                over: over.clone(),
                deaf: deaf.clone(),
            };
            let stream = incoming.remove(&to).context("not connected")?;
            std::thread::spawn(move || reader.run(stream));
            let link = Link {
                me: pnn(me),
                to: pnn(to),
                generation,
                reqid: 0,
                outgoing,
                answers,
            };
            link.keep_alive(over.clone());
            links.insert(to, link);
        }
        Ok(Self { links, over, deaf })
    }

    /// Reads nothing from now on.
    pub(super) fn be_deaf(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    pub(super) fn link(&mut self, to: usize) -> Result<&mut Link> {
        self.links.get_mut(&to).context("no such node")
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for link in self.links.values() {
            let stream = link.outgoing.lock().unwrap_or_else(PoisonError::into_inner);
            // it may be ended already
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// A connection of every other node.
fn accept_all(listener: &TcpListener, me: usize) -> Result<BTreeMap<usize, TcpStream>> {
    let mut incoming = BTreeMap::new();
    let end = Instant::now() + PATIENCE;
    while incoming.len() < me {
        match listener.accept() {
            Ok((stream, from)) => {
                stream.set_nonblocking(false)?;
                let node = (0..me).find(|node| address(*node) == from.ip());
                incoming.insert(node.context("who is that?")?, stream);
            }
            Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
            Err(why) => return Err(why).context("not every node connects"),
        }
    }
    Ok(incoming)
}

impl Link {
    fn address(&mut self) -> Address {
        self.reqid = self.reqid.wrapping_add(1).max(1);
        Address {
            from: self.me,
            to: self.to,
            generation: self.generation,
            reqid: ReqId(self.reqid),
        }
    }

    /// Keepalives, until it is over or the connection ends.
    fn keep_alive(&self, over: Arc<AtomicBool>) {
        let address = Address {
            from: self.me,
            to: self.to,
            generation: self.generation,
            reqid: ReqId(0),
        };
        let keepalive = address.packet(Body::ReqKeepalive(ReqKeepalive {
            version: VERSION,
            uptime: 1,
        }));
        let outgoing = self.outgoing.clone();
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) && write(&outgoing, &keepalive).is_ok() {
                std::thread::sleep(KEEPALIVE);
            }
        });
    }

    /// Sends a malformed packet; what is due has to come.
    ///
    /// # Errors
    /// Says what came instead.
    pub(super) fn send(&mut self, malformed: &Malformed) -> Result<()> {
        let mut bytes = malformed.bytes.clone();
        let address = self.address();
        address.put_on(&mut bytes);
        match malformed.due {
            Due::Closed => bail!("would end the connection"),
            Due::Refused => {
                let status = self.ask(&bytes, address.reqid)?;
                ensure!(status != 0, "was done");
                Ok(())
            }
            Due::Nothing => {
                write(&self.outgoing, &bytes)?;
                self.check_served()
            }
        }
    }

    fn ask(&self, control: &[u8], reqid: ReqId) -> Result<i32> {
        write(&self.outgoing, control)?;
        loop {
            let (answered, status) = self.answers.recv_timeout(PATIENCE).context("no answer")?;
            if answered == reqid {
                return Ok(status);
            }
        }
    }

    /// A control's status.
    pub(super) fn control(&mut self, opcode: Opcode, data: &[u8]) -> Result<i32> {
        let address = self.address();
        let control = address.control(opcode.number(), Srvid(0), data);
        self.ask(&control, address.reqid)
    }

    /// The daemon still says who it is.
    pub(super) fn check_served(&mut self) -> Result<()> {
        let status = self.control(Opcode::GetPnn, &[])?;
        ensure!(status == self.to.0.cast_signed(), "GET_PNN says {status}");
        Ok(())
    }

    /// Sends a packet, and waits for nothing.
    pub(super) fn push(&mut self, body: Body<'_>) -> Result<()> {
        let packet = self.address().packet(body);
        write(&self.outgoing, &packet)
    }
}

/// Reads what a node sends: answers what it asks, and passes on what it answers.
struct Reader {
    me: usize,
    to: Pnn,
    generation: Generation,
    outgoing: Outgoing,
    tell: Sender<(ReqId, i32)>,
    over: Arc<AtomicBool>,
    deaf: Arc<AtomicBool>,
}

impl Reader {
    /// Until the connection ends, or nobody listens.
    fn run(self, mut stream: TcpStream) {
        while let Ok(Some(bytes)) = receive(&mut stream) {
            while self.deaf.load(Ordering::Relaxed) && !self.over.load(Ordering::Relaxed) {
                std::thread::sleep(KEEPALIVE);
            }
            let Ok(packet) = Packet::decode(&bytes) else {
                return;
            };
            let reqid = packet.header.reqid;
            let done = match packet.body {
                Body::ReplyControl(reply) => self.tell.send((reqid, reply.status)).is_ok(),
                Body::ReqControl(control) if !control.flags.contains(ControlFlags::NOREPLY) => {
                    self.answer(control.opcode, reqid).is_ok()
                }
                _ => true,
            };
            if !done {
                return;
            }
        }
    }

    fn answer(&self, opcode: u32, reqid: ReqId) -> Result<()> {
        let data = match Opcode::from_u32(opcode) {
            Some(Opcode::GetNodemap) => self.node_map().to_bytes(),
            Some(Opcode::GetVnnMap) => VnnMap {
                generation: self.generation,
                map: (0..self.me).map(pnn).collect(),
            }
            .to_bytes(),
            Some(Opcode::GetCapabilities) => Capabilities::empty().to_bytes(),
            _ => Vec::new(),
        };
        let address = Address {
            from: pnn(self.me),
            to: self.to,
            generation: Generation(0),
            reqid,
        };
        let reply = ReplyControl {
            status: 0,
            data: &data,
            error: &[],
        };
        write(&self.outgoing, &address.packet(Body::ReplyControl(reply)))
    }

    /// All are well, and this one is stopped.
    fn node_map(&self) -> NodeMap {
        let entry = |number: usize| NodeAndFlags {
            pnn: pnn(number),
            flags: match number == self.me {
                true => NodeFlags::STOPPED,
                false => NodeFlags::empty(),
            },
            addr: SockAddr::from(SocketAddr::new(address(number), PORT)),
        };
        NodeMap {
            nodes: (0..=self.me).map(entry).collect(),
        }
    }
}
