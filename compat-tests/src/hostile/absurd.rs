//! Packets that are well formed and make no sense, or too many of them.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use wire::coding::Encode;
use wire::control::Opcode;
use wire::packet::{Body, Packet};
use wire::tunables::TABLE;
use wire::types::{NotifyData, OwnedRecord, RecoveryMode, TraverseStart, Tunable, VnnMap};
use wire::{Generation, Pnn, ReqId, Srvid};

use super::rogue::{PATIENCE, Rogue};
use super::stream::{Wire, receive};
use super::{Scene, database, watch::State};
use crate::report::{Report, within};

/// At 0 it cuts off whoever has two messages waiting, as in C: that is what it is for.
const CUTS_OFF: &str = "MaxQueueDropMsg";

pub(super) fn run(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let target = scene.targets[1];
    let mut rogue = scene.client(target);
    commands(scene, &mut rogue, report);
    traverses(scene, report)?;
    crowds(scene, report);
    let moment = Duration::from_millis(if scene.options.quick { 10 } else { 30 });
    scene.attack("every tunable at its borders", report, || {
        for info in TABLE.iter().filter(|info| info.name != CUTS_OFF) {
            for value in [0, u32::MAX, info.default] {
                set_tunable(&mut rogue, info.name, value)?;
                std::thread::sleep(moment);
            }
        }
        reset_tunables(scene, &mut rogue)
    });
    report.check("afterwards all nodes are OK", || {
        within(60, || scene.check_ok())
    });
    Ok(())
}

/// Commands of a recovery, by a client that leads none.
fn commands(scene: &Scene<'_>, rogue: &mut Rogue, report: &mut Report) {
    let map = |nodes: &[u32]| VnnMap {
        generation: Generation(7),
        map: nodes.iter().copied().map(Pnn).collect(),
    };
    scene.attack("SETVNNMAP with nodes that are none", report, || {
        for nodes in [&[][..], &[7], &[0, 1, 2, u32::MAX], &[0xF000_0001]] {
            let data = map(nodes).to_bytes();
            let status = rogue.control(Pnn::CURRENT, Opcode::SetVnnMap, Srvid(0), &data)?;
            ensure!(
                status.is_some_and(|status| status < 0),
                "{nodes:?}: {status:?}"
            );
        }
        Ok(())
    });
    scene.attack("SET_RECMODE of a stranger", report, || {
        for _ in 0..5 {
            for mode in [RecoveryMode::Active, RecoveryMode::Normal] {
                let data = mode.to_bytes();
                rogue.control(Pnn::CURRENT, Opcode::SetRecmode, Srvid(0), &data)?;
                let data = map(&[0]).to_bytes();
                rogue.control(Pnn::CURRENT, Opcode::SetVnnMap, Srvid(0), &data)?;
            }
        }
        Ok(())
    });
    report.check("afterwards all nodes are OK", || {
        within(60, || scene.check_ok())
    });
}

/// Somebody else's traverse, and too many of one's own.
fn traverses(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let mut member = scene.join()?;
    let packets = u32::try_from(scene.options.packets)?;
    scene.attack("TRAVERSE_DATA that nobody asked for", report, || {
        let link = member.link(scene.targets[0])?;
        for number in 0..packets {
            let record = OwnedRecord {
                reqid: ReqId(number),
                key: b"a key".to_vec(),
                data: vec![0; 32],
            };
            let status = link.control(Opcode::TraverseData, &record.to_bytes())?;
            ensure!(status < 0, "was taken");
        }
        Ok(())
    });
    drop(member);
    scene.attack("traverses by the thousand", report, || {
        let mut rogue = scene.client(scene.targets[1]);
        let start = |number: u32| {
            let start = TraverseStart {
                db: database(),
                reqid: ReqId(number),
                srvid: Srvid(4711),
            };
            (Opcode::TraverseStart, Srvid(0), start.to_bytes())
        };
        let done = flood(&mut rogue, packets, start)?;
        rogue.leave();
        println!("# {done:?}");
        Ok(())
    });
    Ok(())
}

