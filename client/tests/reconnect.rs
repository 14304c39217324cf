//! What becomes of a client when its daemon goes, and how the next one is found: with a daemon that does nothing
//! but say which node it is, and who leads.
#![expect(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use client::link::{self, Incoming, Outgoing};
use client::{Client, Error, Pnn, Reconnecting, Srvid};
use tokio::net::UnixListener;
use wire::coding::Encode;
use wire::control::{Control, RegisterSrvid};
use wire::packet::{Body, Header, Packet, ReplyControl, ReqMessage};
use wire::{Generation, ReqId};

const LIMIT: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_millis(50);
const NODE: Pnn = Pnn(5);

/// Where the daemon listens, if it does.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    /// Begins to listen, and answers one client as long as this is awaited.
    async fn serve(&self) {
        let _ = std::fs::remove_file(self.socket());
        let listener = UnixListener::bind(self.socket()).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (outgoing, incoming) = link::open(stream, usize::MAX).unwrap();
        answer(outgoing, incoming).await;
    }
}

/// Each control gets its node's number; a registration is followed by messages about the leader.
async fn answer(outgoing: Outgoing, mut incoming: Incoming) {
    while let Ok(bytes) = incoming.next().await {
        let Packet { header, body } = Packet::decode(&bytes).unwrap();
        let Body::ReqControl(control) = body else {
            continue;
        };
        let status = NODE.0.cast_signed();
        let (data, error) = (&b""[..], &b""[..]);
        let reply = ReplyControl {
            status,
            data,
            error,
        };
        send(&outgoing, header.reqid, Body::ReplyControl(reply));
        if control.opcode == RegisterSrvid::OPCODE {
            for leader in [Pnn::UNKNOWN, Pnn(2)] {
                let (srvid, data) = (control.srvid, &leader.to_bytes()[..]);
                let message = ReqMessage { srvid, data };
                send(&outgoing, ReqId(0), Body::ReqMessage(message));
            }
        }
    }
}

fn send(outgoing: &Outgoing, reqid: ReqId, body: Body<'_>) {
    let header = Header {
        generation: Generation(1),
        operation: body.operation(),
        destination: NODE,
        source: NODE,
        reqid,
    };
    outgoing.send(&Packet { header, body }).unwrap();
}

async fn connect(socket: &Path) -> Client {
    loop {
        match Client::connect(socket).await {
            Ok(client) => return client,
            Err(Error::Connect { .. }) => tokio::time::sleep(SOON / 10).await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn the_end_is_noticed_by_all() {
    let place = Place::new();
    let client = tokio::select! {
        client = async { connect(&place.socket()).await } => client,
        () = place.serve() => panic!("it has no end"),
    };
    // the daemon is dropped
    tokio::time::timeout(LIMIT, client.closed()).await.unwrap();
    tokio::time::timeout(LIMIT, client.clone().closed())
        .await
        .unwrap();
    let message = client.message(NODE, Srvid(1), b"x");
    assert!(matches!(message, Err(Error::Disconnected)), "{message:?}");
}

#[tokio::test]
async fn a_client_that_lives_is_not_at_its_end() {
    let place = Place::new();
    let alive = async {
        let client = connect(&place.socket()).await;
        assert!(tokio::time::timeout(SOON, client.closed()).await.is_err());
        assert_eq!(client.leader(LIMIT).await.unwrap(), Pnn(2));
    };
    tokio::select! {
        () = alive => {}
        () = place.serve() => panic!("it has no end"),
    }
}

#[tokio::test]
async fn the_next_daemon_is_waited_for() {
    let place = Place::new();
    let cluster = Reconnecting::new(&place.socket());
    let nobody = cluster.client(SOON).await;
    assert!(matches!(nobody, Err(Error::Connect { .. })), "{nobody:?}");
    let mut last: Option<Client> = None;
    for _ in 0..3 {
        let client = tokio::select! {
            client = cluster.client(LIMIT) => client.unwrap(),
            () = async { tokio::time::sleep(SOON).await; place.serve().await } => panic!("no end"),
        };
        assert_eq!(client.pnn(), NODE);
        if let Some(last) = last.replace(client.clone()) {
            assert!(last.is_closed());
        }
        tokio::time::timeout(LIMIT, client.closed()).await.unwrap();
    }
}

#[tokio::test]
async fn all_who_ask_share_one_connection() {
    let place = Place::new();
    let cluster = Reconnecting::new(&place.socket());
    let ask = async {
        let clone = cluster.clone();
        let (one, two) = tokio::join!(cluster.client(LIMIT), clone.client(LIMIT));
        // the second one would not have been accepted
        (one.unwrap(), two.unwrap())
    };
    tokio::select! {
        (one, two) = ask => assert!(!one.is_closed() && !two.is_closed()),
        () = place.serve() => panic!("it has no end"),
    }
}
