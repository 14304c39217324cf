//! Bad packets: the daemon that gets them lives on, its neighbours and clients do not notice, and
//! at most their sender is cut off.
//!
//! They come the two ways that packets can come: from a client of the unix socket, and over TCP
//! from the address of a node (whose own daemon is down meanwhile), or of no node at all.

mod packets;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, setns};

use super::lifecycle;
use crate::cluster::Cluster;
use crate::host::address;
use crate::node::Node;
use crate::report::{Report, within};

/// Where daemons listen for other nodes (the service "ctdb").
const PORT: u16 = 4379;
const SOCKET: &str = "/run/ctdb/ctdbd.socket";
/// An honest client is answered within this time.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn run(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    let target = &cluster.nodes[0];
    let last = &cluster.nodes[cluster.last()];
    if !target.is_ours() {
        println!("# left out: the C daemon of 4.17.12 aborts on the first lying length");
        return Ok(());
    }
    let before = daemon(target)?;
    let mut bystander = Client::connect(target)?;
    for case in packets::all() {
        report.check(&format!("from a client: {}", case.name), || {
            let mut rogue = Client::connect(target)?.0;
            spoil(&mut rogue, &case.bytes);
            bystander.check_answered(target.pnn)
        });
    }
    report.check("an unknown control is answered with an error", || {
        let status = Client::connect(target)?.control(9999, target.pnn)?;
        ensure!(status != 0, "status {status}");
        Ok(())
    });
    // no node has the bridge's own address
    report.check("a stranger is not listened to", || {
        let mut stranger = TcpStream::connect(SocketAddr::new(address(target.pnn), PORT))?;
        stranger.set_read_timeout(Some(PATIENCE))?;
        spoil(&mut stranger, &packets::honest(target.pnn));
        bystander.check_answered(target.pnn)
    });
    last.ctdb(&["shutdown"])?;
    within(20, || last.check_none("ctdbd"))?;
    within(40, || cluster.check_rest_ok())?;
    for case in packets::all() {
        let case = case.addressed(last.pnn, target.pnn);
        report.check(&format!("from a node: {}", case.name), || {
            let mut rogue = connect_from(last, target.pnn)?;
            spoil(&mut rogue, &case.bytes);
            bystander.check_answered(target.pnn)
        });
    }
    report.check("the daemon is still the same", || {
        let now = daemon(target)?;
        ensure!(now == before, "process {now} instead of {before}");
        Ok(())
    });
    report.check("and the cluster is well", || {
        within(40, || cluster.check_rest_ok())
    });
    within(20, || last.check_none("smbd"))?;
    within(20, || last.check_none("ctdb-eventd"))?;
    lifecycle::come_back(cluster, report)
}

/// The process id of a node's daemon, as text.
fn daemon(node: &Node) -> Result<String> {
    node.sh("cat /run/ctdb/ctdbd.pid")
}

/// Sends, and takes whatever comes back for a moment: to be cut off is as good as to be ignored.
fn spoil(stream: &mut (impl Read + Write), bytes: &[u8]) {
    if stream.write_all(bytes).is_ok() {
        let _ = stream.read(&mut [0; 4096]);
    }
}

/// A connection from one node's address to another node's daemon.
fn connect_from(node: &Node, to: usize) -> Result<TcpStream> {
    let network = File::open(node.network())?;
    let connect = move || -> Result<TcpStream> {
        // a socket stays in the network in which it was made; the thread ends with its change
        setns(network, CloneFlags::CLONE_NEWNET).context("the node's network")?;
        let stream = TcpStream::connect(SocketAddr::new(address(to), PORT))?;
        stream.set_read_timeout(Some(Duration::from_millis(300)))?;
        Ok(stream)
    };
    match std::thread::spawn(connect).join() {
        Ok(connected) => connected,
        Err(_) => bail!("the connecting thread panicked"),
    }
}

/// A client of a daemon's unix socket.
struct Client(UnixStream);

impl Client {
    fn connect(node: &Node) -> Result<Self> {
        let path = node.path(SOCKET);
        let stream = UnixStream::connect(&path).with_context(|| path.display().to_string())?;
        stream.set_read_timeout(Some(Duration::from_millis(300)))?;
        Ok(Self(stream))
    }

    /// The daemon still answers who it is.
    fn check_answered(&mut self, pnn: usize) -> Result<()> {
        const GET_PNN: u32 = 35;
        let status = self.control(GET_PNN, pnn)?;
        ensure!(
            usize::try_from(status).ok() == Some(pnn),
            "GET_PNN says {status}"
        );
        Ok(())
    }

    /// The status with which a control without data is answered.
    fn control(&mut self, opcode: u32, pnn: usize) -> Result<i32> {
        self.0.set_read_timeout(Some(PATIENCE))?;
        self.0
            .write_all(&packets::control(opcode, pnn, &[]))
            .context("the daemon cut us off")?;
        packets::reply_status(&self.receive().context("no answer")?)
    }

    fn receive(&mut self) -> Result<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let rest = (u32::from_ne_bytes(length) as usize).saturating_sub(4);
        ensure!(rest < 1 << 20, "an answer of {rest} bytes");
        let mut packet = vec![0; rest];
        self.0.read_exact(&mut packet)?;
        Ok([&length[..], &packet].concat())
    }
}
