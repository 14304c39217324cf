//! What others ask of a manager by message, and who answers: on each node this process alone.
//!
//! * TAKEOVER_RUN is answered by the leader, with its pnn, after the next takeover run; on other
//!   nodes it is forgotten. The `ctdb` tool waits for that answer after every change.
//! * DISABLE_TAKEOVER_RUNS and DISABLE_RECOVERIES are answered at once by every node, with its
//!   pnn or a negative error; DISABLE_IP_CHECK, of older tools, is not answered.
//! * MEM_DUMP is answered with text.
//! * RECOVERY_WANTED, of this implementation's daemons, has a leader look at once and not at the end of its
//!   RecoverInterval: until the recovery begins, clients of that node may wait in vain. Not answered.
//! * BANNING, PUSH_NODE_FLAGS, REBALANCE_NODE and RELOAD_NODES are not answered.

use core::time::Duration;

use tracing::{info, warn};
use wire::coding::Encode;
use wire::control::Request;
use wire::message::Message;
use wire::types::{DbSizes, NodeFlagChange, SrvidMessage};
use wire::{Pnn, Srvid};

use super::engine::Engine;
use super::ports::Io;
use crate::Time;

/// Requests for a takeover run that can wait for its end. The tool asks again, so the oldest are forgotten.
const MOST_REQUESTS: usize = 1000;

/// -EAGAIN: what cannot be disabled because it is going on.
const BUSY: i32 = -11;

/// Something that people can switch off for a while: takeover runs, recoveries.
#[derive(Debug)]
pub(super) struct Gate {
    name: &'static str,
    closed_until: Time,
    in_progress: bool,
}

impl Gate {
    pub(super) const fn new(name: &'static str) -> Self {
        Self {
            name,
            closed_until: Time::ZERO,
            in_progress: false,
        }
    }

    pub(super) fn is_disabled(&self, now: Time) -> bool {
        now < self.closed_until
    }

    /// Starts one, unless they are switched off.
    pub(super) fn begin(&mut self, now: Time) -> bool {
        if self.is_disabled(now) {
            info!("Unable to begin - {} are disabled", self.name);
            return false;
        }
        self.in_progress = true;
        true
    }

    pub(super) const fn end(&mut self) {
        self.in_progress = false;
    }

    /// Switches them off for so many seconds; 0 switches them on again.
    pub(super) fn disable(&mut self, now: Time, seconds: u32) -> Result<(), i32> {
        if seconds == 0 {
            info!("Reenabling {}", self.name);
            self.closed_until = Time::ZERO;
            return Ok(());
        }
        if self.in_progress {
            warn!("Unable to disable {} - in progress", self.name);
            return Err(BUSY);
        }
        info!("Disabling {} for {seconds} seconds", self.name);
        self.closed_until = now + Duration::from_secs(seconds.into());
        Ok(())
    }
}

/// Answers a request with a number; SRVID 0 wants no answer.
pub(super) fn reply(io: &mut Io<'_>, request: &SrvidMessage, number: i32) {
    if request.srvid != Srvid(0) {
        io.message(
            request.pnn,
            &Message::Other(request.srvid, number.to_bytes()),
        );
    }
}

/// The number that says success: the answering node's pnn.
pub(super) fn success(pnn: Pnn) -> i32 {
    i32::try_from(pnn.0).unwrap_or(i32::MAX)
}

/// All SRVIDs that a manager listens to.
pub(super) const SRVIDS: [Srvid; 13] = [
    Srvid::MEM_DUMP,
    Srvid::BANNING,
    Srvid::ELECTION,
    Srvid::SET_NODE_FLAGS,
    Srvid::PUSH_NODE_FLAGS,
    Srvid::RELOAD_NODES,
    Srvid::TAKEOVER_RUN,
    Srvid::DISABLE_IP_CHECK,
    Srvid::REBALANCE_NODE,
    Srvid::DISABLE_TAKEOVER_RUNS,
    Srvid::DISABLE_RECOVERIES,
    Srvid::LEADER,
    Srvid::RECOVERY_WANTED,
];

