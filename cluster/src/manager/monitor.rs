//! The round that each manager makes every RecoverInterval.
//!
//! Two questioners work side by side. Every node asks its own daemon ([`Home`]), always, so that
//! a banned or stopped node sees it even in the middle of a recovery. The leader alone asks all
//! nodes ([`Peers`]):
//!
//! ```text
//!          ask               answered               the same flags everywhere
//!   Idle --------> Asking ---------------+------------------------------------> Idle: judge
//!    ^               |                   | some node has wrong flags              ^
//!    |               | a node fails      v                                        |
//!    +---------------+                Pushing ------------------------------------+
//! ```

use wire::Pnn;
use wire::control::Request;
use wire::packet::ControlFlags;
use wire::tunables::Tunables;
use wire::types::{Capabilities, NodeFlagChange, NodeMap};

use super::consistency::Findings;
use super::gather::{Failure, Gather};
use super::io::{ControlAnswer, ControlFailure, Token};
use super::ports::Io;
use super::view::View;

/// What the own daemon said.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) tunables: Tunables,
    pub(super) nodemap: NodeMap,
    pub(super) recmode: i32,
    pub(super) capabilities: Capabilities,
}

/// The questions to the own daemon.
#[derive(Debug, Default)]
pub(super) struct Home {
    tunables: Gather,
    nodemap: Gather,
    recmode: Gather,
    capabilities: Gather,
}

impl Home {
    pub(super) fn is_idle(&self) -> bool {
        let Self {
            tunables,
            nodemap,
            recmode,
            capabilities,
        } = self;
        ![tunables, nodemap, recmode, capabilities]
            .into_iter()
            .any(Gather::is_waiting)
    }

    pub(super) fn ask(&mut self, io: &mut Io<'_>, view: &View) {
        let me = [view.pnn];
        self.tunables = ask(io, view, me, &Request::GetAllTunables);
        self.nodemap = ask(io, view, me, &Request::GetNodemap);
        self.recmode = ask(io, view, me, &Request::GetRecmode);
        self.capabilities = ask(io, view, me, &Request::GetCapabilities);
    }

    /// Takes a reply, if it is one of these; the last brings the answers, if all were good.
    pub(super) fn handle_reply(
        &mut self,
        token: Token,
        result: &Result<ControlAnswer, ControlFailure>,
    ) -> Option<Option<Answers>> {
        let Self {
            tunables,
            nodemap,
            recmode,
            capabilities,
        } = self;
        let all = [tunables, nodemap, recmode, capabilities];
        let me = all
            .into_iter()
            .find_map(|gather| gather.take(token, result))?;
        Some(if self.is_idle() {
            self.answers(me)
        } else {
            None
        })
    }

    fn answers(&self, me: Pnn) -> Option<Answers> {
        Some(Answers {
            tunables: self.tunables.decode().ok()?.remove(&me)?,
            nodemap: self.nodemap.decode().ok()?.remove(&me)?,
            recmode: self.recmode.results().get(&me)?.as_ref().ok()?.status,
            capabilities: self.capabilities.decode().ok()?.remove(&me)?,
        })
    }
}

/// Where the leader's round is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Idle,
    Asking,
    Pushing,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Ask,
    /// All answered, and all have the same flags.
    Agreed,
    /// All answered, and some have wrong flags.
    Disagreed,
    /// A node failed to answer.
    Failed,
}

/// The whole machine.
pub(super) const fn next(state: State, event: Event) -> State {
    match (state, event) {
        (_, Event::Ask) => State::Asking,
        (State::Asking, Event::Disagreed) => State::Pushing,
        (_, Event::Agreed | Event::Disagreed | Event::Failed) => State::Idle,
    }
}

/// What a reply led to.
#[derive(Debug)]
pub(super) enum Progress {
    /// More replies are needed.
    Waiting,
    /// All nodes have answered, and know each other's flags.
    Complete(Findings),
    /// Someone did not answer: try again in the next round.
    Failed(Option<(Pnn, Failure)>),
}

/// The questions to all nodes.
#[derive(Debug, Default)]
pub(super) struct Peers {
    state: State,
    nodemaps: Gather,
    recmodes: Gather,
    capabilities: Gather,
    vnnmaps: Gather,
    pushes: Vec<Gather>,
    findings: Option<Findings>,
}

impl Peers {
    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Forgets the round; late replies find nobody.
    pub(super) fn cancel(&mut self) {
        *self = Self::default();
    }

