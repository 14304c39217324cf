//! The client against a daemon that does what the test says, over a socket pair.
#![expect(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::time::Duration;

use bytes::Bytes;
use client::link::{self, Incoming, Outgoing};
use client::{Client, Error, Limits, Pnn, Srvid, TunnelId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use wire::control::{self, Control, GetDbName, GetNodemap, GetPnn};
use wire::packet::{
    Body, Header, Packet, ReplyCall, ReplyControl, ReqMessage, ReqTunnel, TunnelFlags,
};
use wire::{ClientId, DbId, Generation, ReqId};

const LIMIT: Duration = Duration::from_secs(20);
const NODE: Pnn = Pnn(3);

/// The daemon's end.
struct Fake {
    outgoing: Outgoing,
    incoming: Incoming,
}

/// A packet that keeps its bytes.
struct Received(Bytes);

impl Received {
    fn packet(&self) -> Packet<'_> {
        Packet::decode(&self.0).unwrap()
    }

    fn header(&self) -> Header {
        self.packet().header
    }

    fn control(&self) -> (u32, Srvid) {
        match self.packet().body {
            Body::ReqControl(control) => (control.opcode, control.srvid),
            other => panic!("not a control: {other:?}"),
        }
    }
}

impl Fake {
    async fn next(&mut self) -> Received {
        let bytes = tokio::time::timeout(LIMIT, self.incoming.next()).await;
        Received(bytes.expect("nothing came").unwrap())
    }

    /// The next packet is this control.
    async fn expect<C: Control>(&mut self) -> Received {
        let received = self.next().await;
        assert_eq!(received.control().0, C::OPCODE, "{}", C::NAME);
        received
    }

    fn send(&self, reqid: ReqId, body: Body<'_>) {
        let generation = Generation(7);
        let operation = body.operation();
        let header = Header {
            generation,
            operation,
            destination: NODE,
            source: NODE,
            reqid,
        };
        self.outgoing.send(&Packet { header, body }).unwrap();
    }

    fn reply(&self, to: &Received, status: i32, data: &[u8]) {
        let body = Body::ReplyControl(ReplyControl {
            status,
            data,
            error: b"",
        });
        self.send(to.header().reqid, body);
    }

    fn message(&self, srvid: Srvid, data: &[u8]) {
        self.send(ReqId(0), Body::ReqMessage(ReqMessage { srvid, data }));
    }
}

async fn connected_with(limits: Limits) -> (Client, Fake) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (outgoing, incoming) = link::open(theirs, usize::MAX).unwrap();
    let mut fake = Fake { outgoing, incoming };
    let hello = async {
        let hello = fake.expect::<GetPnn>().await;
        fake.reply(&hello, 3, &[]);
    };
    let (client, ()) = tokio::join!(Client::from_stream(ours, limits), hello);
    (client.unwrap(), fake)
}

async fn connected() -> (Client, Fake) {
    connected_with(Limits::default()).await
}

async fn name_of(client: &Client, db: u32) -> client::Result<String> {
    let answer = client
        .control::<GetDbName>(Pnn::CURRENT, &DbId(db), LIMIT)
        .await?;
    Ok(answer.reply)
}

#[tokio::test]
async fn knows_its_node_from_the_first_answer() {
    let (client, _fake) = connected().await;
    assert_eq!(client.pnn(), NODE);
}

#[tokio::test]
async fn replies_find_their_requests_in_any_order() {
    let (client, mut fake) = connected().await;
    let server = async {
        let (first, second) = (fake.next().await, fake.next().await);
        assert_eq!(first.header().source, NODE);
        assert_eq!(first.header().destination, Pnn::CURRENT);
        assert_ne!(first.header().reqid, second.header().reqid);
        fake.reply(&second, 0, b"second\0");
        fake.reply(&first, 0, b"first\0");
    };
    let (first, second, ()) = tokio::join!(name_of(&client, 1), name_of(&client, 2), server);
    assert_eq!(
        (first.unwrap().as_str(), second.unwrap().as_str()),
        ("first", "second")
    );
}

