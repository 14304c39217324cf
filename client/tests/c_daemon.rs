//! The client against the C daemon of Debian's package: one node in test mode, in namespaces of its
//! own. Skipped where there is none. `CTDBD=PATH` names another daemon, ours for example.
#![expect(clippy::unwrap_used, reason = "a test may end in a panic")]

mod daemon;

use std::path::Path;
use std::time::Duration;

use client::{Client, DatabaseKind, Error, Pnn, Srvid, Subscription, TunnelId};
use daemon::Daemon;
use wire::control::{
    DbFreeze, DbPull, DbThaw, DbTransactionStart, GetDbMap, GetDbName, GetNodemap, GetRunstate,
    GetVnnMap,
};
use wire::packet::ControlFlags;
use wire::types::{DbFlags, LMASTER_ANY, NodeFlags, PullDbExt, RunState, TransDb};

const LIMIT: Duration = Duration::from_secs(30);

async fn next(subscription: &mut Subscription) -> Vec<u8> {
    let message = tokio::time::timeout(LIMIT, subscription.recv()).await;
    message.expect("no message").unwrap().data.to_vec()
}

#[tokio::test]
async fn everything_works_with_the_c_daemon() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    let (one, two) = (daemon.client().await, daemon.client().await);
    assert_eq!(one.pnn(), Pnn(0));
    controls(&one).await;
    messages(&one, &two).await;
    notification(&one, daemon.client().await).await;
    tunnels(&one, &two).await;
    databases(&one, daemon.base.path()).await;
    records(&one).await;
    kinds_of_access(&one).await;
    the_end(daemon, &one).await;
}

async fn controls(client: &Client) {
    assert!(client.ping(Pnn::CURRENT, LIMIT).await.unwrap() >= 2);
    let nodes = client
        .control::<GetNodemap>(Pnn::CURRENT, &(), LIMIT)
        .await
        .unwrap()
        .reply;
    assert_eq!(nodes.nodes.len(), 1);
    assert!(!nodes.nodes[0].flags.contains(NodeFlags::DISCONNECTED));
    let state = client
        .control::<GetRunstate>(Pnn(0), &(), LIMIT)
        .await
        .unwrap()
        .reply;
    assert_eq!(state, RunState::Running);
    let vnnmap = client
        .control::<GetVnnMap>(Pnn::CURRENT, &(), LIMIT)
        .await
        .unwrap()
        .reply;
    assert_eq!(vnnmap.map, [Pnn(0)]);
    let refused = client
        .control::<GetDbName>(Pnn::CURRENT, &client::DbId(1), LIMIT)
        .await;
    assert!(
        matches!(refused, Err(Error::Refused { status: -1, .. })),
        "{refused:?}"
    );
    // no such number: refused as well, and the connection lives on
    let head = (2, Srvid(0), ControlFlags::empty());
    let unknown = client
        .raw_control(Pnn::CURRENT, head, b"", LIMIT)
        .await
        .unwrap();
    assert_eq!(unknown.status, -1);
    // greater than any process's number
    assert!(
        !client
            .process_exists(Pnn(0), i32::MAX, LIMIT)
            .await
            .unwrap()
    );
}

async fn messages(one: &Client, two: &Client) {
    let srvid = Srvid(0xAE00_0000_0000_0001);
    let mut first = one.register(srvid).await.unwrap();
    let mut second = one.register(srvid).await.unwrap();
    two.message(Pnn(0), srvid, b"hello").unwrap();
    two.message(Pnn::BROADCAST_CONNECTED, srvid, b"all")
        .unwrap();
    for subscription in [&mut first, &mut second] {
        assert_eq!(next(subscription).await, b"hello");
        assert_eq!(next(subscription).await, b"all");
    }
    // seen from its namespace, we have the process number 0
    assert!(
        two.check_pid_srvid(Pnn(0), (0, srvid), LIMIT)
            .await
            .unwrap()
    );
    drop((first, second));
    one.ping(Pnn::CURRENT, LIMIT).await.unwrap();
    assert!(
        !two.check_pid_srvid(Pnn(0), (0, srvid), LIMIT)
            .await
            .unwrap()
    );
    // registered anew: what was sent in between is not delivered, nor anything twice
    let mut third = one.register(srvid).await.unwrap();
    one.message(Pnn::CURRENT, srvid, b"self").unwrap();
    two.ping(Pnn::CURRENT, LIMIT).await.unwrap();
    two.message(Pnn::CURRENT, srvid, &vec![7; 1 << 20]).unwrap();
    assert_eq!(next(&mut third).await, b"self");
    assert_eq!(next(&mut third).await, vec![7; 1 << 20]);
}

async fn notification(one: &Client, short_lived: Client) {
    let srvid = Srvid(0xAE00_0000_0000_0002);
    let mut watch = one.register(srvid).await.unwrap();
    short_lived
        .register_notify(srvid, b"gone".to_vec(), LIMIT)
        .await
        .unwrap();
    drop(short_lived);
    assert_eq!(next(&mut watch).await, b"gone");
}