    pub(super) fn ask(&mut self, io: &mut Io<'_>, view: &View) {
        self.cancel();
        self.state = next(self.state, Event::Ask);
        let connected = view.connected();
        let others: Vec<Pnn> = connected
            .iter()
            .copied()
            .filter(|&n| n != view.pnn)
            .collect();
        self.nodemaps = ask(io, view, others, &Request::GetNodemap);
        self.capabilities = ask(io, view, connected, &Request::GetCapabilities);
        self.recmodes = ask(io, view, view.active(), &Request::GetRecmode);
        self.vnnmaps = ask(io, view, view.active(), &Request::GetVnnMap);
        self.findings = Some(Findings::new(view.pnn, view.nodemap.clone()));
    }

    /// Takes a reply, if it is one of these.
    pub(super) fn handle_reply(
        &mut self,
        io: &mut Io<'_>,
        view: &View,
        token: Token,
        result: &Result<ControlAnswer, ControlFailure>,
    ) -> Option<Progress> {
        self.gathers()
            .find_map(|gather| gather.take(token, result))?;
        if self.gathers().any(|gather| gather.is_waiting()) {
            return Some(Progress::Waiting);
        }
        let progress = match self.state {
            State::Idle => Progress::Waiting,
            State::Asking => self.answered(io, view),
            State::Pushing => self.pushed(),
        };
        self.state = match progress {
            Progress::Waiting => self.state,
            Progress::Complete(_) => next(self.state, Event::Agreed),
            Progress::Failed(_) => next(self.state, Event::Failed),
        };
        Some(progress)
    }

    fn gathers(&mut self) -> impl Iterator<Item = &mut Gather> {
        let Self {
            nodemaps,
            recmodes,
            capabilities,
            vnnmaps,
            pushes,
            ..
        } = self;
        [nodemaps, recmodes, capabilities, vnnmaps]
            .into_iter()
            .chain(pushes)
    }

    fn answered(&mut self, io: &mut Io<'_>, view: &View) -> Progress {
        let Some(mut findings) = self.findings.take() else {
            return Progress::Failed(None);
        };
        if let Err(failure) = self.collect(&mut findings) {
            return Progress::Failed(failure);
        }
        let changes = findings.correct_flags();
        if changes.is_empty() {
            return Progress::Complete(findings);
        }
        self.findings = Some(findings);
        self.state = next(self.state, Event::Disagreed);
        let push = |change: NodeFlagChange| {
            let (pnn, flags) = (change.pnn, change.new_flags.bits());
            tracing::info!("Pushing updated flags for node {pnn} (0x{flags:x})");
            ask(io, view, view.connected(), &Request::ModifyFlags(change))
        };
        self.pushes = changes.into_iter().map(push).collect();
        Progress::Waiting
    }

    /// Moves the answers into the findings.
    fn collect(&self, findings: &mut Findings) -> Result<(), Option<(Pnn, Failure)>> {
        // A node map that does not come is its node's fault; anything else may be bad luck.
        if let Some(failure) = self.nodemaps.failures().into_iter().next() {
            return Err(Some(failure));
        }
        let rest = [&self.capabilities, &self.recmodes, &self.vnnmaps];
        if let Some((pnn, failure)) = rest.iter().find_map(|g| g.failures().into_iter().next()) {
            tracing::warn!(%pnn, %failure, "Node does not answer - retrying");
            return Err(None);
        }
        findings.nodemaps = self.nodemaps.decode()?;
        findings.capabilities = self.capabilities.decode()?;
        findings.vnnmaps = self.vnnmaps.decode()?;
        let modes = self.recmodes.results().iter();
        findings.recmodes = modes
            .filter_map(|(&pnn, r)| Some((pnn, r.as_ref().ok()?.status)))
            .collect();
        Ok(())
    }

    fn pushed(&mut self) -> Progress {
        if self.pushes.iter().any(|push| !push.failures().is_empty()) {
            tracing::error!("Unable to update flags on remote nodes");
            return Progress::Failed(None);
        }
        self.findings
            .take()
            .map_or(Progress::Failed(None), Progress::Complete)
    }
}

fn ask(
    io: &mut Io<'_>,
    view: &View,
    nodes: impl IntoIterator<Item = Pnn>,
    request: &Request,
) -> Gather {
    Gather::ask(
        io,
        nodes,
        request,
        ControlFlags::empty(),
        view.control_timeout(),
    )
}
