//! TCP connections to public addresses.
//!
//! smbd tells its own daemon of each connection (TCP_CLIENT), the daemon tells all nodes (TCP_ADD), and so
//! the node that takes an address over knows whom to tickle. The node that has an address sends the whole
//! list to the others when it changed otherwise (SET_TCP_TICKLE_LIST, each TickleUpdateInterval), and to
//! all when a node has started (STARTUP).

use core::hash::BuildHasherDefault;
use std::hash::DefaultHasher;

use indexmap::IndexSet;
use tracing::{debug, error};
use wire::coding::Encode;
use wire::control::Request;
use wire::types::{Connection, SockAddr, TickleList};
use wire::{ClientId, Pnn};

use crate::address::State;
use crate::engine::Failover;
use crate::io::{ControlRequest, Output, Token};

/// How many connections to one address are kept: as many as could be told of in 56 MB.
const MOST: usize = 1_000_000;

type Set = IndexSet<Connection, BuildHasherDefault<DefaultHasher>>;

/// The connections to one address.
#[derive(Debug, Default)]
pub(crate) struct Tickles {
    connections: Set,
    /// The other nodes have to be told.
    pub(crate) changed: bool,
}

impl Tickles {
    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Those to a port, or all if that is 0.
    fn to_port(&self, port: u16) -> Vec<Connection> {
        let all = self.connections.iter().copied();
        all.filter(|connection| port == 0 || connection.dst.port() == port)
            .collect()
    }

    /// The last one takes the place of the one that is removed, as C's list has it.
    fn remove(&mut self, connection: &Connection) {
        if self.connections.swap_remove(connection) {
            self.changed = true;
        }
    }

    /// Takes all, to tickle them: the clients will connect anew.
    pub(crate) fn take(&mut self) -> Vec<Connection> {
        let taken: Vec<_> = core::mem::take(&mut self.connections).into_iter().collect();
        self.changed |= !taken.is_empty();
        taken
    }
}

/// What a control is answered with.
type Answer = Result<(i32, Vec<u8>), &'static str>;

const DONE: Answer = Ok((0, Vec::new()));

impl Failover {
    pub(crate) fn connection_control(&mut self, control: &ControlRequest, out: &mut Vec<Output>) {
        let token = control.token;
        let answer = match &control.request {
            Request::TcpAdd(connection) => self.add(connection, false),
            Request::TcpAddDelayedUpdate(connection) => self.add(connection, true),
            Request::TcpRemove(connection) => self.remove(connection),
            Request::SetTcpTickleList(list) => self.set_list(list),
            Request::GetTcpTickleList(addr) => self.list(addr),
            Request::Startup => {
                debug!("Received startup control from node {}", control.source);
                self.send_tickle_lists(true, out);
                DONE
            }
            request => match control.client {
                Some(client) => self.client_control(client, request, out),
                None => Err("only a local client can ask this"),
            },
        };
        out.push(reply(token, answer));
    }

    /// What a client says of its own connections.
    fn client_control(
        &mut self,
        client: ClientId,
        request: &Request,
        out: &mut Vec<Output>,
    ) -> Answer {
        match request {
            Request::TcpClient(connection) => self.register(client, canonical(connection), out),
            Request::TcpClientDisconnected(connection) => {
                self.disconnected(client, canonical(connection), out)
            }
            Request::TcpClientPassed(connection) => {
                // the connection lives on, with another client
                self.forget(client, &canonical(connection));
                DONE
            }
            _ => Err("not a control about connections"),
        }
    }

    fn register(
        &mut self,
        client: ClientId,
        connection: Connection,
        out: &mut Vec<Output>,
    ) -> Answer {
        let dst = connection.dst;
        match self.table.find(&dst) {
            _ if self.table.is_empty() => return DONE,
            None => {
                let loopback = dst.ip().is_some_and(|ip| ip.is_loopback());
                if !loopback {
                    error!(
                        "Could not register TCP connection from {} to {dst} (not a public address) (port {}) \
                            (client_id {client}).",
                        connection.src,
                        dst.port()
                    );
                }
                return DONE;
            }
            Some(address) if address.node != self.me => {
                error!(
                    "Attempt to register tcp client for IP {dst} we don't hold - failing (client_id {client})"
                );
                // smbd ends its connection then
                return Err("the address is not here");
            }
            Some(_) => {}
        }
        debug!(%client, src = %connection.src, %dst, "registered tcp client");
        let connections = self.clients.entry(client).or_default();
        if connections.len() >= MOST {
            return Err("too many connections");
        }
        connections.push(connection);
        out.push(tell_all(Request::TcpAdd(connection)));
        DONE
    }

