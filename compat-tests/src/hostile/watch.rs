//! What the daemons of a node are while they are attacked: the same processes, of bounded memory, with bounded logs.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::node::Node;

/// How much memory a daemon may have taken, in KiB.
const GROWTH: u64 = 32 * 1024;
/// How many threads a daemon may have.
const THREADS: u64 = 8;
/// How much a node's log may have grown by one class of packets, in bytes.
const LOG: u64 = 1 << 20;

/// One look at a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    ctdbd: Process,
    clusterd: Process,
    log: u64,
}

/// One look at a process.
#[derive(Debug, Clone, Copy)]
struct Process {
    pid: u32,
    threads: u64,
    /// KiB.
    resident: u64,
    /// The most that it ever had, in KiB.
    peak: u64,
}

impl State {
    pub(super) fn of(node: &Node) -> Result<Self> {
        let pid = fs::read_to_string(node.path("/run/ctdb/ctdbd.pid"))?;
        let ctdbd = pid.trim().parse()?;
        Ok(Self {
            ctdbd: Process::of(node, ctdbd)?,
            clusterd: Process::of(node, manager(node, ctdbd)?)?,
            log: fs::metadata(node.path("/var/log/ctdb/log.ctdb")).map_or(0, |file| file.len()),
        })
    }

    /// Peaks are those from now on.
    pub(super) fn forget_peak(&self, node: &Node) -> Result<()> {
        let file = node.path(&format!("/proc/{}/clear_refs", self.ctdbd.pid));
        fs::write(file, "5").context("clear_refs")
    }

    /// The same processes as before, with not much more memory and log.
    pub(super) fn check(&self, before: &Self) -> Result<()> {
        self.check_processes(before)?;
        let log = self.log.saturating_sub(before.log);
        ensure!(log <= LOG, "{log} bytes of log");
        Ok(())
    }

    pub(super) fn check_processes(&self, before: &Self) -> Result<()> {
        let pairs = [
            ("ctdbd", self.ctdbd, before.ctdbd),
            ("ctdb-clusterd", self.clusterd, before.clusterd),
        ];
        for (name, now, then) in pairs {
            ensure!(now.pid == then.pid, "{name} is another process");
            ensure!(now.threads <= THREADS, "{name} has {} threads", now.threads);
            let grown = now.resident.saturating_sub(then.resident);
            ensure!(grown <= GROWTH, "{name} has {grown} KiB more");
        }
        Ok(())
    }

    /// ctdbd has at most so many KiB more, and never had.
    pub(super) fn check_peak(&self, limit: u64, before: &Self) -> Result<()> {
        let grown = self.ctdbd.peak.saturating_sub(before.ctdbd.resident);
        ensure!(grown <= limit, "ctdbd had {grown} KiB more");
        Ok(())
    }

    /// What was taken since: KiB of ctdbd now and at its peak, of its manager, bytes of log.
    pub(super) fn since(&self, before: &Self) -> String {
        let more = |now: u64, then: u64| now.cast_signed() - then.cast_signed();
        format!(
            "ctdbd {:+} KiB (peak {:+}), ctdb-clusterd {:+} KiB, {} bytes of log",
            more(self.ctdbd.resident, before.ctdbd.resident),
            more(self.ctdbd.peak, before.ctdbd.peak),
            more(self.clusterd.resident, before.clusterd.resident),
            more(self.log, before.log)
        )
    }
}

/// ctdb-clusterd, among ctdbd's children; asked often, so without a process of its own.
fn manager(node: &Node, ctdbd: u32) -> Result<u32> {
    let children = format!("/proc/{ctdbd}/task/{ctdbd}/children");
    let children = fs::read_to_string(node.path(&children)).context("ctdbd is gone")?;
    let is_it = |pid: &&str| {
        let name = fs::read_to_string(node.path(&format!("/proc/{pid}/comm")));
        name.is_ok_and(|name| name.trim() == "ctdb-clusterd")
    };
    let found = children.split_whitespace().find(is_it);
    Ok(found.context("no ctdb-clusterd")?.parse()?)
}

impl Process {
    fn of(node: &Node, pid: u32) -> Result<Self> {
        let status = fs::read_to_string(node.path(&format!("/proc/{pid}/status")))?;
        let number = |name: &str| -> Result<u64> {
            let line = status.lines().find(|line| line.starts_with(name));
            let word = line.and_then(|line| line.split_whitespace().nth(1));
            Ok(word.context("status")?.parse()?)
        };
        Ok(Self {
            pid,
            threads: number("Threads:")?,
            resident: number("VmRSS:")?,
            peak: number("VmHWM:")?,
        })
    }
}
