//! Messages and tunnels: from any process of the cluster to whoever registered the address.
//!
//! A message goes to every client that registered its SRVID, and to those that registered [`Srvid::ALL`]. A tunnel has
//! one owner on a node; its packets go to that client alone.

use std::collections::BTreeMap;

use database::io::Input as EngineInput;
use tracing::{debug, info};
use wire::packet::{Body, Header, Packet, ReqMessage, ReqTunnel};
use wire::{ClientId, Pnn, ReqId, Srvid, TunnelId};

use super::Daemon;
use super::io::Output;

/// Addresses that a client may have registered, and as many tunnels: smbd has a handful of them.
const MOST: usize = 10_000;

/// Who gets the messages to an SRVID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listener {
    Client(ClientId),
    /// Records of a recovery that are pushed to this node.
    Database,
}

/// The registrations of this node.
#[derive(Debug, Default)]
pub(super) struct Router {
    srvids: BTreeMap<Srvid, Vec<Listener>>,
    tunnels: BTreeMap<TunnelId, ClientId>,
    /// How many addresses and tunnels a client has.
    counts: BTreeMap<ClientId, [usize; 2]>,
}

impl Router {
    /// False if the client has too many.
    pub(super) fn register(&mut self, srvid: Srvid, client: ClientId) -> bool {
        let [count, _] = self.counts.entry(client).or_default();
        if *count >= MOST {
            return false;
        }
        *count += 1;
        self.srvids
            .entry(srvid)
            .or_default()
            .push(Listener::Client(client));
        true
    }

    pub(super) fn srvid_count(&self) -> usize {
        self.srvids.values().map(Vec::len).sum()
    }

    pub(super) fn tunnel_count(&self) -> usize {
        self.tunnels.len()
    }

    /// False if the client had not registered it.
    pub(super) fn deregister(&mut self, srvid: Srvid, client: ClientId) -> bool {
        let removed = self.remove(srvid, Listener::Client(client));
        if let Some([count, _]) = self.counts.get_mut(&client).filter(|_| removed) {
            *count -= 1;
        }
        removed
    }

    pub(super) fn database_listens(&mut self, srvid: Srvid, listens: bool) {
        if listens {
            self.srvids
                .entry(srvid)
                .or_default()
                .push(Listener::Database);
        } else {
            self.remove(srvid, Listener::Database);
        }
    }

    fn remove(&mut self, srvid: Srvid, listener: Listener) -> bool {
        let Some(listeners) = self.srvids.get_mut(&srvid) else {
            return false;
        };
        let Some(position) = listeners.iter().position(|other| *other == listener) else {
            return false;
        };
        listeners.remove(position);
        if listeners.is_empty() {
            self.srvids.remove(&srvid);
        }
        true
    }

    pub(super) fn is_registered(&self, srvid: Srvid, client: ClientId) -> bool {
        self.srvids
            .get(&srvid)
            .is_some_and(|listeners| listeners.contains(&Listener::Client(client)))
    }

    /// Whether anybody on this node has it.
    pub(super) fn is_heard(&self, srvid: Srvid) -> bool {
        self.srvids.contains_key(&srvid)
    }

    fn listeners(&self, srvid: Srvid) -> Vec<Listener> {
        let to = |srvid| self.srvids.get(&srvid).into_iter().flatten().copied();
        to(srvid).chain(to(Srvid::ALL)).collect()
    }

    /// False if somebody has it, or the client has too many.
    pub(super) fn register_tunnel(&mut self, tunnel: TunnelId, client: ClientId) -> bool {
        let [_, count] = self.counts.entry(client).or_default();
        let free = !self.tunnels.contains_key(&tunnel) && *count < MOST;
        if free {
            *count += 1;
            self.tunnels.insert(tunnel, client);
        }
        free
    }

    /// False if the client does not have it.
    pub(super) fn deregister_tunnel(&mut self, tunnel: TunnelId, client: ClientId) -> bool {
        let owned = self.tunnels.get(&tunnel) == Some(&client);
        if owned {
            self.tunnels.remove(&tunnel);
            if let Some([_, count]) = self.counts.get_mut(&client) {
                *count -= 1;
            }
        }
        owned
    }

