//! The local clients: their processes, and the messages that announce their end.

use std::collections::BTreeMap;

use wire::{ClientId, Srvid};

/// One connection to the daemon's socket.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) pid: i32,
    /// Sent to all nodes when the client is gone (REGISTER_NOTIFY).
    pub(super) notify: BTreeMap<Srvid, Vec<u8>>,
}

/// All local clients.
#[derive(Debug, Default)]
pub(super) struct Clients(BTreeMap<ClientId, Client>);

impl Clients {
    pub(super) fn add(&mut self, client: ClientId, pid: i32) {
        self.0.insert(
            client,
            Client {
                pid,
                ..Client::default()
            },
        );
    }

    pub(super) fn remove(&mut self, client: ClientId) -> Option<Client> {
        self.0.remove(&client)
    }

    pub(super) fn get_mut(&mut self, client: ClientId) -> Option<&mut Client> {
        self.0.get_mut(&client)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ClientId, &Client)> {
        self.0.iter().map(|(id, client)| (*id, client))
    }

    /// The clients of a process; one process may have many connections.
    pub(super) fn of_process(&self, pid: i32) -> impl Iterator<Item = ClientId> + '_ {
        self.0
            .iter()
            .filter(move |(_, client)| client.pid == pid)
            .map(|(id, _)| *id)
    }
}
