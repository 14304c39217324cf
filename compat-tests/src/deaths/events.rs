//! Event scripts that fail or hang, and an event daemon that is killed, stopped, or cannot be started.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::scene::{Log, Scene, ctdbd, pid, pids, signal};
use crate::node::Node;
use crate::report::{Report, within};
use crate::sections::check_line;

const EVENTD: &str = "ctdb-eventd";
const PROGRAM: &str = "/usr/libexec/ctdb/ctdb-eventd";
/// Notes each event, and does with the one of a file what stands there: `fail monitor`, `hang monitor`.
const SCRIPT: &str = "#!/bin/sh\necho \"$@\" >> /run/events\n\
                      case \"$(cat /run/order 2>/dev/null)\" in\n\
                      \"fail $1\") echo \"told to fail\"; exit 1 ;;\n\
                      \"hang $1\") sleep 1000 ;;\nesac\nexit 0\n";

/// Notes what it is told.
const NOTIFY: &str = "#!/bin/sh\necho \"$@\" >> /run/notified\n";

pub(super) fn run(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    for node in &scene.cluster.nodes {
        for (name, text) in [
            ("events/legacy/50.test.script", SCRIPT),
            ("notify.sh", NOTIFY),
        ] {
            let script = node.path(&format!("/etc/ctdb/{name}"));
            fs::write(&script, text)?;
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        }
    }
    run_in_order(scene, report)?;
    fails(scene, report)?;
    killed(scene, report)?;
    stopped(scene, report)?;
    if !scene.quick {
        hangs(scene, report)?;
        cannot_be_started(scene, report)?;
        at_the_start(scene, report)?;
    }
    at_the_end(scene, report)?;
    for node in &scene.cluster.nodes {
        node.sh("rm -f /etc/ctdb/events/legacy/50.test.script /run/order")?;
    }
    Ok(())
}

/// What the scripts of a node are to do from now on.
fn order(node: &Node, order: &str) -> Result<()> {
    Ok(fs::write(node.path("/run/order"), order)?)
}

/// The events of a node since this was last asked.
fn events(node: &Node) -> Result<String> {
    node.sh("touch /run/events; cat /run/events; rm /run/events")
}

fn run_in_order(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let node = scene.node(scene.follower()?);
    report.check(
        "a recovery runs its events, in order, on a follower",
        || {
            events(node)?;
            node.ctdb(&["recover"])?;
            within(10, || {
                let seen = node.sh("grep -v monitor /run/events | tr '\\n' ' '")?;
                ensure!(
                    seen.starts_with("startrecovery recovered ipreallocated "),
                    "{seen}"
                );
                Ok(())
            })
        },
    );
    report.check("the event monitor is run now and then", || {
        within(10, || {
            let seen = node.sh("grep -c monitor /run/events")?;
            ensure!(seen.trim().parse::<u32>()? >= 3, "{seen} times");
            Ok(())
        })
    });
    report.check("ctdb event and ctdb scriptstatus show it", || {
        let status = node.ctdb(&["event", "status", "legacy", "monitor"])?;
        check_line(&status, &["50.test", "OK"])?;
        check_line(&node.ctdb(&["scriptstatus"])?, &["50.test", "OK"])
    });
    Ok(())
}

/// A node is shown with these flags, by itself and by another.
fn check_shown(scene: &Scene<'_>, pnn: usize, flags: &str) -> Result<()> {
    for node in [scene.node(pnn), scene.node((pnn + 1) % 3)] {
        let line = format!("pnn:{pnn} ");
        let status = node.ctdb(&["status"])?;
        let shown = status.lines().find(|found| found.starts_with(&line));
        let found = shown.and_then(|line| line.split_whitespace().nth(2));
        ensure!(found == Some(flags), "{status}");
    }
    Ok(())
}

