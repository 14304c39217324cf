//! What a client of one node does binds the clients of another.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::cluster::Cluster;
use crate::report::Report;
use crate::smb2::{Break, Caching, Connection, Disposition, Open, Share, Status};

const SOON: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_millis(700);

pub(super) fn run(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    type Test = fn(&mut Connection, &mut Connection, &mut Report) -> Result<()>;
    let tests: [(&str, Test); 8] = [
        ("data", data),
        ("share modes", share_modes),
        ("byte ranges", byte_ranges),
        ("oplocks", oplocks),
        ("leases", leases),
        ("change notify", change_notify),
        ("delete pending", delete_pending),
        ("ping-pong", ping_pong),
    ];
    for (name, test) in tests {
        report.group(name, |report| {
            let (mut here, mut there) = (cluster.session(0)?, cluster.session(cluster.last())?);
            test(&mut here, &mut there, report)
        });
    }
    report.group("disconnect", |report| disconnect(cluster, report));
    Ok(())
}

fn data(here: &mut Connection, there: &mut Connection, report: &mut Report) -> Result<()> {
    let text = b"written on one node";
    let file = here.must_open(&Open::creating("x-data"))?.file;
    here.write(file, text)?.expect(Status::OK)?;
    here.close(file)?;
    let file = there.must_open(&Open::reading("x-data"))?.file;
    let read = there.read(file, 64)?;
    report.check("data written on one node is read on another", || {
        ensure!(read.as_deref() == Ok(text), "read {read:?}");
        Ok(())
    });
    Ok(())
}

fn share_modes(here: &mut Connection, there: &mut Connection, report: &mut Report) -> Result<()> {
    let file = here
        .must_open(&Open::creating("x-share").share(Share::Read))?
        .file;
    report.check("deny-write open: another node may not write", || {
        there
            .try_open(&Open::writing("x-share"))?
            .expect(Status::SHARING_VIOLATION)
    });
    report.check("but read", || {
        there
            .try_open(&Open::reading("x-share"))?
            .expect(Status::OK)
    });
    here.close(file)?;
    report.check("and write once it is closed", || {
        there
            .try_open(&Open::writing("x-share"))?
            .expect(Status::OK)
    });
    Ok(())
}

fn disconnect(cluster: &Cluster, report: &mut Report) -> Result<()> {
    let (mut here, mut there) = (cluster.session(0)?, cluster.session(cluster.last())?);
    let name = "x-gone";
    here.must_open(&Open::creating(name).share(Share::None))?;
    report.check("exclusive open keeps another node out", || {
        there
            .try_open(&Open::reading(name))?
            .expect(Status::SHARING_VIOLATION)
    });
    drop(here);
    report.check("until its client is gone", || {
        let open = || there.try_open(&Open::reading(name))?.expect(Status::OK);
        crate::report::within(10, open)
    });
    Ok(())
}

fn byte_ranges(here: &mut Connection, there: &mut Connection, report: &mut Report) -> Result<()> {
    let mine = here.must_open(&Open::creating("x-range"))?.file;
    let theirs = there.must_open(&Open::writing("x-range"))?.file;
    here.write(mine, &[7; 100])?.expect(Status::OK)?;
    report.check("byte range locked on one node", || {
        here.lock(mine, 0, 10)?.expect(Status::OK)
    });
    report.check("overlapping lock on another is refused", || {
        there.lock(theirs, 5, 10)?.expect(Status::LOCK_NOT_GRANTED)
    });
    report.check("a lock beside it is granted", || {
        there.lock(theirs, 20, 10)?.expect(Status::OK)
    });
    report.check("a read of it is refused", || {
        let read = there.read(theirs, 5)?;
        read.err()
            .unwrap_or(Status::OK)
            .expect(Status::FILE_LOCK_CONFLICT)
    });
    let waiting = there.start_lock(theirs, 0, 10)?;
    report.check("a lock that may wait waits", || {
        let early = there.status(waiting, MOMENT)?;
        ensure!(early.is_none(), "answered {early:?}");
        Ok(())
    });
    report.check("and is granted on unlock", || {
        here.unlock(mine, 0, 10)?.expect(Status::OK)?;
        there
            .status(waiting, SOON)?
            .context("still waits")?
            .expect(Status::OK)
    });
    report.check("so that the first node is refused", || {
        here.lock(mine, 0, 10)?.expect(Status::LOCK_NOT_GRANTED)
    });
    Ok(())
}

