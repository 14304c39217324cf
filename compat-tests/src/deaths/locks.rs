//! Clients that hold the lock of a chain: stopped, and killed.

use anyhow::{Result, ensure};

use super::actor::{Acting, Actor};
use super::scene::{Log, OTHER, Scene, VOLATILE, check_value, check_waits, write};
use crate::report::{Report, within};

const KEY: &str = "held";

pub(super) fn run(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    stopped(scene, report)?;
    killed(scene, report)?;
    if scene.quick {
        return Ok(());
    }
    in_a_recovery(scene, report)
}

fn hold(scene: &Scene<'_>) -> Result<Acting> {
    write(scene.node(1), VOLATILE, KEY, "before")?;
    let actor = Actor::HoldChain {
        database: VOLATILE.into(),
        key: KEY.into(),
    };
    Acting::start(scene.node(1), &actor)
}

fn stopped(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let (node, other) = (scene.node(1), scene.node(0));
    let log = Log::of(node);
    let client = hold(scene)?;
    client.signal(node, "STOP")?;
    report.check(
        "a stopped client holds a record: whoever wants that record waits",
        || check_waits(other, 2, VOLATILE, KEY),
    );
    report.check("other records and other databases go on", || {
        write(other, VOLATILE, "free", "one")?;
        check_value(node, VOLATILE, "free", "one")?;
        write(other, OTHER, KEY, "two")?;
        check_value(node, OTHER, KEY, "two")
    });
    report.check("the log and the debugging script say who waits", || {
        within(15, || {
            log.check_says(&["Unable to get RECORD lock on database", VOLATILE])?;
            let called = node.sh("cat /run/debug-locks")?;
            ensure!(
                called.contains(" RECORD /var/lib/ctdb/volatile/"),
                "{called}"
            );
            Ok(())
        })
    });
    client.signal(node, "CONT")?;
    client.end(node)?;
    report.check("once it is gone, the record moves", || {
        within(5, || check_value(other, VOLATILE, KEY, "before"))
    });
    Ok(())
}

fn killed(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let (node, other) = (scene.node(1), scene.node(0));
    let client = hold(scene)?;
    client.end(node)?;
    report.check(
        "a client that holds a record is killed: the record moves at once",
        || check_value(other, VOLATILE, KEY, "before"),
    );
    Ok(())
}

fn in_a_recovery(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let (node, other) = (scene.node(1), scene.node(0));
    let client = hold(scene)?;
    client.signal(node, "STOP")?;
    // it waits for the end of the recovery
    let _ = other
        .command("timeout")
        .args(["2", "ctdb", "recover"])
        .output()?;
    report.check(
        "a recovery cannot freeze the database: the node is banned, the rest goes on",
        || within(50, || scene.check_rest_ok(1)),
    );
    client.end(node)?;
    report.check("with the lock free, it comes back by itself", || {
        within(30, || scene.cluster.check_all_ok())
    });
    Ok(())
}
