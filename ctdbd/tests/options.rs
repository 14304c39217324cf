//! A running ctdbd: what each option of ctdb.conf does, and tunables that change while it runs.
#![expect(clippy::unwrap_used, reason = "a test may end in a panic")]

#[expect(dead_code, reason = "another test uses more of it")]
mod node_rig;

use client::{Client, Pnn, Srvid};
use node_rig::{LIMIT, Node, Running, eventually, objects};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use wire::control::{
    Control, DbAttach, DbOpenFlags, GetAllTunables, GetCapabilities, GetDbPath, GetNodemap, GetPnn,
    GetReclockFile, GetRunstate, RegisterSrvid, SetDebug, SetTunable,
};
use wire::packet::{Body, ControlFlags, Header, Packet, ReqControl};
use wire::types::{Capabilities, NodeFlags, RunState, Tunable};
use wire::{ClientId, DbId, Generation, ReqId};

async fn ask<C: Control>(client: &Client, request: &C::Request) -> C::Reply {
    let answer = client.control::<C>(Pnn::CURRENT, request, LIMIT).await;
    answer.unwrap().reply
}

async fn flags(client: &Client) -> NodeFlags {
    let map = ask::<GetNodemap>(client, &()).await;
    let me = ask::<GetPnn>(client, &());
    let _ = me.await;
    map.nodes.last().unwrap().flags
}

async fn running(daemon: &Running<'_>) {
    eventually("it runs", || async {
        (ask::<GetRunstate>(&daemon.client, &()).await == RunState::Running).then_some(())
    })
    .await;
}

async fn set(client: &Client, name: &str, value: u32) {
    let name = name.to_owned();
    ask::<SetTunable>(client, &Tunable { value, name }).await;
}

async fn attach(client: &Client, name: &str) -> DbId {
    ask::<DbAttach>(client, &name.to_owned()).await
}

#[tokio::test]
async fn options_of_cluster_and_legacy() {
    let node = Node::new(
        "[cluster]\ntransport = tcp\ncluster lock = BASE/lock\nrecovery lock = BASE/old\n\
         leader capability = false\nnodes list = !BASE/nodes.sh\n\
         [legacy]\nlmaster capability = no\nstart as disabled = yes\nrealtime scheduling = false\n",
    );
    let (other, own) = ("192.0.2.7", node.address);
    let text = format!("#!/bin/sh\necho {other}\necho {own}\n");
    node.script("nodes.sh", &text);
    node.write("nodes", "192.0.2.99\n");
    let daemon = node.start(|_| {}).await;
    let client = &daemon.client;
    assert_eq!(
        client.pnn(),
        Pnn(1),
        "the second line of what the command prints"
    );
    let capabilities = ask::<GetCapabilities>(client, &()).await;
    assert!(!capabilities.intersects(Capabilities::LMASTER | Capabilities::RECMASTER));
    let lock = node.path("lock").display().to_string();
    assert_eq!(ask::<GetReclockFile>(client, &()).await, Some(lock));
    assert!(
        flags(client)
            .await
            .contains(NodeFlags::PERMANENTLY_DISABLED)
    );
    let log = node.log();
    assert!(
        log.contains("[cluster] -> recovery lock is deprecated"),
        "{log}"
    );
}

#[tokio::test]
async fn node_address_says_which_node_this_is() {
    let node = Node::new("[cluster]\nnode address = 127.0.0.1\n");
    let own = node.address;
    // both addresses are this machine's
    node.write("nodes", &format!("127.0.0.1\n{own}\n"));
    let text = std::fs::read_to_string(node.path("ctdb.conf")).unwrap();
    node.write("ctdb.conf", &text.replace("127.0.0.1", &own.to_string()));
    let daemon = node.start(|_| {}).await;
    assert_eq!(daemon.client.pnn(), Pnn(1));
}

