//! Public addresses in whole daemons: who hears of them, and which connections every node knows.

#[expect(dead_code, reason = "parts of the rig are for other tests")]
mod rig;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ctdbd::daemon::Input;
use rig::{CLIENT, Cluster, Got};
use wire::control::{GetPublicIps, GetTcpTickleList, Request};
use wire::types::{Connection, PublicIp, SockAddr};
use wire::{Pnn, Srvid};

const ADDRESS: &str = "192.0.2.200";

fn cluster() -> Cluster {
    Cluster::with_addresses(2, &[ip()])
}

fn ip() -> IpAddr {
    ADDRESS.parse().expect("an address")
}

fn on(pnn: Pnn) -> PublicIp {
    PublicIp {
        pnn,
        addr: ip().into(),
    }
}

/// From a client of its own to the address.
fn connection(port: u16) -> Connection {
    Connection {
        src: SocketAddr::from(([198, 51, 100, 7], port)).into(),
        dst: SocketAddr::new(ip(), 445).into(),
    }
}

fn host_on_node_0(cluster: &mut Cluster) {
    assert_eq!(cluster.ask(1, Pnn(1), &Request::ReleaseIp(on(Pnn(0)))).0, 0);
    assert_eq!(
        cluster.ask(1, Pnn(0), &Request::TakeoverIp(on(Pnn(0)))).0,
        0
    );
}

/// The nodes that have the address, as each node says.
fn hosts(cluster: &mut Cluster) -> [Pnn; 2] {
    [0, 1].map(|node| {
        let list = cluster.get::<GetPublicIps>(node, Pnn::CURRENT, &Request::GetPublicIps);
        list.ips[0].pnn
    })
}

/// The clients' ports that a node knows.
fn ports(cluster: &mut Cluster, node: usize) -> Vec<u16> {
    let request = Request::GetTcpTickleList(SockAddr::from(ip()));
    let list = cluster.get::<GetTcpTickleList>(node, Pnn::CURRENT, &request);
    let connections = list.connections.iter();
    connections
        .map(|connection| connection.src.port())
        .collect()
}

#[test]
fn clients_that_registered_hear_of_an_address_that_comes_and_goes() {
    let mut cluster = cluster();
    for srvid in [Srvid::TAKE_IP, Srvid::RELEASE_IP] {
        for node in [0, 1] {
            assert_eq!(
                cluster
                    .ask(node, Pnn::CURRENT, &Request::RegisterSrvid(srvid))
                    .0,
                0
            );
        }
    }
    host_on_node_0(&mut cluster);
    assert_eq!(hosts(&mut cluster), [Pnn(0), Pnn(0)]);
    assert_eq!(cluster.ask(1, Pnn(0), &Request::ReleaseIp(on(Pnn(1)))).0, 0);
    assert_eq!(
        cluster.ask(1, Pnn(1), &Request::TakeoverIp(on(Pnn(1)))).0,
        0
    );
    assert_eq!(hosts(&mut cluster), [Pnn(1), Pnn(1)]);
    let message = |srvid| Got::Message {
        srvid,
        data: format!("{ADDRESS}\0").into_bytes(),
    };
    assert_eq!(
        cluster.take(0),
        [message(Srvid::TAKE_IP), message(Srvid::RELEASE_IP)]
    );
    assert_eq!(cluster.take(1), [message(Srvid::TAKE_IP)]);
}

#[test]
fn every_node_knows_the_connections_to_an_address() {
    let mut cluster = cluster();
    let refused = cluster.ask(0, Pnn::CURRENT, &Request::TcpClient(connection(1)));
    assert_eq!(refused.0, -1, "it is not there");
    host_on_node_0(&mut cluster);
    for port in [1, 2] {
        let request = Request::TcpClient(connection(port));
        assert_eq!(cluster.ask(0, Pnn::CURRENT, &request).0, 0);
    }
    assert_eq!(ports(&mut cluster, 0), [1, 2]);
    assert_eq!(ports(&mut cluster, 1), [1, 2]);
    let gone = Request::TcpClientDisconnected(connection(1));
    assert_eq!(cluster.ask(0, Pnn::CURRENT, &gone).0, 0);
    assert_eq!(ports(&mut cluster, 1), [2]);
    // the other node's list follows when it is sent whole
    cluster.input(0, Input::ClientGone(CLIENT));
    assert_eq!(ports(&mut cluster, 1), [2]);
    cluster.wait(Duration::from_secs(21));
    assert_eq!(ports(&mut cluster, 1), [0; 0]);
}

#[test]
fn a_node_that_has_started_gets_the_lists() {
    let mut cluster = cluster();
    host_on_node_0(&mut cluster);
    // as `ctdb addtickle` tells one node alone
    let request = Request::TcpAddDelayedUpdate(connection(9));
    assert_eq!(cluster.ask(0, Pnn::CURRENT, &request).0, 0);
    assert_eq!(ports(&mut cluster, 1), [0; 0]);
    assert_eq!(cluster.ask(1, Pnn(0), &Request::Startup).0, 0);
    assert_eq!(ports(&mut cluster, 1), [9]);
}