fn oplocks(here: &mut Connection, there: &mut Connection, report: &mut Report) -> Result<()> {
    const BATCH: u8 = 9;
    const LEVEL2: u8 = 1;
    const NONE: u8 = 0;
    let open = Open::creating("x-oplock").caching(Caching::Batch);
    let mine = here.must_open(&open)?;
    ensure!(mine.oplock == BATCH, "got oplock {}", mine.oplock);
    let waiting = there.start_open(&Open::writing("x-oplock"))?;
    report.check(
        "batch oplock: an open on another node breaks it to level 2",
        || {
            check_break(
                here,
                Break::Oplock {
                    level: LEVEL2,
                    file: mine.file,
                },
            )
        },
    );
    report.check("the open waits for the answer", || {
        ensure!(
            there.opened(waiting, MOMENT)?.is_none(),
            "opened before the answer"
        );
        Ok(())
    });
    here.acknowledge_oplock(mine.file, LEVEL2)?
        .expect(Status::OK)?;
    let theirs = there
        .opened(waiting, SOON)?
        .context("the open still waits")?;
    let theirs = theirs.map_err(|status| anyhow::anyhow!("refused: {status:?}"))?;
    report.check("a write on the other node breaks it to none", || {
        there.write(theirs.file, b"x")?.expect(Status::OK)?;
        check_break(
            here,
            Break::Oplock {
                level: NONE,
                file: mine.file,
            },
        )
    });
    Ok(())
}

fn leases(here: &mut Connection, there: &mut Connection, report: &mut Report) -> Result<()> {
    const RWH: u32 = 7;
    const RH: u32 = 3;
    let key = *b"lease of node 0.";
    let mine = here.must_open(&Open::creating("x-lease").caching(Caching::Lease(key, RWH)))?;
    ensure!(mine.lease == Some(RWH), "got lease {:?}", mine.lease);
    let open = Open::writing("x-lease").caching(Caching::Lease(*b"and of another..", RWH));
    let waiting = there.start_open(&open)?;
    report.check("lease: an open on another node breaks RWH to RH", || {
        check_break(
            here,
            Break::Lease {
                key,
                from: RWH,
                to: RH,
            },
        )
    });
    here.acknowledge_lease(&key, RH)?.expect(Status::OK)?;
    report.check("and gets RH itself", || {
        let theirs = there.opened(waiting, SOON)?.context("still waits")?;
        let theirs = theirs.map_err(|status| anyhow::anyhow!("refused: {status:?}"))?;
        ensure!(theirs.lease == Some(RH), "got {:?}", theirs.lease);
        Ok(())
    });
    Ok(())
}

fn check_break(connection: &mut Connection, wanted: Break) -> Result<()> {
    let broken = connection.wait_break()?;
    ensure!(broken == wanted, "{broken:?}, expected {wanted:?}");
    Ok(())
}

fn change_notify(here: &mut Connection, there: &mut Connection, report: &mut Report) -> Result<()> {
    let waiting = there.start_notify()?;
    // notifyd tells the other nodes of new listeners about once a second
    std::thread::sleep(Duration::from_millis(1500));
    report.check("a file made on one node is notified on another", || {
        let file = here.must_open(&Open::creating("x-notify"))?.file;
        here.close(file)?;
        there
            .status(waiting, SOON)?
            .context("not notified")?
            .expect(Status::OK)
    });
    Ok(())
}

fn delete_pending(
    here: &mut Connection,
    there: &mut Connection,
    report: &mut Report,
) -> Result<()> {
    let file = here.must_open(&Open::creating("x-delete"))?.file;
    there.delete("x-delete")?.expect(Status::OK)?;
    report.check(
        "deleted on another node while open here: delete pending",
        || {
            there
                .try_open(&Open::reading("x-delete"))?
                .expect(Status::DELETE_PENDING)
        },
    );
    here.close(file)?;
    report.check("gone once it is closed", || {
        let open = Open::reading("x-delete").disposition(Disposition::Existing);
        there.try_open(&open)?.expect(Status::NOT_FOUND)
    });
    Ok(())
}

/// Two seconds of locks and refusals in turn: the record moves for most of them.
fn ping_pong(here: &mut Connection, there: &mut Connection, report: &mut Report) -> Result<()> {
    let mine = here.must_open(&Open::creating("x-pingpong"))?.file;
    let theirs = there.must_open(&Open::writing("x-pingpong"))?.file;
    let begin = Instant::now();
    let mut rounds = 0;
    report.check("lock, refused lock and unlock in turn", || {
        while begin.elapsed() < Duration::from_secs(2) {
            here.lock(mine, 0, 1)?.expect(Status::OK)?;
            there.lock(theirs, 0, 1)?.expect(Status::LOCK_NOT_GRANTED)?;
            here.unlock(mine, 0, 1)?.expect(Status::OK)?;
            there.lock(theirs, 0, 1)?.expect(Status::OK)?;
            here.lock(mine, 0, 1)?.expect(Status::LOCK_NOT_GRANTED)?;
            there.unlock(theirs, 0, 1)?.expect(Status::OK)?;
            rounds += 1;
        }
        anyhow::Ok(())
    });
    println!(
        "# {} calls/s, most of them to the other node than the one before",
        rounds * 6 / 2
    );
    Ok(())
}