async fn tunnels(one: &Client, two: &Client) {
    let id = TunnelId(TunnelId::TEST.0 + 1);
    let mut tunnel = one.open_tunnel(id).await.unwrap();
    assert!(matches!(
        two.open_tunnel(id).await,
        Err(Error::TunnelInUse(_))
    ));
    // a node has one end of each tunnel, so this one asks itself
    tunnel.send(Pnn(0), b"no answer").unwrap();
    let first = tokio::time::timeout(LIMIT, tunnel.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (&first.data[..], first.wants_reply),
        (&b"no answer"[..], false)
    );
    drop(tunnel);
    // given back: another client may have it now
    two.ping(Pnn::CURRENT, LIMIT).await.unwrap();
    one.ping(Pnn::CURRENT, LIMIT).await.unwrap();
    two.open_tunnel(id).await.unwrap();
}

async fn databases(client: &Client, base: &Path) {
    for (name, flags, kind, folder, open_flags) in [
        (
            "v.tdb",
            DbFlags::empty(),
            DatabaseKind::Volatile,
            "volatile",
            0x1c41,
        ),
        (
            "p.tdb",
            DbFlags::PERSISTENT,
            DatabaseKind::Persistent,
            "persistent",
            0x400,
        ),
        (
            "r.tdb",
            DbFlags::REPLICATED,
            DatabaseKind::Replicated,
            "volatile",
            0xc41,
        ),
    ] {
        let info = client.attach(name, flags, LIMIT).await.unwrap();
        assert_eq!(DatabaseKind::from_flags(info.flags), kind);
        assert_eq!(
            info.path,
            base.join("var").join(folder).join(format!("{name}.0"))
        );
        assert_eq!(
            info.open_flags, open_flags,
            "{name}: {:#x}",
            info.open_flags
        );
        assert_eq!(info.id, wire::db_id(name));
        assert_eq!(
            client.attach(name, flags, LIMIT).await.unwrap(),
            info,
            "once more"
        );
        let back = client
            .control::<GetDbName>(Pnn::CURRENT, &info.id, LIMIT)
            .await
            .unwrap();
        assert_eq!(back.reply, name);
    }
}

async fn kinds_of_access(client: &Client) {
    let readonly = client
        .attach("ro.tdb", DbFlags::READONLY | DbFlags::STICKY, LIMIT)
        .await
        .unwrap();
    let map = client
        .control::<GetDbMap>(Pnn::CURRENT, &(), LIMIT)
        .await
        .unwrap()
        .reply;
    let entry = map.dbs.iter().find(|db| db.db == readonly.id).unwrap();
    assert_eq!(entry.flags, DbFlags::READONLY | DbFlags::STICKY);
}

/// Migrates records here, and then reads the database as a recovery does.
async fn records(client: &Client) {
    let db = client
        .attach("v.tdb", DbFlags::empty(), LIMIT)
        .await
        .unwrap()
        .id;
    for key in 0..50u32 {
        client.migrate(db, &key.to_ne_bytes(), LIMIT).await.unwrap();
    }
    let srvid = Srvid(0xAE00_0000_0000_0003);
    let mut queue = client.register(srvid).await.unwrap();
    let vnnmap = client
        .control::<GetVnnMap>(Pnn::CURRENT, &(), LIMIT)
        .await
        .unwrap()
        .reply;
    client
        .control::<DbFreeze>(Pnn(0), &db, LIMIT)
        .await
        .unwrap();
    let transaction = TransDb {
        db,
        transaction: vnnmap.generation,
    };
    client
        .control::<DbTransactionStart>(Pnn(0), &transaction, LIMIT)
        .await
        .unwrap();
    let request = PullDbExt {
        db,
        lmaster: LMASTER_ANY,
        srvid,
    };
    let pulled = client
        .control::<DbPull>(Pnn(0), &request, LIMIT)
        .await
        .unwrap()
        .reply;
    client.control::<DbThaw>(Pnn(0), &db, LIMIT).await.unwrap();
    assert_eq!(pulled, 50);
    let message = tokio::time::timeout(Duration::ZERO, queue.recv()).await;
    assert!(
        message
            .expect("the records came before the reply")
            .unwrap()
            .data
            .len()
            > 50 * 24
    );
}

async fn the_end(daemon: Daemon, client: &Client) {
    let mut queue = client.register(Srvid(0xAE00_0000_0000_0004)).await.unwrap();
    let stopped = tokio::task::spawn_blocking(move || drop(daemon));
    let end = tokio::time::timeout(LIMIT, queue.recv())
        .await
        .expect("still connected");
    assert!(matches!(end, Err(Error::Disconnected)));
    stopped.await.unwrap();
    assert!(client.is_closed());
}
