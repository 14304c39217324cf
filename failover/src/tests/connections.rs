//! Connections to public addresses.

use core::time::Duration;
use std::net::SocketAddr;

use wire::coding::Decode;
use wire::types::{Connection, SockAddr, TickleList};

use super::*;

const SMBD: ClientId = ClientId(7);

fn addr(text: &str) -> SockAddr {
    text.parse::<SocketAddr>().unwrap().into()
}

/// From a client's port to port 445 of an address.
fn to(address: &str, port: u16) -> Connection {
    let host = if address.contains(':') {
        format!("[{address}]")
    } else {
        address.to_owned()
    };
    Connection {
        src: addr(&format!("192.0.2.9:{port}")),
        dst: addr(&format!("{host}:445")),
    }
}

/// The client ports that are known for an address, in order.
fn ports(bench: &mut Bench, of: &str) -> Vec<u16> {
    let (status, data) = bench.answer(Request::GetTcpTickleList(addr(of)));
    assert_eq!(status, 0);
    let list = TickleList::from_bytes(&data).unwrap();
    list.connections
        .iter()
        .map(|connection| connection.src.port())
        .collect()
}

fn from_client(bench: &mut Bench, request: Request) -> Vec<Output> {
    bench.send(Some(SMBD), ControlFlags::empty(), request);
    bench.take()
}

fn tells_all(outputs: &[Output], what: &Request) -> bool {
    outputs.iter().any(|output| {
        matches!(output, Output::Control { destination: Pnn::BROADCAST_CONNECTED, request }
            if request == what)
    })
}

#[test]
fn all_nodes_hear_of_a_connection_to_an_address_here() {
    let mut bench = Bench::new();
    let connection = to("10.0.0.1", 1);
    let outputs = from_client(&mut bench, Request::TcpClient(connection));
    assert!(
        matches!(outputs[..], [Output::Reply { status: -1, .. }]),
        "not here"
    );
    bench.host("10.0.0.1");
    let mapped = Connection {
        src: addr("[::ffff:192.0.2.9]:1"),
        dst: addr("[::ffff:10.0.0.1]:445"),
    };
    let outputs = from_client(&mut bench, Request::TcpClient(mapped));
    assert!(tells_all(&outputs, &Request::TcpAdd(connection)));
    assert!(outputs.contains(&Output::done(Token(bench.tokens))));
    for elsewhere in ["127.0.0.1", "10.9.9.9"] {
        let outputs = from_client(&mut bench, Request::TcpClient(to(elsewhere, 1)));
        assert_eq!(outputs, [Output::done(Token(bench.tokens))]);
    }
    assert_eq!(
        bench.status(Request::TcpClient(connection)),
        -1,
        "of no client"
    );
}

#[test]
fn the_list_is_in_cs_order() {
    let mut bench = Bench::new();
    for port in [1, 2, 3, 2] {
        assert_eq!(bench.status(Request::TcpAdd(to("10.0.0.1", port))), 0);
    }
    assert_eq!(ports(&mut bench, "10.0.0.1:0"), [1, 2, 3]);
    assert_eq!(bench.status(Request::TcpRemove(to("10.0.0.1", 1))), 0);
    assert_eq!(ports(&mut bench, "10.0.0.1:445"), [3, 2]);
    assert_eq!(ports(&mut bench, "10.0.0.1:446"), [0; 0]);
    assert_eq!(bench.status(Request::TcpAdd(to("10.9.9.9", 1))), -1);
    assert_eq!(bench.status(Request::TcpRemove(to("10.9.9.9", 1))), 0);
    assert_eq!(
        bench.status(Request::GetTcpTickleList(addr("10.9.9.9:0"))),
        1
    );
}

#[test]
fn a_node_without_addresses_does_not_mind() {
    let mut bench = Bench::with(Settings {
        addresses: Vec::new(),
        ..settings()
    });
    for request in [
        Request::TcpAdd(to("10.0.0.1", 1)),
        Request::TcpAddDelayedUpdate(to("10.0.0.1", 1)),
        Request::TcpRemove(to("10.0.0.1", 1)),
        Request::Startup,
    ] {
        assert_eq!(bench.status(request), 0);
    }
    let outputs = from_client(&mut bench, Request::TcpClient(to("10.0.0.1", 1)));
    assert_eq!(outputs, [Output::done(Token(bench.tokens))]);
    assert_eq!(bench.failover.poll_timeout(), None);
}