    /// A client is gone, with its registrations.
    pub(super) fn forget(&mut self, client: ClientId) {
        self.srvids.retain(|_, listeners| {
            listeners.retain(|listener| *listener != Listener::Client(client));
            !listeners.is_empty()
        });
        self.tunnels.retain(|_, owner| *owner != client);
        self.counts.remove(&client);
    }
}

impl Daemon {
    /// Sends a message to a node or to every node of a broadcast address. On this node it arrives at once: the records of
    /// a DB_PULL have to be there before its reply.
    pub(super) fn send_message(
        &mut self,
        to: Pnn,
        srvid: Srvid,
        data: &[u8],
        out: &mut Vec<Output>,
    ) {
        for node in self.nodes_of(to) {
            if node == self.me {
                self.deliver(node, srvid, data, out);
            } else {
                self.send_node(
                    node,
                    ReqId(0),
                    Body::ReqMessage(ReqMessage { srvid, data }),
                    out,
                );
            }
        }
    }

    /// Hands a message to those of this node who registered its SRVID.
    pub(super) fn deliver(
        &mut self,
        source: Pnn,
        srvid: Srvid,
        data: &[u8],
        out: &mut Vec<Output>,
    ) {
        for listener in self.router.listeners(srvid) {
            match listener {
                Listener::Client(client) => {
                    let body = Body::ReqMessage(ReqMessage { srvid, data });
                    self.send_client_from(source, client, ReqId(0), body, out);
                }
                Listener::Database => {
                    self.tell_engine(
                        EngineInput::Pushed {
                            srvid,
                            data: data.to_vec(),
                        },
                        out,
                    );
                }
            }
        }
    }

    /// Sends a client's tunnel packet on, with its request id: the tunnel's users match answers by it (C loses it).
    pub(super) fn send_tunnel(
        &mut self,
        to: Pnn,
        reqid: ReqId,
        tunnel: &ReqTunnel<'_>,
        out: &mut Vec<Output>,
    ) {
        if !self.router.tunnels.contains_key(&tunnel.tunnel) {
            info!(tunnel = %tunnel.tunnel, "tunnel id not registered, dropping pkt");
            return;
        }
        for node in self.nodes_of(to) {
            let body = Body::ReqTunnel(*tunnel);
            if node == self.me {
                let header = self.header(node, reqid, &body);
                self.deliver_tunnel(&header, tunnel, out);
            } else {
                self.send_node(node, reqid, body, out);
            }
        }
    }

    /// Hands a tunnel packet to the tunnel's owner on this node.
    pub(super) fn deliver_tunnel(
        &mut self,
        header: &Header,
        tunnel: &ReqTunnel<'_>,
        out: &mut Vec<Output>,
    ) {
        let Some(client) = self.router.tunnels.get(&tunnel.tunnel).copied() else {
            debug!(tunnel = %tunnel.tunnel, "Tunnel id not registered");
            return;
        };
        self.statistics.client_packets_sent += 1;
        let body = Body::ReqTunnel(*tunnel);
        let header = Header {
            destination: self.me,
            generation: self.generation,
            ..*header
        };
        out.push(Output::ToClient {
            client,
            packet: Packet { header, body }.to_bytes(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREEDY: ClientId = ClientId(1);
    const OTHER: ClientId = ClientId(2);

    #[test]
    fn one_client_cannot_register_without_end() {
        let mut router = Router::default();
        let register = |router: &mut Router, number, client| {
            let address = router.register(Srvid(number), client);
            address && router.register_tunnel(TunnelId(number), client)
        };
        for number in 0..MOST as u64 {
            assert!(register(&mut router, number, GREEDY));
        }
        assert!(!router.register(Srvid(7), GREEDY));
        assert!(!router.register_tunnel(TunnelId(1 << 40), GREEDY));
        assert!(register(&mut router, 1 << 40, OTHER));
        assert!(router.deregister(Srvid(7), GREEDY) && router.register(Srvid(7), GREEDY));
        assert!(!router.deregister(Srvid(1 << 41), GREEDY) && !router.register(Srvid(7), GREEDY));
        router.forget(GREEDY);
        assert_eq!((router.srvid_count(), router.tunnel_count()), (1, 1));
        assert!(register(&mut router, 8, GREEDY));
    }
}
