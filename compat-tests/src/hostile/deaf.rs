//! Peers that ask and do not read, and peers that begin a packet and do not end it.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use wire::control::Opcode;
use wire::packet::{Body, ControlFlags, MAGIC, ReqControl, ReqMessage, VERSION};
use wire::{ClientId, Pnn, Srvid};

use super::Scene;
use super::impostor::Member;
use super::rogue::Rogue;
use super::watch::State;
use crate::report::{Report, within};

/// What a daemon may have for a peer that does not read, in KiB: 64 MiB of answers or 256 MiB of messages, and
/// something around them.
const ANSWERS: u64 = 200 * 1024;
const MESSAGES: u64 = 350 * 1024;
/// An address of these tests.
const EARS: Srvid = Srvid(0xAE00_0000_0000_00EA);

pub(super) fn run(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let target = scene.targets[1];
    // before the others: malloc learns from large blocks to keep smaller ones
    scene.attack("large packets leave nothing behind", report, || {
        let mut large = scene.client(target);
        for mebibytes in [30, 30, 100] {
            // no record is so long
            let data = vec![7; mebibytes << 20];
            let opcode = Opcode::TryDeleteRecords;
            let refused = large.control(Pnn::CURRENT, opcode, Srvid(0), &data)?;
            ensure!(refused.is_some_and(|status| status < 0), "{refused:?}");
        }
        large.check_served()?;
        State::of(scene.node(target))?
            .check_processes(&scene.start[target])
            .context("the client is still there")
    });
    let messages = if scene.options.quick { 1_000 } else { 8_000 };
    let name = "a client that asks and does not read";
    bounded(scene, name, ANSWERS, report, || ask(scene.client(target)));
    let name = "a client that is told and does not read";
    bounded(scene, name, MESSAGES, report, || {
        tell(scene.client(target), scene.client(target), messages)
    });
    let name = "a node that asks and does not read";
    bounded(scene, name, ANSWERS, report, || ask_as_node(scene, target));
    scene.attack("packets that are announced and do not come", report, || {
        let open = (0..200).map(|_| announce(&scene.client(target)));
        let _open: Vec<_> = open.collect::<Result<_>>()?;
        std::thread::sleep(Duration::from_millis(500));
        State::of(scene.node(target))?.check_processes(&scene.start[target])
    });
    Ok(())
}

/// Asks for more than it will ever read.
fn ask(mut deaf: Rogue) -> Result<Rogue> {
    let address = deaf.address(Pnn::CURRENT);
    let control = address.control(Opcode::GetStatHistory.number(), Srvid(0), &[]);
    let asked = push(deaf.stream()?, &control, 10_000);
    println!("# {asked} questions were taken");
    Ok(deaf)
}

/// One registers an address and does not read; the other one sends to it.
fn tell(mut deaf: Rogue, mut loud: Rogue, messages: usize) -> Result<Rogue> {
    deaf.control(Pnn::CURRENT, Opcode::RegisterSrvid, EARS, &[])?;
    let data = vec![7; 1 << 16];
    let body = Body::ReqMessage(ReqMessage {
        srvid: EARS,
        data: &data,
    });
    let message = loud.address(Pnn::CURRENT).packet(body);
    let told = push(loud.stream()?, &message, messages);
    ensure!(told == messages, "{told} messages were taken");
    loud.check_served()?;
    Ok(deaf)
}

fn ask_as_node(scene: &Scene<'_>, target: usize) -> Result<Member> {
    let mut member = scene.join()?;
    member.be_deaf();
    let link = member.link(target)?;
    let body = Body::ReqControl(ReqControl {
        opcode: Opcode::GetStatHistory.number(),
        srvid: Srvid(0),
        client: ClientId(0),
        flags: ControlFlags::empty(),
        data: &[],
    });
    let asked = (0..20_000).take_while(|_| link.push(body).is_ok()).count();
    println!("# {asked} questions were taken");
    Ok(member)
}

/// A connection on which a packet of 1 GiB begins.
fn announce(client: &Rogue) -> Result<UnixStream> {
    let mut stream = client.connect()?;
    let head = [1u32 << 30, MAGIC, VERSION].map(u32::to_ne_bytes).concat();
    stream.write_all(&head)?;
    stream.write_all(&[0; 4096])?;
    Ok(stream)
}

/// Runs an attack whose peer holds on; its node's memory is bounded meanwhile, and given back when the peer has gone.
fn bounded<T>(
    scene: &Scene<'_>,
    name: &str,
    limit: u64,
    report: &mut Report,
    begin: impl FnOnce() -> Result<T>,
) {
    let target = scene.targets[1];
    report.check(name, || {
        State::of(scene.node(target))?.forget_peak(scene.node(target))?;
        let before = State::of(scene.node(target))?;
        let peer = begin()?;
        std::thread::sleep(Duration::from_millis(500));
        let now = State::of(scene.node(target))?;
        println!("# {name}: {}", now.since(&before));
        now.check_peak(limit, &before)?;
        scene.client(target).check_served()?;
        drop(peer);
        within(30, || {
            State::of(scene.node(target))?.check_processes(&before)
        })?;
        within(60, || scene.check_ok())
    });
}

/// Writes a packet again and again, until the daemon takes no more of them.
fn push(stream: &mut UnixStream, packet: &[u8], count: usize) -> usize {
    let patience = Duration::from_secs(2);
    // without it the next write says so
    let _ = stream.set_write_timeout(Some(patience));
    (0..count)
        .take_while(|_| stream.write_all(packet).is_ok())
        .count()
}
