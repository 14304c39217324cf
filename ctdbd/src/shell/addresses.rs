//! What public addresses need of the machine: its interfaces, packets that tell others where an address is,
//! and the file that lists them.

use std::net::IpAddr;

use config::{Paths, PublicAddress, public_addresses};
use failover::{Configured, System};
use sys::network::{self, Tickler};
use tracing::{debug, error, warn};
use wire::types::Connection;

/// This machine's interfaces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ThisMachine;

impl System for ThisMachine {
    fn has_address(&self, address: IpAddr) -> bool {
        network::has_address(address)
    }

    fn has_interface(&self, name: &str) -> bool {
        network::has_interface(name)
    }
}

/// Reads the file of public addresses; without a file there are none.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn load(
    paths: &Paths,
) -> Result<Vec<Configured>, public_addresses::PublicAddressesError> {
    let file = paths.public_addresses();
    let lines = public_addresses::load(&file)?;
    if lines.is_none() {
        warn!("Not loading public addresses, no file {}", file.display());
    }
    Ok(lines.into_iter().flatten().map(configured).collect())
}

fn configured(line: PublicAddress) -> Configured {
    let PublicAddress {
        address,
        mask,
        interfaces,
    } = line;
    Configured {
        address,
        mask,
        interfaces,
    }
}

/// Tells the network of an interface where an address is.
pub(crate) fn announce(address: IpAddr, interface: &str) {
    if let Err(error) = network::announce(address, interface) {
        error!("Failed to send ARP on interface {interface}: {error}");
    }
}

/// Connections that are tickled in one turn.
const TICKLED_AT_ONCE: usize = 256;

/// Has the clients of connections find out that these are lost. That some cannot be sent is said once for all
/// of them.
pub(crate) async fn tickle(connections: Vec<Connection>) {
    let mut tickler = Tickler::default();
    let mut errors = Vec::new();
    for chunk in connections.chunks(TICKLED_AT_ONCE) {
        let sent = chunk
            .iter()
            .map(|connection| tickle_one(&mut tickler, connection));
        errors.extend(sent.filter_map(Result::err));
        tokio::task::yield_now().await;
    }
    if let Some(first) = errors.first() {
        let (failed, all) = (errors.len(), connections.len());
        error!("Failed to send {failed} of {all} TCP tickle ACKs, the first: {first}");
    }
}

fn tickle_one(tickler: &mut Tickler, connection: &Connection) -> Result<(), String> {
    let ends = (connection.dst.socket_addr(), connection.src.socket_addr());
    let (Some(server), Some(client)) = ends else {
        return Err("no address".to_owned());
    };
    debug!("Send TCP tickle ACK: {server} -> {client}");
    let sent = tickler.send(server, client);
    sent.map_err(|error| format!("{server} -> {client}: {error}"))
}