fn fails(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let pnn = scene.follower()?;
    let node = scene.node(pnn);
    report.check("a script that fails makes its node UNHEALTHY", || {
        order(node, "fail monitor")?;
        within(15, || check_shown(scene, pnn, "UNHEALTHY"))
    });
    report.check("ctdb scriptstatus says which, and what it printed", || {
        let status = node
            .ctdb(&["scriptstatus"])
            .unwrap_or_else(|why| format!("{why:#}"));
        check_line(&status, &["50.test", "ERROR"])?;
        check_line(&status, &["OUTPUT:", "told to fail"])
    });
    report.check("it stays so while it is disabled and enabled", || {
        node.ctdb(&["disable"])?;
        within(15, || check_shown(scene, pnn, "DISABLED|UNHEALTHY"))?;
        node.ctdb(&["enable"])?;
        within(15, || check_shown(scene, pnn, "UNHEALTHY"))
    });
    report.check("databases go on there", || scene.check_works("unhealthy"));
    report.check("a script that succeeds again makes it OK", || {
        order(node, "")?;
        within(15, || check_shown(scene, pnn, "OK"))
    });
    report.check("the notification script was told of both", || {
        check_notified(node, "unhealthy healthy")
    });
    Ok(())
}

fn check_notified(node: &Node, milestones: &str) -> Result<()> {
    within(5, || {
        let told = node.sh("cat /run/notified | tr '\\n' ' '")?;
        ensure!(told.trim_end() == milestones, "{told}");
        Ok(())
    })?;
    node.sh("rm /run/notified").map(drop)
}

fn hangs(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let pnn = scene.follower()?;
    let node = scene.node(pnn);
    let log = Log::of(node);
    node.sh("rm -f /run/debug-hung")?;
    report.check(
        "a script that hangs makes its node UNHEALTHY in the end",
        || {
            order(node, "hang monitor")?;
            within(30, || check_shown(scene, pnn, "UNHEALTHY"))?;
            log.check_says(&["Maximum monitor timeout count 2 reached"])
        },
    );
    report.check(
        "the debug script was called with its process and the event",
        || {
            let called = node.sh("cat /run/debug-hung")?;
            let mut words = called.split_whitespace();
            words.next().context("no process")?.parse::<u32>()?;
            ensure!(words.next() == Some("monitor"), "{called}");
            Ok(())
        },
    );
    report.check("and is OK again without it", || {
        order(node, "")?;
        within(20, || check_shown(scene, pnn, "OK"))
    });
    report.check(
        "a script that hangs in a recovery is not waited for",
        || {
            order(node, "hang startrecovery")?;
            node.ctdb(&["recover"])?;
            log.check_says(&["Ignoring hung script for startrecovery event"])?;
            order(node, "")?;
            within(15, || scene.cluster.check_all_ok())
        },
    );
    Ok(())
}

fn killed(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let node = scene.node(scene.follower()?);
    let log = Log::of(node);
    report.check("ctdb-eventd is killed: another is started", || {
        let old = pid(node, EVENTD)?;
        signal(node, old, "KILL")?;
        within(5, || check_replaced(node, old))?;
        log.check_says(&["Eventd went away"])
    });
    report.check("the node stays OK, and its events are run", || {
        scene.cluster.check_all_ok()?;
        within(10, || check_monitored(node))?;
        scene.cluster.check_all_ok()
    });
    report.check(
        "an event that it was running fails, and the next recovery passes",
        || {
            order(node, "hang startrecovery")?;
            node.sh("setsid ctdb recover >/dev/null 2>&1 </dev/null &")?;
            within(5, || node.sh("grep -q startrecovery /run/events"))?;
            let old = pid(node, EVENTD)?;
            signal(node, old, "KILL")?;
            order(node, "")?;
            within(5, || log.check_says(&["startrecovery event script failed"]))?;
            within(20, || scene.cluster.check_all_ok())
        },
    );
    node.sh("pkill -x sleep || true").map(drop)
}

fn stopped(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let node = scene.node(scene.follower()?);
    let log = Log::of(node);
    let old = pid(node, EVENTD)?;
    signal(node, old, "STOP")?;
    report.check("ctdb-eventd is stopped: records and commits go on", || {
        scene.check_works("eventd-stopped")
    });
    report.check("a recovery waits for it a few seconds, and passes", || {
        within(20, || node.ctdb(&["recover"]).map(drop))?;
        within(15, || scene.cluster.check_all_ok())
    });
    report.check("it is killed and another started", || {
        within(15, || check_replaced(node, old))?;
        log.check_says(&["the event daemon hangs"])?;
        within(10, || check_monitored(node))
    });
    Ok(())
}