#[test]
fn the_node_that_has_the_address_tells_the_others() {
    let mut bench = Bench::new();
    bench.host("10.0.0.1");
    bench.wait(Duration::from_secs(3));
    bench.ask(Request::TcpAdd(to("10.0.0.1", 1)));
    assert_eq!(
        bench.wait(Duration::from_secs(40)),
        [],
        "all have heard of it"
    );
    bench.ask(Request::TcpAddDelayedUpdate(to("10.0.0.1", 2)));
    let list = |ports: &[u16]| Output::Control {
        destination: Pnn::BROADCAST_ALL,
        request: Request::SetTcpTickleList(TickleList {
            addr: ip("10.0.0.1").into(),
            connections: ports.iter().map(|&port| to("10.0.0.1", port)).collect(),
        }),
    };
    assert_eq!(bench.wait(Duration::from_secs(20)), [list(&[1, 2])]);
    assert_eq!(bench.wait(Duration::from_secs(40)), []);
    assert_eq!(bench.ask(Request::Startup)[0], list(&[1, 2]));
    let theirs = TickleList {
        addr: ip("10.0.0.1").into(),
        connections: vec![to("10.0.0.1", 9)],
    };
    assert_eq!(bench.status(Request::SetTcpTickleList(theirs)), 0);
    assert_eq!(
        ports(&mut bench, "10.0.0.1:0"),
        [1, 2],
        "this node knows best"
    );
}

#[test]
fn the_list_of_another_node_is_taken_over_with_the_address() {
    let mut bench = Bench::new();
    let list = |address: &str| TickleList {
        addr: ip(address).into(),
        connections: vec![to("10.0.0.1", 1), to("10.0.0.1", 2)],
    };
    assert_eq!(bench.status(Request::SetTcpTickleList(list("10.9.9.9"))), 1);
    assert_eq!(bench.status(Request::SetTcpTickleList(list("10.0.0.1"))), 0);
    bench.host("10.0.0.1");
    let tickle = Output::Tickle(vec![to("10.0.0.1", 1), to("10.0.0.1", 2)]);
    let outputs = bench.wait(Duration::from_secs(9));
    let tickles: Vec<_> = outputs.iter().filter(|output| **output == tickle).collect();
    assert_eq!((outputs.len(), tickles.len()), (6, 3));
    assert_eq!(ports(&mut bench, "10.0.0.1:0"), [0; 0]);
    let outputs = bench.wait(Duration::from_secs(20));
    assert!(
        matches!(outputs[..], [Output::Control { .. }]),
        "the others forget them too"
    );
}

#[test]
fn a_client_that_ends_takes_its_connections_along() {
    let mut bench = Bench::new();
    bench.host("10.0.0.1");
    for port in 1..=4 {
        from_client(&mut bench, Request::TcpClient(to("10.0.0.1", port)));
        bench.ask(Request::TcpAdd(to("10.0.0.1", port)));
    }
    let outputs = from_client(
        &mut bench,
        Request::TcpClientDisconnected(to("10.0.0.1", 1)),
    );
    assert!(tells_all(&outputs, &Request::TcpRemove(to("10.0.0.1", 1))));
    let again = from_client(
        &mut bench,
        Request::TcpClientDisconnected(to("10.0.0.1", 1)),
    );
    assert_eq!(again, [Output::done(Token(bench.tokens))]);
    let passed = from_client(&mut bench, Request::TcpClientPassed(to("10.0.0.1", 2)));
    assert_eq!(passed, [Output::done(Token(bench.tokens))]);
    bench.input(Input::ClientGone(SMBD));
    assert_eq!(
        ports(&mut bench, "10.0.0.1:0"),
        [1, 2],
        "the first until the TCP_REMOVE arrives"
    );
}

#[test]
fn connections_stay_for_the_node_that_takes_the_address_over() {
    let mut bench = Bench::new();
    bench.host("10.0.0.1");
    for port in [1, 2] {
        from_client(&mut bench, Request::TcpClient(to("10.0.0.1", port)));
        bench.ask(Request::TcpAdd(to("10.0.0.1", port)));
    }
    let release = Request::ReleaseIp(public_ip("10.0.0.1", OTHER));
    let (id, ..) = bench.event(release);
    let outputs = from_client(
        &mut bench,
        Request::TcpClientDisconnected(to("10.0.0.1", 1)),
    );
    assert_eq!(outputs, [Output::done(Token(bench.tokens))]);
    bench.input(Input::ClientGone(SMBD));
    bench.remove("10.0.0.1");
    bench.done(id, Outcome::Passed);
    assert_eq!(ports(&mut bench, "10.0.0.1:0"), [1, 2]);
    assert_eq!(bench.wait(Duration::from_secs(60)), []);
}
