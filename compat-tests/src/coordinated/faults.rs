//! The faults, one after the other. Each leaves the cluster as it was.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::{LEASE, Scene};
use crate::deaths::scene::{PERSISTENT, VOLATILE, check_value, check_waits, pid, signal, write};
use crate::etcd::ADDRESS;
use crate::node::Node;
use crate::report::{Report, wait_for, within};

/// As the kernel names it, in 15 characters.
const MANAGER: &str = "ctdb-clusterd";
const FREEZES: &str = "this node freezes its databases";

fn leader_of(node: &Node) -> Result<usize> {
    let text = node.ctdb(&["leader"])?;
    text.trim()
        .parse()
        .with_context(|| format!("leader: {text}"))
}

/// The first of the others, then the second.
const fn others(pnn: usize) -> [usize; 2] {
    [(pnn + 1) % 3, (pnn + 2) % 3]
}

/// Waits for a new leader, and for the two others to be OK; prints when that was.
fn check_taken_over(scene: &Scene<'_>, old: usize, begin: Instant, limit: u64) -> Result<()> {
    let [witness, other] = others(old);
    let limit = Duration::from_secs(limit);
    wait_for(limit, || {
        let leader = leader_of(scene.node(witness))?;
        ensure!(leader != old, "node {old} still leads");
        Ok(())
    })?;
    let led = begin.elapsed();
    wait_for(limit, || {
        crate::cluster::check_ok(scene.node(witness), 2)?;
        crate::cluster::check_ok(scene.node(other), 2)
    })?;
    println!(
        "# a new leader after {:.1} s, normal operation after {:.1} s",
        led.as_secs_f64(),
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

fn count(text: &str, word: &str) -> usize {
    text.lines().filter(|line| line.contains(word)).count()
}

pub(super) fn leader_killed(scene: &mut Scene<'_>, report: &mut Report) -> Result<()> {
    let old = leader_of(scene.node(0))?;
    write(scene.node(others(old)[0]), VOLATILE, "kept", "before-kill")?;
    scene.node(old).kill_ctdbd()?;
    let begin = Instant::now();
    report.check("another node leads, and the rest recovers", || {
        check_taken_over(scene, old, begin, 10)
    });
    report.check("etcd has two members", || {
        within(LEASE + 3, || {
            let keys = scene.servers.keys()?;
            ensure!(keys.len() == 3, "{keys:?}");
            Ok(())
        })
    });
    report.check("a record of a node that lives is there", || {
        check_value(scene.node(others(old)[1]), VOLATILE, "kept", "before-kill")
    });
    scene.node(old).start_ctdbd()
}

pub(super) fn leader_shut_down(scene: &mut Scene<'_>, report: &mut Report) -> Result<()> {
    let old = leader_of(scene.node(0))?;
    scene.node(old).ctdb(&["shutdown"])?;
    let begin = Instant::now();
    report.check("nobody waits for the end of its lease", || {
        within(LEASE / 2, || {
            let keys = scene.servers.keys()?;
            ensure!(!keys.contains(&format!("/ctdb/members/{old}")), "{keys:?}");
            Ok(())
        })?;
        check_taken_over(scene, old, begin, 10)
    });
    within(20, || scene.node(old).check_none("ctdbd"))?;
    scene.node(old).start_ctdbd()
}

pub(super) fn manager_killed(scene: &mut Scene<'_>, report: &mut Report) -> Result<()> {
    let leader = leader_of(scene.node(0))?;
    let fenced = count(&scene.log(leader)?, FREEZES);
    signal(
        scene.node(leader),
        pid(scene.node(leader), MANAGER)?,
        "KILL",
    )?;
    report.check("records go on at once", || {
        scene.check_works("manager-killed")
    });
    report.check("another manager takes the membership over", || {
        within(10, || {
            scene.servers.check_members(&[0, 1, 2])?;
            leader_of(scene.node(leader)).map(drop)
        })
    });
    report.check("the node was a member all the time", || {
        let now = count(&scene.log(leader)?, FREEZES);
        ensure!(now == fenced, "it froze itself");
        anyhow::Ok(())
    });
    Ok(())
}

pub(super) fn etcd_leader_killed(scene: &mut Scene<'_>, report: &mut Report) -> Result<()> {
    let fenced = all_logs(scene, FREEZES)?;
    let server = scene.servers.leader()?;
    scene.servers.kill_one(server)?;
    report.check("the cluster goes on for two leases", || {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(2 * LEASE) {
            scene.cluster.check_all_ok()?;
            scene.check_works("one-etcd-less")?;
        }
        anyhow::Ok(())
    });
    report.check("no node has frozen itself", || {
        ensure!(all_logs(scene, FREEZES)? == fenced);
        anyhow::Ok(())
    });
    scene.servers.start_one(server)
}

fn all_logs(scene: &Scene<'_>, word: &str) -> Result<usize> {
    (0..3).map(|pnn| Ok(count(&scene.log(pnn)?, word))).sum()
}

pub(super) fn etcd_gone(scene: &mut Scene<'_>, report: &mut Report) -> Result<()> {
    for pnn in 0..3 {
        let key = format!("kept-{pnn}");
        write(scene.node(pnn), VOLATILE, &key, "before-etcd-was-gone")?;
    }
    scene
        .node(0)
        .ctdb(&["-t", "20", "pstore", PERSISTENT, "key", "kept"])?;
    let fenced = all_logs(scene, FREEZES)?;
    scene.servers.signal(Signal::SIGSTOP)?;
    let begin = Instant::now();
    report.check(
        "all nodes have frozen themselves before their leases end",
        || {
            wait_for(Duration::from_secs(LEASE), || {
                let now = all_logs(scene, FREEZES)?;
                ensure!(now == fenced + 3, "{} of 3", now - fenced);
                Ok(())
            })?;
            println!("# frozen after {:.1} s", begin.elapsed().as_secs_f64());
            anyhow::Ok(())
        },
    );
    report.check("records can be had nowhere", || {
        (0..3).try_for_each(|pnn| check_waits(scene.node(pnn), 1, VOLATILE, "kept-0"))
    });
    std::thread::sleep(Duration::from_secs(2 * LEASE).saturating_sub(begin.elapsed()));
    scene.servers.signal(Signal::SIGCONT)?;
    let begin = Instant::now();
    report.check("with etcd the cluster comes back", || {
        within(30, || scene.cluster.check_all_ok())?;
        println!(
            "# normal operation after {:.1} s",
            begin.elapsed().as_secs_f64()
        );
        anyhow::Ok(())
    });
    report.check("with all records", || {
        for pnn in 0..3 {
            let key = format!("kept-{pnn}");
            check_value(
                scene.node((pnn + 1) % 3),
                VOLATILE,
                &key,
                "before-etcd-was-gone",
            )?;
        }
        let kept = scene.node(2).ctdb(&["pfetch", PERSISTENT, "key"])?;
        ensure!(kept.trim() == "kept", "{kept}");
        anyhow::Ok(())
    });
    Ok(())
}

pub(super) fn cut_off_from_etcd(scene: &mut Scene<'_>, report: &mut Report) -> Result<()> {
    let leader = leader_of(scene.node(0))?;
    let log = scene.log(leader)?.len();
    scene
        .node(leader)
        .sh(&format!("ip route add blackhole {ADDRESS}/32"))?;
    let begin = Instant::now();
    report.check(
        "the leader leaves the others, who go on with another",
        || check_taken_over(scene, leader, begin, LEASE + 15),
    );
    report.check("it has said why", || {
        let text = scene.log(leader)?.split_off(log);
        ensure!(text.contains(FREEZES), "{text}");
        anyhow::Ok(())
    });
    report.check("no record can be had there", || {
        check_waits(scene.node(leader), 1, VOLATILE, "shared")
    });
    scene
        .node(leader)
        .sh(&format!("ip route del blackhole {ADDRESS}/32"))?;
    let begin = Instant::now();
    report.check("it comes back by itself", || {
        within(30, || scene.cluster.check_all_ok())?;
        println!("# back after {:.1} s", begin.elapsed().as_secs_f64());
        anyhow::Ok(())
    });
    Ok(())
}

pub(super) fn leader_powered_off(scene: &mut Scene<'_>, report: &mut Report) -> Result<()> {
    let old = leader_of(scene.node(0))?;
    scene.cluster.nodes[old].power_off()?;
    let begin = Instant::now();
    report.check("another node leads when the lease is over", || {
        check_taken_over(scene, old, begin, LEASE + 10)
    });
    scene.cluster.nodes[old].boot()?;
    scene.node(old).start_ctdbd()
}

pub(super) fn leader_stopped(scene: &mut Scene<'_>, report: &mut Report) -> Result<()> {
    let old = leader_of(scene.node(0))?;
    let fenced = count(&scene.log(old)?, FREEZES);
    let node = scene.node(old);
    let stop = |signal: &str| {
        // the daemon, its manager and the program that asks etcd
        let script = format!("pkill -{signal} '^(ctdbd|ctdb-clusterd|ctdb-etcd)$'");
        node.sh(&script).map(drop)
    };
    stop("STOP")?;
    let begin = Instant::now();
    report.check("another node leads when the lease is over", || {
        check_taken_over(scene, old, begin, LEASE + 10)
    });
    write(scene.node(others(old)[0]), VOLATILE, "meanwhile", "new")?;
    stop("CONT")?;
    report.check("the old one freezes itself first, and comes back", || {
        within(30, || scene.cluster.check_all_ok())?;
        let now = count(&scene.log(old)?, FREEZES);
        ensure!(now > fenced, "it did not freeze itself");
        anyhow::Ok(())
    });
    report.check("what was written meanwhile is there", || {
        check_value(scene.node(old), VOLATILE, "meanwhile", "new")
    });
    Ok(())
}

/// A node that has another setting than the others: whoever is new leaves.
pub(super) fn neighbours(scene: &mut Scene<'_>, report: &mut Report) -> Result<()> {
    let conf = scene.node(2).path("/etc/ctdb/ctdb.conf");
    let with_etcd = fs::read_to_string(&conf)?;
    let without: Vec<_> = with_etcd
        .lines()
        .filter(|line| !line.contains("etcd"))
        .collect();
    scene.node(2).ctdb(&["shutdown"])?;
    within(20, || scene.node(2).check_none("ctdbd"))?;
    fs::write(&conf, without.join("\n") + "\n")?;
    scene.node(2).start_ctdbd()?;
    report.check("the members go on, and say what is wrong", || {
        within(20, || {
            let text = scene.log(0)?;
            ensure!(text.contains("Cluster manager configuration inconsistent"));
            Ok(())
        })?;
        // the other one may have led
        within(10, || {
            crate::cluster::check_ok(scene.node(0), 2)?;
            crate::cluster::check_ok(scene.node(1), 2)
        })
    });
    scene.node(1).ctdb(&["shutdown"])?;
    within(20, || scene.node(1).check_none("ctdbd"))?;
    let log = scene.log(1)?.len();
    scene.node(1).start_ctdbd()?;
    report.check("one that starts beside it ends, and says why", || {
        within(20, || scene.node(1).check_none("ctdbd"))?;
        let text = scene.log(1)?.split_off(log);
        let why = "node 2 has another cluster manager, or is a C node";
        ensure!(text.contains(why), "{text}");
        anyhow::Ok(())
    });
    scene.node(2).ctdb(&["shutdown"])?;
    within(20, || scene.node(2).check_none("ctdbd"))?;
    fs::write(&conf, with_etcd)?;
    scene.node(1).start_ctdbd()?;
    scene.node(2).start_ctdbd()
}