fn cannot_be_started(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let pnn = scene.follower()?;
    let node = scene.node(pnn);
    let log = Log::of(node);
    node.sh(&format!("mount --bind /bin/false {PROGRAM}"))?;
    signal(node, pid(node, EVENTD)?, "KILL")?;
    report.check(
        "no ctdb-eventd can be started: the node is UNHEALTHY",
        || within(30, || check_shown(scene, pnn, "UNHEALTHY")),
    );
    report.check("the log is not filled with it", || {
        std::thread::sleep(Duration::from_secs(4));
        let lines = log.text()?.lines().count();
        ensure!(lines < 60, "{lines} lines");
        Ok(())
    });
    report.check("records go on without it", || {
        scene.check_works("no-eventd")
    });
    node.sh(&format!("umount {PROGRAM}"))?;
    report.check("it comes back with its program, and the node is OK", || {
        within(20, || pid(node, EVENTD).map(drop))?;
        within(20, || check_shown(scene, pnn, "OK"))
    });
    Ok(())
}

fn at_the_start(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let pnn = scene.follower()?;
    let node = scene.node(pnn);
    for event in ["init", "setup"] {
        let log = Log::of(node);
        report.check(&format!("ctdbd does not start if {event} fails"), || {
            node.ctdb(&["shutdown"])?;
            within(10, || node.check_none("ctdbd"))?;
            order(node, &format!("fail {event}"))?;
            // the daemon has forked by then
            node.start_daemon("/usr/sbin/ctdbd", &[])?;
            within(10, || log.check_says(&["Failed to run", event, "event"]))?;
            within(5, || node.check_none("ctdbd"))?;
            order(node, "")?;
            node.start_ctdbd()?;
            within(30, || scene.cluster.check_all_ok())
        });
    }
    report.check("a node whose event startup fails is in STARTUP", || {
        node.ctdb(&["shutdown"])?;
        within(10, || node.check_none("ctdbd"))?;
        order(node, "fail startup")?;
        let log = Log::of(node);
        node.start_ctdbd()?;
        within(20, || log.check_says(&["startup event failed"]))?;
        check_line(&node.ctdb(&["runstate"])?, &["STARTUP"])?;
        within(10, || check_shown(scene, pnn, "UNHEALTHY"))
    });
    report.check("the others see it, and records are there for it", || {
        scene.check_works("startup-fails")
    });
    report.check("it is tried again until it passes", || {
        order(node, "")?;
        within(15, || check_line(&node.ctdb(&["runstate"])?, &["RUNNING"]))?;
        within(15, || scene.cluster.check_all_ok())
    });
    Ok(())
}

fn at_the_end(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let node = scene.node(scene.follower()?);
    events(node)?;
    report.check(
        "ctdb shutdown runs the event shutdown, and nothing is left",
        || {
            node.ctdb(&["shutdown"])?;
            within(10, || node.check_none("ctdbd"))?;
            within(5, || node.check_none(EVENTD))?;
            let seen = events(node)?;
            ensure!(seen.lines().last() == Some("shutdown"), "{seen}");
            node.sh("rm -f /run/notified").map(drop)
        },
    );
    report.check(
        "a script that hangs does not keep ctdbd from ending",
        || {
            node.start_ctdbd()?;
            within(30, || scene.cluster.check_all_ok())?;
            order(node, "hang shutdown")?;
            signal(node, ctdbd(node)?, "TERM")?;
            within(12, || node.check_none("ctdbd"))?;
            check_notified(node, "init setup startup healthy")
        },
    );
    report.check("ctdbd is killed: no ctdb-eventd is left", || {
        order(node, "")?;
        node.start_ctdbd()?;
        within(30, || scene.cluster.check_all_ok())?;
        node.kill_ctdbd()?;
        within(5, || node.check_none(EVENTD))?;
        node.start_ctdbd()?;
        within(30, || scene.cluster.check_all_ok())
    });
    node.sh("pkill -x sleep || true").map(drop)
}

fn check_replaced(node: &Node, old: u32) -> Result<()> {
    let now = pids(node, EVENTD)?;
    ensure!(now.len() == 1 && now[0] != old, "{now:?}, {old} before");
    Ok(())
}

/// The event monitor was run since this was last asked.
fn check_monitored(node: &Node) -> Result<()> {
    let seen = events(node)?;
    ensure!(seen.contains("monitor"), "{seen}");
    Ok(())
}