#[tokio::test]
async fn a_refusal_has_its_text() {
    let (client, mut fake) = connected().await;
    let server = async {
        let request = fake.expect::<GetDbName>().await;
        let body = ReplyControl {
            status: -1,
            data: b"",
            error: b"no such database\0",
        };
        fake.send(request.header().reqid, Body::ReplyControl(body));
    };
    let (refused, ()) = tokio::join!(name_of(&client, 1), server);
    let text = refused.unwrap_err().to_string();
    assert!(
        text.ends_with("failed with status -1: no such database"),
        "{text}"
    );
}

#[tokio::test]
async fn a_late_reply_is_ignored() {
    let (client, mut fake) = connected().await;
    let soon = Duration::from_millis(30);
    let late = client
        .control::<GetNodemap>(Pnn(9), &(), soon)
        .await
        .unwrap_err();
    assert!(matches!(
        late,
        Error::TimedOut {
            name: "GET_NODEMAP",
            destination: Pnn(9)
        }
    ));
    let request = fake.expect::<GetNodemap>().await;
    fake.reply(&request, 0, &[]);
    fake.reply(&request, 0, &[]);
    let server = async {
        let request = fake.next().await;
        fake.reply(&request, 0, b"name\0");
    };
    let (name, ()) = tokio::join!(name_of(&client, 1), server);
    assert_eq!(name.unwrap(), "name");
}

#[tokio::test]
async fn the_end_of_the_connection_fails_everything() {
    let (client, mut fake) = connected().await;
    let mut subscription = {
        let server = async {
            let request = fake.expect::<control::RegisterSrvid>().await;
            fake.reply(&request, 0, &[]);
        };
        tokio::join!(client.register(Srvid(1)), server).0.unwrap()
    };
    let server = async {
        fake.next().await;
        fake.next().await;
        drop(fake);
    };
    let (one, two, message, ()) = tokio::join!(
        name_of(&client, 1),
        name_of(&client, 2),
        subscription.recv(),
        server
    );
    assert!(matches!(one, Err(Error::Disconnected)));
    assert!(matches!(two, Err(Error::Disconnected)));
    assert!(matches!(message, Err(Error::Disconnected)));
    assert!(client.is_closed());
    assert!(matches!(
        name_of(&client, 3).await,
        Err(Error::Disconnected)
    ));
    assert!(matches!(
        client.register(Srvid(2)).await,
        Err(Error::Disconnected)
    ));
}

#[tokio::test]
async fn dropping_the_client_closes_the_connection() {
    let (client, mut fake) = connected().await;
    client.message(Pnn(1), Srvid(2), b"last words").unwrap();
    drop(client);
    assert!(matches!(
        fake.next().await.packet().body,
        Body::ReqMessage(_)
    ));
    let end = tokio::time::timeout(LIMIT, fake.incoming.next())
        .await
        .unwrap();
    assert!(matches!(end, Err(Error::Disconnected)));
}

#[tokio::test]
async fn an_srvid_is_registered_once_and_given_back_with_the_last() {
    let (client, mut fake) = connected().await;
    let srvid = Srvid(0xFE00_0000_0000_0007);
    let server = async {
        let request = fake.expect::<control::RegisterSrvid>().await;
        assert_eq!(request.control().1, srvid);
        fake.message(srvid, b"early");
        fake.reply(&request, 0, &[]);
    };
    let (first, ()) = tokio::join!(client.register(srvid), server);
    let (mut first, mut second) = (first.unwrap(), client.register(srvid).await.unwrap());
    fake.message(Srvid(5), b"not ours");
    fake.message(srvid, b"both");
    assert_eq!(first.recv().await.unwrap().data, "early");
    for subscription in [&mut first, &mut second] {
        let message = subscription.recv().await.unwrap();
        assert_eq!(
            (message.source, message.srvid, &message.data[..]),
            (NODE, srvid, &b"both"[..])
        );
    }
    drop(first);
    drop(second);
    let last = fake.expect::<control::DeregisterSrvid>().await;
    assert_eq!(last.control().1, srvid);
}