    /// Of an address that is on its way to another node that node has to know.
    fn disconnected(
        &mut self,
        client: ClientId,
        connection: Connection,
        out: &mut Vec<Output>,
    ) -> Answer {
        if self.forget(client, &connection) {
            let stays = self.table.find(&connection.dst).is_none_or(|address| {
                address.node == self.me && !matches!(address.state, State::Releasing(_))
            });
            if stays {
                out.push(tell_all(Request::TcpRemove(connection)));
            }
        }
        DONE
    }

    /// False if the client has no such connection.
    fn forget(&mut self, client: ClientId, connection: &Connection) -> bool {
        let Some(connections) = self.clients.get_mut(&client) else {
            return false;
        };
        let before = connections.len();
        connections.retain(|known| known != connection);
        let found = connections.len() < before;
        if connections.is_empty() {
            self.clients.remove(&client);
        }
        found
    }

    /// A client that ends of itself ends its connections. One that ended because its address goes to
    /// another node leaves them for that node to tickle.
    pub(crate) fn client_gone(&mut self, client: ClientId) {
        for connection in self.clients.remove(&client).into_iter().flatten() {
            let me = self.me;
            if let Some(address) = self.table.find_mut(&connection.dst)
                && address.node == me
                && !matches!(address.state, State::Releasing(_))
            {
                address.tickles.remove(&connection);
            }
        }
    }

    fn add(&mut self, connection: &Connection, tell_later: bool) -> Answer {
        if self.table.is_empty() {
            return DONE;
        }
        let connection = canonical(connection);
        let Some(address) = self.table.find_mut(&connection.dst) else {
            let dst = connection.dst;
            debug!("got TCP_ADD control for an address which is not a public address '{dst}'");
            return Err("not a public address");
        };
        let tickles = &mut address.tickles;
        if tickles.len() >= MOST {
            return Err("too many connections");
        }
        if tickles.connections.insert(connection) {
            tickles.changed |= tell_later;
        }
        DONE
    }

    fn remove(&mut self, connection: &Connection) -> Answer {
        let connection = canonical(connection);
        let any = !self.table.is_empty();
        match self.table.find_mut(&connection.dst) {
            Some(address) => address.tickles.remove(&connection),
            None if any => error!("unable to find public address {}", connection.dst),
            None => {}
        }
        DONE
    }

    /// The list of the node that has the address; this node knows its own best.
    fn set_list(&mut self, list: &TickleList) -> Answer {
        let me = self.me;
        match self.table.find_mut(&list.addr) {
            None => Ok((NOT_PUBLIC, Vec::new())),
            Some(address) if address.node == me => DONE,
            Some(address) => {
                let connections = list.connections.iter().take(MOST);
                address.tickles.connections = connections.map(canonical).collect();
                DONE
            }
        }
    }

    fn list(&self, addr: &SockAddr) -> Answer {
        let Some(address) = self.table.find(addr) else {
            error!("Could not get tcp tickle list, '{addr}' is not a public address");
            return Ok((NOT_PUBLIC, Vec::new()));
        };
        let list = TickleList {
            addr: *addr,
            connections: address.tickles.to_port(addr.port()),
        };
        Ok((0, list.to_bytes()))
    }

    /// Sends the lists of the addresses that are here to all nodes: the changed ones, or all.
    pub(crate) fn send_tickle_lists(&mut self, all: bool, out: &mut Vec<Output>) {
        for ip in self.table.ips() {
            let me = self.me;
            let Some(address) = self.table.get_mut(ip) else {
                continue;
            };
            if address.node == me && (all || address.tickles.changed) {
                address.tickles.changed = false;
                let list = TickleList {
                    addr: address.wire(),
                    connections: address.tickles.to_port(0),
                };
                out.push(Output::Control {
                    destination: Pnn::BROADCAST_ALL,
                    request: Request::SetTcpTickleList(list),
                });
            }
        }
    }
}

/// The status of a question about an address that is not public (`ctdb_takeover.c`, 4.17.12).
const NOT_PUBLIC: i32 = 1;

fn canonical(connection: &Connection) -> Connection {
    Connection {
        src: connection.src.canonical(),
        dst: connection.dst.canonical(),
    }
}

fn tell_all(request: Request) -> Output {
    Output::Control {
        destination: Pnn::BROADCAST_CONNECTED,
        request,
    }
}

fn reply(token: Token, answer: Answer) -> Output {
    match answer {
        Ok((status, data)) => Output::data(token, status, data),
        Err(why) => Output::failed(token, why),
    }
}
