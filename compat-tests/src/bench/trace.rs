//! What one round trip with a client makes a daemon do: system calls by strace, instructions by valgrind.
//!
//! Neither depends on how busy the machine is.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::measure::Bench;
use super::processes::Daemon;
use crate::host;
use crate::node::Node;
use crate::report::wait_for;

/// How long the programs may take, in seconds.
const LIMIT: u64 = 120;

/// Why something cannot be measured on this machine: not a failure.
#[derive(Debug, thiserror::Error)]
#[error("no {0} here")]
pub struct Missing(pub &'static str);

fn need(program: &'static str) -> Result<(), Missing> {
    match host::has_program(program) {
        true => Ok(()),
        false => Err(Missing(program)),
    }
}

/// System calls of ctdbd itself for one round trip, of so many that are asked at once.
pub(super) fn system_calls(bench: &Bench, burst: u32) -> Result<f64> {
    need("strace")?;
    let daemon = Daemon::of(&bench.cluster.nodes[0])?;
    let file = bench.cluster.host.dir.join("strace");
    let mut strace = Command::new("strace");
    strace
        .args([
            "-f",
            "-q",
            "-c",
            "-U",
            "calls,name",
            "-p",
            &daemon.pid.to_string(),
            "-o",
        ])
        .arg(&file);
    strace
        .env("PATH", host::PATH)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let mut strace = strace.spawn().context("strace")?;
    let traced = || check_traced(daemon);
    let done = wait_for(Duration::from_secs(10), traced).and_then(|()| {
        let count = bench.amounts.traced_packets;
        let words = format!("packets --count {count} --burst {burst}");
        bench.clients.on_one(&words)
    });
    let ended = interrupt(&mut strace);
    let operations = done?.operations();
    ended?;
    let calls = total_calls(&fs::read_to_string(&file).context("what strace counted")?);
    ensure!(calls > 0 && operations > 0.0, "strace counted nothing");
    Ok(f64::from(calls) / operations)
}

fn check_traced(daemon: Daemon) -> Result<()> {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid))?;
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    ensure!(
        tracer.is_some_and(|pid| pid.trim() != "0"),
        "strace does not trace"
    );
    Ok(())
}

/// On this signal strace lets the daemon go, and writes what it counted.
fn interrupt(child: &mut Child) -> Result<()> {
    if child.try_wait()?.is_none() {
        kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGINT)?;
    }
    child.wait().map(drop).context("strace")
}

/// The sum of the lines `CALLS NAME`.
fn total_calls(text: &str) -> u32 {
    let count = |line: &str| {
        let mut words = line.split_whitespace();
        let calls: u32 = words.next()?.parse().ok()?;
        (words.next()? != "total").then_some(calls)
    };
    text.lines().filter_map(count).sum()
}

/// Where valgrind listens and writes, on the node.
const PIPES: &str = "--vgdb-prefix=/run/vgdb-pipe";
const COUNTS: &str = "/run/callgrind";

/// Starts ctdbd of a node under valgrind's counter of instructions, as a child that is the daemon itself.
///
/// # Errors
/// There is no valgrind ([`Missing`]), or it cannot be started.
pub fn start_counted(node: &Node) -> Result<Child> {
    need("valgrind")?;
    let mut command = node.command_within("valgrind", LIMIT);
    command.args([
        "-q",
        "--tool=callgrind",
        PIPES,
        &format!("--callgrind-out-file={COUNTS}.%p"),
    ]);
    command.args(["/usr/sbin/ctdbd", "-i"]);
    let log = File::create(node.path("/var/log/ctdb/log.valgrind"))?;
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    command.spawn().context("valgrind")
}

/// Instructions of ctdbd itself for one round trip, its own and its libraries', not the kernel's.
///
/// Of two loads of different length the difference counts: connecting is in both.
pub(super) fn instructions(bench: &Bench) -> Result<f64> {
    let node = &bench.cluster.nodes[0];
    let pid = fs::read_to_string(node.path("/run/ctdb/ctdbd.pid")).context("ctdbd.pid")?;
    let counted = |name: u32, packets: u32| -> Result<(f64, f64)> {
        let done = bench
            .clients
            .on_one(&format!("packets --count {packets}"))?;
        node.run("vgdb", &[PIPES, &format!("--pid={}", pid.trim()), "dump"])?;
        let dump = node.path(&format!("{COUNTS}.{}.{name}", pid.trim()));
        let text = fs::read_to_string(&dump).with_context(|| dump.display().to_string())?;
        Ok((total_instructions(&text)?, done.operations()))
    };
    let few = bench.amounts.traced_packets;
    // the first count has the start of the daemon in it
    counted(1, few)?;
    let (less, fewer) = counted(2, few)?;
    let (more, many) = counted(3, few * 5)?;
    ensure!(many > fewer, "the longer load was no longer");
    Ok((more - less) / (many - fewer))
}

/// `totals: 12345`, near the end of a dump.
fn total_instructions(text: &str) -> Result<f64> {
    let line = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("totals: "));
    line.and_then(|number| number.trim().parse().ok())
        .context("the dump has no total")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_summed_without_the_line_that_sums_them() {
        let text = "    calls syscall\n--------- ----------------\n       20 read\n       11 epoll_wait\n\
                    --------- ----------------\n       31 total\n";
        assert_eq!(total_calls(text), 31);
    }

    #[test]
    fn the_total_of_a_dump_is_found() {
        assert_eq!(
            total_instructions("events: Ir\nfn=(1)\n1 5\n\ntotals: 12345\n").unwrap(),
            12345.0
        );
        assert!(total_instructions("events: Ir\n").is_err());
    }
}