#[tokio::test]
async fn messages_before_a_reply_are_there_with_it() {
    let (client, mut fake) = connected().await;
    let server = async {
        let request = fake.next().await;
        fake.reply(&request, 0, &[]);
        let request = fake.next().await;
        for record in 0..100 {
            fake.message(Srvid(1), &[record]);
        }
        fake.reply(&request, 0, b"done\0");
    };
    let pull = async {
        let mut records = client.register(Srvid(1)).await.unwrap();
        name_of(&client, 1).await.unwrap();
        for record in 0..100 {
            // already there: no time passes
            let message = tokio::time::timeout(Duration::ZERO, records.recv()).await;
            assert_eq!(message.unwrap().unwrap().data, [record][..]);
        }
    };
    tokio::join!(pull, server);
}

#[tokio::test]
async fn a_queue_that_nobody_reads_is_bounded() {
    let limits = Limits {
        subscription: 1000,
        ..Limits::default()
    };
    let (client, mut fake) = connected_with(limits).await;
    let server = async {
        let request = fake.next().await;
        fake.reply(&request, 0, &[]);
        for _ in 0..3 {
            fake.message(Srvid(1), &[0; 400]);
        }
        let request = fake.next().await;
        fake.reply(&request, 0, b"x\0");
    };
    let reader = async {
        let queue = client.register(Srvid(1)).await.unwrap();
        name_of(&client, 1).await.unwrap();
        queue
    };
    let (mut queue, ()) = tokio::join!(reader, server);
    assert!(queue.recv().await.is_ok());
    assert!(queue.recv().await.is_ok());
    assert!(matches!(
        queue.recv().await,
        Err(Error::Overrun { lost: 1 })
    ));
}

#[tokio::test]
async fn requests_and_outgoing_bytes_are_bounded() {
    let limits = Limits {
        requests: 1,
        outgoing: 1 << 20,
        ..Limits::default()
    };
    let (client, _fake) = connected_with(limits).await;
    let refused = async {
        tokio::task::yield_now().await;
        name_of(&client, 2).await
    };
    tokio::select! {
        biased;
        _ = name_of(&client, 1) => panic!("nobody answers"),
        refused = refused => assert!(matches!(refused, Err(Error::TooManyRequests { limit: 1 }))),
    }
    let backlog = (0..100).find_map(|_| client.message(NODE, Srvid(1), &[0; 1 << 16]).err());
    assert!(
        matches!(backlog, Some(Error::Backlog { .. })),
        "{backlog:?}"
    );
}

/// A reply as bytes.
fn reply_bytes(reqid: ReqId, status: i32, data: &[u8]) -> Vec<u8> {
    let body = Body::ReplyControl(ReplyControl {
        status,
        data,
        error: b"",
    });
    let (generation, operation) = (Generation(0), body.operation());
    let header = Header {
        generation,
        operation,
        destination: NODE,
        source: NODE,
        reqid,
    };
    Packet { header, body }.to_bytes()
}