#[tokio::test]
async fn start_as_stopped() {
    let node = Node::new("[legacy]\nstart as stopped = true\n");
    let daemon = node.start(|_| {}).await;
    assert!(flags(&daemon.client).await.contains(NodeFlags::STOPPED));
}

#[tokio::test]
async fn databases_are_where_and_how_the_options_say() {
    for (mutexes, flag) in [("true", 0x1000), ("false", 0)] {
        let options =
            format!("[cluster]\nleader timeout = 1\n[database]\ntdb mutexes = {mutexes}\n");
        let node = Node::new(&options);
        node.write("ctdb.tunables", "ElectionTimeout=1\n");
        let daemon = node.start(|_| {}).await;
        let client = &daemon.client;
        running(&daemon).await;
        let db = attach(client, "locking.tdb").await;
        let path = ask::<GetDbPath>(client, &db).await;
        let expected = node.path("volatile/locking.tdb.0");
        assert_eq!(path, expected.display().to_string());
        // TDB_MUTEX_LOCKING
        assert_eq!(ask::<DbOpenFlags>(client, &db).await & 0x1000, flag);
        let health = node.path("state/persistent_health.tdb.0");
        assert!(health.exists(), "the state");
    }
}

#[tokio::test]
async fn tunables_of_the_files_are_in_force_in_their_order() {
    let node = Node::new("");
    node.write(
        "ctdb.tunables",
        "EnableBans=2\nmonitorinterval = 0x10\nKeepaliveLimit=x\n",
    );
    node.write("tunables.d/2.tunables", "EnableBans=5\n");
    node.write("tunables.d/1.tunables", "EnableBans=4\nDBSizeWarn=4\n");
    node.write("tunables.d/3.ignored", "EnableBans=6\n");
    let daemon = node.start(|_| {}).await;
    let tunables = ask::<GetAllTunables>(&daemon.client, &()).await;
    let found = (tunables.enable_bans, tunables.monitor_interval);
    assert_eq!(found, (5, 16));
    assert_eq!((tunables.db_size_warn, tunables.keepalive_limit), (4, 5));
}

#[tokio::test]
async fn setdebug_reaches_ctdbd_and_its_cluster_manager() {
    let node = Node::new("[cluster]\nleader timeout = 1\n");
    let daemon = node
        .start(|command| {
            command.env("CTDB_LOG_FORMAT", "json");
        })
        .await;
    let of_level = |program: &str, level: &str| {
        let objects = objects(&node.log());
        objects
            .iter()
            .any(|object| object["program"] == program && object["level"] == level)
    };
    for program in ["ctdbd", "ctdb-clusterd"] {
        eventually(program, || async {
            of_level(program, "NOTICE").then_some(())
        })
        .await;
        assert!(!of_level(program, "DEBUG"));
    }
    ask::<SetDebug>(&daemon.client, &10).await;
    let traced = || async { of_level("ctdb-clusterd", "DEBUG").then_some(()) };
    eventually("the cluster manager follows", traced).await;
    assert!(
        objects(&node.log())
            .iter()
            .skip(8)
            .all(|object| object["node"] == 0)
    );
}