impl Engine {
    /// Digests a message to one of them.
    pub(super) fn on_message(&mut self, io: &mut Io<'_>, source: Pnn, message: Message) {
        match message {
            Message::Leader(pnn) => self.on_leader_broadcast(io, source, pnn),
            Message::Election(ballot) => self.on_ballot(io, &ballot),
            Message::Banning(pnn) => self.on_banning(io, pnn),
            Message::PushNodeFlags(change) => self.on_push_flags(io, &change),
            Message::TakeoverRun(request) => self.on_takeover_request(io, request),
            Message::DisableTakeoverRuns(m) => {
                let result = self.takeover_gate.disable(io.now, m.timeout);
                self.confirm(
                    io,
                    &SrvidMessage {
                        pnn: m.pnn,
                        srvid: m.srvid,
                    },
                    result,
                );
            }
            Message::DisableRecoveries(m) => {
                let result = self.recovery_gate.disable(io.now, m.timeout);
                self.confirm(
                    io,
                    &SrvidMessage {
                        pnn: m.pnn,
                        srvid: m.srvid,
                    },
                    result,
                );
            }
            Message::DisableIpCheck(timeout) => {
                // A run that is in progress is not stopped, and nobody waits to hear so.
                let _ = self.takeover_gate.disable(io.now, timeout);
            }
            Message::MemDump(request) => self.on_mem_dump(io, &request),
            Message::ReloadNodes(_) => self.hurry(io),
            // by the own daemon, as soon as a node is lost or there again
            Message::SetNodeFlags(_) if source == self.view.pnn => self.hurry(io),
            Message::RebalanceNode(pnn) if self.leadership.is_ours() => {
                info!("Setting up rebalance of IPs to node {pnn}");
                if self.view.flags(pnn).is_some() {
                    self.rebalance.insert(pnn);
                }
            }
            Message::RebalanceNode(_) => {}
            Message::RecoveryWanted(sizes) => {
                self.note_sizes(source, &sizes);
                if self.leadership.is_ours() {
                    self.hurry(io);
                }
            }
            other => warn!(srvid = %other.srvid(), "SRVID is obsolete"),
        }
    }

    /// They may come within the recovery that they are for.
    fn note_sizes(&mut self, source: Pnn, sizes: &DbSizes) {
        if self.view.flags(source).is_none() {
            return;
        }
        self.sizes.note(source, sizes);
        if let Some(recovery) = &mut self.recovery {
            recovery.note_sizes(&self.sizes);
        }
    }

    fn confirm(&self, io: &mut Io<'_>, request: &SrvidMessage, result: Result<(), i32>) {
        let number = result.map_or_else(|err| err, |()| success(self.view.pnn));
        reply(io, request, number);
    }

    /// A takeover run failed because of a node: 4.17 gives it so many credits that the second time bans it.
    fn on_banning(&mut self, io: &Io<'_>, pnn: Pnn) {
        if self.leadership.is_ours() {
            let credits = u32::try_from(self.view.nodemap.nodes.len()).unwrap_or(u32::MAX);
            self.blame(io, pnn, credits);
        }
    }

    fn on_push_flags(&self, io: &mut Io<'_>, change: &NodeFlagChange) {
        if self.view.flags(change.pnn).is_none() {
            warn!("Nodemap does not contain node {}", change.pnn);
            return;
        }
        for pnn in self.view.connected() {
            io.tell(pnn, Request::ModifyFlags(change.clone()));
        }
    }

    fn on_takeover_request(&mut self, io: &Io<'_>, request: SrvidMessage) {
        remember(&mut self.takeover_requests, request);
        self.hurry(io);
    }

    fn on_mem_dump(&self, io: &mut Io<'_>, request: &SrvidMessage) {
        warn!("recovery daemon memory dump");
        let text = format!("{}\0", self.memory_report()).into_bytes();
        io.message(request.pnn, &Message::Other(request.srvid, text));
    }
}

/// Keeps a request until the next takeover run.
fn remember(requests: &mut Vec<SrvidMessage>, request: SrvidMessage) {
    if requests.len() >= MOST_REQUESTS {
        requests.remove(0);
    }
    requests.push(request);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_requests_are_kept() {
        let request = |number| SrvidMessage {
            pnn: Pnn(0),
            srvid: Srvid(number),
        };
        let mut requests = Vec::new();
        for number in 0..1500 {
            remember(&mut requests, request(number));
        }
        assert_eq!(requests.len(), MOST_REQUESTS);
        assert_eq!(requests[0], request(500));
    }

    const fn at(seconds: u64) -> Time {
        Time(seconds * 1_000_000_000)
    }

    #[test]
    fn a_gate_opens_by_itself_and_on_demand() {
        let mut gate = Gate::new("recoveries");
        assert_eq!(gate.disable(at(1), 10), Ok(()));
        assert!(!gate.begin(at(10)));
        assert!(gate.begin(at(11)));
        assert_eq!(gate.disable(at(12), 10), Err(BUSY));
        gate.end();
        assert_eq!(gate.disable(at(12), 10), Ok(()));
        assert_eq!(gate.disable(at(13), 0), Ok(()));
        assert!(gate.begin(at(13)));
    }
}