#[tokio::test]
async fn packets_may_come_in_pieces_and_nonsense_is_survived() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (theirs, mut writer) = theirs.into_split();
    let mut theirs = tokio::io::BufReader::new(theirs);
    let server = async {
        // answers whatever comes, first the hello
        for data in [&b""[..], b"name\0"] {
            let mut request = vec![0; 4];
            theirs.read_exact(&mut request).await.unwrap();
            let length = u32::from_ne_bytes(request[..].try_into().unwrap()) as usize;
            request.resize(length, 0);
            theirs.read_exact(&mut request[4..]).await.unwrap();
            let reqid = Packet::decode(&request).unwrap().header.reqid;
            // the length of the data is wrong, the packet's is right
            let mut stream = reply_bytes(reqid, 3, b"odd");
            stream[36..40].copy_from_slice(&u32::MAX.to_ne_bytes());
            stream.extend_from_slice(&reply_bytes(reqid, 3, data));
            for byte in stream {
                writer.write_all(&[byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    };
    let asking = async {
        let client = Client::from_stream(ours, Limits::default()).await.unwrap();
        name_of(&client, 1).await.unwrap()
    };
    let (name, ()) = tokio::join!(asking, server);
    assert_eq!(name, "name");
}

#[tokio::test]
async fn an_impossible_length_ends_the_connection() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(&3u32.to_ne_bytes()).await.unwrap();
    let client = tokio::time::timeout(LIMIT, Client::from_stream(ours, Limits::default())).await;
    assert!(matches!(client.unwrap(), Err(Error::Disconnected)));
}

#[tokio::test]
async fn tunnels_carry_requests_and_answers() {
    let (client, mut fake) = connected().await;
    let id = TunnelId(0xFFFF_0000_0000_0001);
    let server = async {
        let request = fake.expect::<control::TunnelRegister>().await;
        assert_eq!(request.control().1, Srvid(id.0));
        fake.reply(&request, 0, &[]);
    };
    let (tunnel, ()) = tokio::join!(client.open_tunnel(id), server);
    let mut tunnel = tunnel.unwrap();
    assert!(matches!(
        client.open_tunnel(id).await,
        Err(Error::TunnelInUse(_))
    ));

    let server = async {
        let asked = fake.next().await;
        let Body::ReqTunnel(request) = asked.packet().body else {
            panic!("not a tunnel packet")
        };
        assert_eq!((request.tunnel, request.data), (id, &b"question"[..]));
        let answer = ReqTunnel {
            tunnel: id,
            flags: TunnelFlags::REPLY,
            data: b"answer",
        };
        fake.send(asked.header().reqid, Body::ReqTunnel(answer));
    };
    let (answer, ()) = tokio::join!(tunnel.request(Pnn(1), b"question", LIMIT), server);
    assert_eq!(answer.unwrap(), "answer");

    let ask = ReqTunnel {
        tunnel: id,
        flags: TunnelFlags::REQUEST,
        data: b"and you?",
    };
    fake.send(ReqId(77), Body::ReqTunnel(ask));
    let request = tunnel.recv().await.unwrap();
    assert!(request.wants_reply);
    tunnel.reply(&request, b"fine").unwrap();
    let answer = fake.next().await;
    assert_eq!(answer.header().reqid, ReqId(77));
    let Body::ReqTunnel(answer) = answer.packet().body else {
        panic!("not a tunnel packet")
    };
    assert_eq!(
        (answer.flags, answer.data),
        (TunnelFlags::REPLY, &b"fine"[..])
    );

    drop(tunnel);
    fake.expect::<control::TunnelDeregister>().await;
}

#[tokio::test]
async fn a_migration_is_a_null_call() {
    let (client, mut fake) = connected().await;
    let server = async {
        let asked = fake.next().await;
        let Body::ReqCall(call) = asked.packet().body else {
            panic!("not a call")
        };
        assert_eq!(
            (call.db, call.callid, call.key),
            (DbId(7), 0xFF00_0001, &b"key"[..])
        );
        let reply = ReplyCall {
            status: 0,
            data: b"",
        };
        fake.send(asked.header().reqid, Body::ReplyCall(reply));
    };
    let (migrated, ()) = tokio::join!(client.migrate(DbId(7), b"key", LIMIT), server);
    migrated.unwrap();
}

#[tokio::test]
async fn a_broadcast_control_waits_for_nothing() {
    let (client, mut fake) = connected().await;
    let everybody = Pnn::BROADCAST_CONNECTED;
    client
        .notify_control::<control::Ipreallocated>(everybody, Srvid(0), &())
        .unwrap();
    let sent = fake.expect::<control::Ipreallocated>().await;
    let Body::ReqControl(control) = sent.packet().body else {
        panic!("not a control")
    };
    assert_eq!(sent.header().destination, everybody);
    assert_eq!(control.client, ClientId(0));
    assert!(control.flags.contains(wire::packet::ControlFlags::NOREPLY));
}
