//! Records, global locks and transactions with the C daemon of Debian's package, in the file that it
//! has open. Skipped where there is none. `CTDBD=PATH` names another daemon, ours for example.
#![expect(clippy::unwrap_used, reason = "a test may end in a panic")]

mod daemon;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use client::{Client, Database, Error, GLocks, Patience};
use daemon::Daemon;
use tokio::task::LocalSet;
use wire::types::{DbFlags, GLockMode, SEQNUM_KEY};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn databases_are_read_and_written_with_the_c_daemon() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    let tests = async {
        let client = daemon.client().await;
        volatile(&client).await;
        lent_copies(&client).await;
        locks(&daemon).await;
        for (name, flags) in [
            ("persistent.tdb", DbFlags::PERSISTENT),
            ("replicated.tdb", DbFlags::REPLICATED),
        ] {
            let db = client.open_database(name, flags, LIMIT).await.unwrap();
            transactions(&db).await;
            writers_take_turns(&db).await;
        }
    };
    LocalSet::new().run_until(tests).await;
}

async fn volatile(client: &Client) {
    let open = || client.open_database("volatile.tdb", DbFlags::empty(), LIMIT);
    let db = open().await.unwrap();
    let again = open().await.unwrap().with_patience(Patience::Try);
    assert!(db.peek(b"key", |_| ()).unwrap().is_none());
    {
        let mut record = db.lock_record(b"key", LIMIT).await.unwrap();
        assert_eq!(record.value(), b"");
        assert_eq!(record.header().dmaster, client.pnn());
        record.store(b"one").unwrap();
        assert_eq!(record.value(), b"one");
    }
    // the same file, opened once: its locks count within the process
    let record = again.lock_record(b"key", LIMIT).await.unwrap();
    assert_eq!(record.value(), b"one");
    drop(record);
    assert_eq!(db.read(b"key", LIMIT).await.unwrap(), "one");
    let mut all = client.traverse(db.id(), LIMIT).await.unwrap();
    let found = all.next().await.unwrap().unwrap();
    assert_eq!(
        (&found.key[..], &found.value[..]),
        (&b"key"[..], &b"one"[..])
    );
    assert!(all.next().await.unwrap().is_none());
    db.lock_record(b"key", LIMIT)
        .await
        .unwrap()
        .delete()
        .unwrap();
    assert_eq!(db.read(b"key", LIMIT).await.unwrap(), "");
    let mut seen = 0;
    db.traverse_local(|key, record| {
        assert_eq!((key, record.value), (&b"key"[..], &b""[..]));
        seen += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(seen <= 1, "vacuuming may have taken it already");
    let wrong = GLocks::open(client, LIMIT).await.unwrap();
    let wrong = db.begin(&wrong, GLockMode::Write, LIMIT).await;
    assert!(matches!(wrong, Err(Error::WrongKind { .. })));
}

async fn lent_copies(client: &Client) {
    let open = client.open_database("readonly.tdb", DbFlags::READONLY, LIMIT);
    let db = open.await.unwrap();
    db.lock_record(b"key", LIMIT)
        .await
        .unwrap()
        .store(b"x")
        .unwrap();
    assert_eq!(db.read_only(b"key", LIMIT).await.unwrap(), "x");
}

async fn locks(daemon: &Daemon) {
    let (one, two) = (daemon.client().await, daemon.client().await);
    let (one, two) = (
        GLocks::open(&one, LIMIT).await.unwrap(),
        GLocks::open(&two, LIMIT).await.unwrap(),
    );
    let (read, write) = ((GLockMode::Read, 0), (GLockMode::Write, 0));
    let readers = (
        one.lock(b"x\0", read, LIMIT).await.unwrap(),
        two.lock(b"x\0", read, LIMIT).await.unwrap(),
    );
    let soon = Duration::from_millis(100);
    let refused = two.lock(b"x\0", write, soon).await;
    assert!(
        matches!(refused, Err(Error::TimedOut { .. })),
        "{refused:?}"
    );
    // another lock is another lock
    one.lock(b"y\0", write, LIMIT)
        .await
        .unwrap()
        .unlock(LIMIT)
        .await
        .unwrap();
    let waiting = two.lock(b"x\0", write, LIMIT);
    let ending = async {
        readers.1.unlock(LIMIT).await.unwrap();
        drop(readers.0);
    };
    let (writer, ()) = tokio::join!(waiting, ending);
    let writer = writer.unwrap();
    // handed over, not found free: far less than the time after which a silent holder is doubted
    let begin = Instant::now();
    let (next, ()) = tokio::join!(one.lock(b"x\0", write, LIMIT), async {
        tokio::time::sleep(soon).await;
        writer.unlock(LIMIT).await.unwrap();
    });
    assert!(begin.elapsed() < Duration::from_millis(900));
    // a holder that is silent, and that is no client as its daemon sees it: from inside its namespaces
    // this process has no number. What it left in the record is removed
    std::mem::forget(next.unwrap());
    let begin = Instant::now();
    let last = two.lock(b"x\0", write, LIMIT).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(10));
    last.unlock(LIMIT).await.unwrap();
}

async fn transactions(db: &Database) {
    let locks = GLocks::open(db.client(), LIMIT).await.unwrap();
    assert_eq!(db.sequence_number().unwrap(), 0);
    let mut one = db.begin(&locks, GLockMode::Write, LIMIT).await.unwrap();
    assert_eq!(one.fetch(b"key").unwrap(), b"");
    one.store(b"key", b"value").unwrap();
    one.store(b"gone", b"soon").unwrap();
    assert_eq!(one.fetch(b"key").unwrap(), b"value");
    one.commit(LIMIT).await.unwrap();
    assert_eq!(db.sequence_number().unwrap(), 1);
    assert_eq!(db.read(b"key", LIMIT).await.unwrap(), "value");
    assert!(matches!(
        db.lock_record(b"key", LIMIT).await,
        Err(Error::WrongKind { .. })
    ));

    let mut two = db.begin(&locks, GLockMode::Write, LIMIT).await.unwrap();
    two.store(b"key", b"not this").unwrap();
    two.cancel(LIMIT).await.unwrap();
    let mut three = db.begin(&locks, GLockMode::Write, LIMIT).await.unwrap();
    three.store(b"key", b"value").unwrap();
    three.commit(LIMIT).await.unwrap();
    assert_eq!(db.sequence_number().unwrap(), 1, "nothing changed");

    let mut four = db.begin(&locks, GLockMode::Write, LIMIT).await.unwrap();
    four.delete(b"gone").unwrap();
    four.commit(LIMIT).await.unwrap();
    let header = |key| db.peek(key, |record| record.header).unwrap().unwrap();
    assert_eq!(header(SEQNUM_KEY).rsn, 2);
    assert_eq!(header(b"key").rsn, 1);
    let mut reader = db.begin(&locks, GLockMode::Read, LIMIT).await.unwrap();
    assert_eq!(reader.fetch(b"gone").unwrap(), b"");
    assert!(matches!(
        reader.store(b"key", b""),
        Err(Error::WrongKind { .. })
    ));
    reader.cancel(LIMIT).await.unwrap();
}

/// Two writers on two connections, each as fast as it can.
async fn writers_take_turns(db: &Database) {
    let add = || async {
        let locks = GLocks::open(db.client(), LIMIT).await.unwrap();
        for _ in 0..50 {
            let mut transaction = db.begin(&locks, GLockMode::Write, LIMIT).await.unwrap();
            let old = transaction.fetch(b"counter").unwrap();
            let old = old.try_into().map_or(0, u64::from_ne_bytes);
            transaction
                .store(b"counter", &(old + 1).to_ne_bytes())
                .unwrap();
            transaction.commit(LIMIT).await.unwrap();
        }
    };
    tokio::join!(add(), add());
    let counter = db.read(b"counter", LIMIT).await.unwrap();
    assert_eq!(counter, 100u64.to_ne_bytes()[..]);
}