#[tokio::test]
async fn a_mistake_in_ctdb_conf_waits_for_the_next_start_of_ctdbd() {
    let node = Node::new("[cluster]\ncluster lock = BASE/lock\n");
    let json = |command: &mut std::process::Command| {
        command.env("CTDB_LOG_FORMAT", "json");
    };
    let _daemon = node.start(json).await;
    let managers = || {
        let objects = objects(&node.log());
        let starting = |object: &&serde_json::Value| {
            object["program"] == "ctdb-clusterd" && object["message"] == "cluster manager starting"
        };
        let pids = objects
            .iter()
            .filter(starting)
            .map(|object| object["pid"].as_i64());
        pids.flatten().collect::<Vec<_>>()
    };
    let first = eventually("a manager", || async { managers().first().copied() }).await;
    node.write(
        "ctdb.conf",
        "[cluster]\ncluster lock = BASE/other\nleader timeout = 0\n",
    );
    let pid = nix::unistd::Pid::from_raw(i32::try_from(first).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    eventually("another one", || async { managers().get(1).copied() }).await;
}

/// A cluster lock's helper that only complains: C logs that, and at this level.
#[tokio::test]
async fn what_a_helper_complains_of_is_in_the_log() {
    let node = Node::new(
        "[cluster]\nleader timeout = 1\ncluster lock = !BASE/helper.sh\n\
         [legacy]\nscript log level = WARNING\n",
    );
    node.script("helper.sh", "#!/bin/sh\necho it rains >&2\nprintf 3\n");
    let json = |command: &mut std::process::Command| {
        command.env("CTDB_LOG_FORMAT", "json");
    };
    let _daemon = node.start(json).await;
    let logged = || async {
        let objects = objects(&node.log());
        objects
            .into_iter()
            .find(|object| object["message"] == "it rains")
    };
    let line = eventually("it is logged", logged).await;
    assert_eq!(
        (&line["level"], &line["program"]),
        (&"WARNING".into(), &"ctdbd".into())
    );
}

#[tokio::test]
async fn max_queue_drop_msg_cuts_off_who_does_not_read() {
    let node = Node::new("");
    let daemon = node.start(|_| {}).await;
    let srvid = Srvid(0xBE00_0000_0000_0001);
    let mut lazy = UnixStream::connect(node.path("run/ctdbd.socket"))
        .await
        .unwrap();
    lazy.write_all(&register(srvid)).await.unwrap();
    // the answer: it is registered
    lazy.read_exact(&mut [0; 8]).await.unwrap();
    // by default a million may wait
    flood(&daemon.client, srvid).await;
    assert!(!node.log().contains("queue full"));
    set(&daemon.client, "MaxQueueDropMsg", 10).await;
    flood(&daemon.client, srvid).await;
    let cut = || async {
        node.log()
            .contains("queue full - killing client")
            .then_some(())
    };
    eventually("it is cut off", cut).await;
    // what was on its way still comes, then the end
    let end = tokio::time::timeout(LIMIT, lazy.read_to_end(&mut Vec::new())).await;
    drop(end.expect("the connection ends"));
}

#[tokio::test]
async fn with_max_queue_drop_msg_0_a_client_that_reads_gets_all_messages() {
    let node = Node::new("");
    let daemon = node.start(|_| {}).await;
    let srvid = Srvid(0xBE00_0000_0000_0001);
    set(&daemon.client, "MaxQueueDropMsg", 0).await;
    let socket = node.path("run/ctdbd.socket");
    let reader = Client::connect(&socket).await.unwrap();
    let mut messages = reader.register(srvid).await.unwrap();
    for number in 0..50u32 {
        let data = number.to_ne_bytes();
        daemon.client.message(Pnn::CURRENT, srvid, &data).unwrap();
    }
    for number in 0..50u32 {
        let message = tokio::time::timeout(LIMIT, messages.recv()).await;
        let message = message.expect("it comes").expect("it is not cut off");
        assert_eq!(message.data[..], number.to_ne_bytes());
    }
}

/// More than a socket holds.
async fn flood(client: &Client, srvid: Srvid) {
    for _ in 0..100 {
        client.message(Pnn::CURRENT, srvid, &[0; 32_768]).unwrap();
    }
    client.ping(Pnn::CURRENT, LIMIT).await.unwrap();
}

fn register(srvid: Srvid) -> Vec<u8> {
    let body = Body::ReqControl(ReqControl {
        opcode: RegisterSrvid::OPCODE,
        srvid,
        client: ClientId(0),
        flags: ControlFlags::empty(),
        data: &[],
    });
    let header = Header {
        generation: Generation(0),
        operation: body.operation(),
        destination: Pnn::CURRENT,
        source: Pnn(0),
        reqid: ReqId(1),
    };
    Packet { header, body }.to_bytes()
}