/// Things of which a client may have some, asked for in numbers.
fn crowds(scene: &Scene<'_>, report: &mut Report) {
    let many = u32::try_from(scene.options.packets * 10).unwrap_or(u32::MAX);
    let srvid = |number: u32| Srvid(0xAE00_0000_0000_0000 | u64::from(number));
    let crowd = |name: &str,
                 report: &mut Report,
                 count: u32,
                 make: &(dyn Fn(u32) -> (Opcode, Srvid, Vec<u8>) + Sync)| {
        scene.attack(name, report, || {
            let mut rogue = scene.client(scene.targets[1]);
            let before = State::of(scene.node(scene.targets[1]))?;
            let done = flood(&mut rogue, count, make)?;
            println!("# {done:?}");
            // while it is still there
            let now = State::of(scene.node(scene.targets[1]))?;
            now.check_processes(&before)?;
            scene.client(scene.targets[1]).check_served()
        });
    };
    crowd("addresses by the thousand", report, many, &|number| {
        (Opcode::RegisterSrvid, srvid(number), Vec::new())
    });
    crowd("one address, again and again", report, many, &|_| {
        (Opcode::RegisterSrvid, srvid(0), Vec::new())
    });
    crowd("tunnels by the thousand", report, many, &|number| {
        (Opcode::TunnelRegister, srvid(number), Vec::new())
    });
    crowd("last words by the mebibyte", report, many / 10, &|number| {
        let words = NotifyData {
            srvid: srvid(number),
            data: vec![7; 8192],
        };
        (Opcode::RegisterNotify, Srvid(0), words.to_bytes())
    });
    crowd(
        "the nodes file, again and again",
        report,
        many / 10,
        &|_| (Opcode::GetNodesFile, Srvid(0), Vec::new()),
    );
}

/// What came of many controls.
#[derive(Debug, Default)]
struct Flood {
    done: usize,
    refused: usize,
    /// The daemon ended the connection.
    cut_off: bool,
}

/// Sends all of them without waiting for the answers, which are read meanwhile.
fn flood(
    rogue: &mut Rogue,
    count: u32,
    make: impl Fn(u32) -> (Opcode, Srvid, Vec<u8>) + Send,
) -> Result<Flood> {
    let first = rogue.address(Pnn::CURRENT);
    let mut reading = rogue.stream()?.try_clone()?;
    let mut writing = reading.try_clone()?;
    reading.set_patience(PATIENCE)?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..count {
                let (opcode, srvid, data) = make(number);
                let control = first.control(opcode.number(), srvid, &data);
                if writing.write_all(&control).is_err() {
                    return;
                }
            }
        });
        let mut flood = Flood::default();
        while flood.done + flood.refused < count as usize {
            let Some(bytes) = receive(&mut reading).context("an answer is missing")? else {
                flood.cut_off = true;
                break;
            };
            if let Body::ReplyControl(reply) = Packet::decode(&bytes)?.body {
                match reply.status {
                    0 => flood.done += 1,
                    _ => flood.refused += 1,
                }
            }
        }
        Ok(flood)
    })
}

fn set_tunable(rogue: &mut Rogue, name: &str, value: u32) -> Result<()> {
    let tunable = Tunable {
        value,
        name: name.to_owned(),
    };
    let data = tunable.to_bytes();
    let status = rogue.control(Pnn::CURRENT, Opcode::SetTunable, Srvid(0), &data)?;
    ensure!(status.is_some(), "{name}={value}: cut off");
    Ok(())
}

/// As they were at the start of the cluster.
fn reset_tunables(scene: &Scene<'_>, rogue: &mut Rogue) -> Result<()> {
    let node = scene.node(scene.targets[1]);
    let text = std::fs::read_to_string(node.path("/etc/ctdb/ctdb.tunables"))?;
    for line in text.lines() {
        let (name, value) = line.split_once('=').context("ctdb.tunables")?;
        set_tunable(rogue, name.trim(), value.trim().parse()?)?;
    }
    Ok(())
}
