//! The takeover run: the leader finds out who can have which public address, has every node give up what it
//! shall not have, and then the others take it.
//!
//! ```text
//!          Begin             Answered               Answered              Done             Done
//!   Idle --------> Knowing ------------> Available ----------> Releasing -------> Taking -------+
//!    ^  |             |                     |                      |                |           |
//!    |  |             +--------- Failed ----+------ Failed --------+---- Failed ----+           |
//!    |  |                           |       | Nothing                                           v
//!    |  | BeginWithout              |       +-------------------------------------------> Reallocating
//!    |  +---------------------------|-------------------------------------------------------^   |
//!    +------------------------------+-----------------------------------------------------------+
//!                                                                                 Done, Failed
//! ```
//!
//! No address is taken before all nodes have answered that they gave it up: RELEASE_IP goes to all nodes that
//! know it, and tells them where it is. Reallocating is IPREALLOCATED on every node; where there are no
//! addresses, or `failover: disabled` is set, it is all there is.
//!
//! While it goes on the other nodes' runs are disabled, for a minute at most, as C's leader does. The steps are
//! those of `ctdb_takeover_helper.c`, 4.17.12. A node that fails gets banning credits, one that is gone does not.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use failover::allocation::{Algorithm, Lists, Placement, Rules, allocate, can_host};
use tracing::{error, info};
use wire::Pnn;
use wire::Srvid;
use wire::control::Request;
use wire::message::Message;
use wire::packet::ControlFlags;
use wire::types::{DisableMessage, PublicIp, PublicIpList, SrvidMessage};

use super::gather::{Failure, Gather};
use super::io::{ControlAnswer, ControlFailure, Token};
use super::ports::Io;
use super::requests::{reply, success};
use super::view::{View, seconds};
use crate::Time;

/// How long other nodes keep from runs of their own, in seconds.
const OTHERS_WAIT: u32 = 60;
/// The steps that move addresses have so many times TakeoverTimeout together.
const STEPS: u32 = 3;
/// What is left of it at least: a control without a time-out has a long one.
const SHORTEST: Duration = Duration::from_millis(1);

/// Where the run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Idle,
    /// Which addresses do the nodes know?
    Knowing,
    /// Which can they host?
    Available,
    Releasing,
    Taking,
    Reallocating,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Begin,
    /// Addresses are not to be moved.
    BeginWithout,
    /// All nodes did what they were asked.
    Done,
    /// There is no address that could be anywhere.
    Nothing,
    /// A node failed.
    Failed,
}

/// The whole machine.
pub(super) const fn next(state: State, event: Event) -> State {
    match (state, event) {
        (_, Event::Begin) => State::Knowing,
        (_, Event::BeginWithout) | (State::Available, Event::Nothing) => State::Reallocating,
        (State::Knowing, Event::Done) => State::Available,
        (State::Available, Event::Done) => State::Releasing,
        (State::Releasing, Event::Done) => State::Taking,
        (State::Taking, Event::Done) => State::Reallocating,
        (State::Idle | State::Reallocating, Event::Done) | (_, Event::Failed) => State::Idle,
        (_, Event::Nothing) => state,
    }
}

/// What a reply led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More replies are needed.
    Waiting,
    /// The run is over, and all is well.
    Complete,
    /// The run is over, and has to be done again.
    Failed {
        /// Who failed most often.
        culprit: Option<Pnn>,
    },
}

/// What a run is to do.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Who waits for its end.
    pub(super) requests: Vec<SrvidMessage>,
    /// Nodes that shall get addresses.
    pub(super) rebalance: BTreeSet<Pnn>,
    /// Addresses are not to be moved.
    pub(super) disabled: bool,
}

/// The run in progress.
#[derive(Debug, Default)]
pub(super) struct Takeover {
    state: State,
    /// What was asked, and of whom.
    asked: Vec<(String, Gather)>,
    requests: Vec<SrvidMessage>,
    connected: Vec<Pnn>,
    active: Vec<Pnn>,
    others: Vec<Pnn>,
    rules: Rules,
    timeout: Duration,
    /// When the steps that move addresses have to be over.
    deadline: Time,
    known: Lists,
    places: Vec<Placement>,
}

impl Takeover {
    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Starts a run.
    pub(super) fn begin(&mut self, io: &mut Io<'_>, view: &View, order: Order) {
        info!("Takeover run starting");
        let connected = view.connected();
        let is_other = |pnn: &Pnn| *pnn != view.pnn;
        *self = Self {
            requests: order.requests,
            others: connected.iter().copied().filter(is_other).collect(),
            connected,
            active: view.active(),
            rules: rules(view, order.rebalance),
            timeout: seconds(view.tunables.takeover_timeout),
            ..Self::default()
        };
        self.disable_others(io, OTHERS_WAIT);
        let event = if order.disabled {
            Event::BeginWithout
        } else {
            Event::Begin
        };
        self.enter(io, event);
    }

    /// Takes a reply, if it is one of the run's.
    pub(super) fn handle_reply(
        &mut self,
        io: &mut Io<'_>,
        token: Token,
        result: &Result<ControlAnswer, ControlFailure>,
    ) -> Option<Progress> {
        let mut asked = self.asked.iter_mut();
        asked.find_map(|(_, gather)| gather.take(token, result))?;
        if self.is_waiting() {
            return Some(Progress::Waiting);
        }
        Some(self.advance(io))
    }

    fn is_waiting(&self) -> bool {
        self.asked.iter().any(|(_, gather)| gather.is_waiting())
    }

    /// All have answered; a step that asks nobody anything is over at once.
    fn advance(&mut self, io: &mut Io<'_>) -> Progress {
        loop {
            let event = match self.judge() {
                Ok(event) => event,
                Err(culprit) => return self.fail(io, culprit),
            };
            if self.state == State::Reallocating {
                info!("Takeover run completed successfully");
                self.finish(io, event, success(io.pnn()));
                return Progress::Complete;
            }
            self.enter(io, event);
            if self.is_waiting() {
                return Progress::Waiting;
            }
        }
    }

    /// What came of the questions of the present step.
    fn judge(&mut self) -> Result<Event, Option<Pnn>> {
        let mut credits: BTreeMap<Pnn, u32> = BTreeMap::new();
        let mut failed = false;
        for (what, gather) in &self.asked {
            for (pnn, failure) in gather.failures() {
                error!("{what} failed on node {pnn}: {failure}");
                failed = true;
                if failure != Failure::Gone {
                    *credits.entry(pnn).or_default() += 1;
                }
            }
        }
        if failed {
            return Err(most(&credits));
        }
        match self.state {
            State::Knowing => self.known = self.lists()?,
            State::Available => {
                let available = self.lists()?;
                if !can_host(&self.known, &available) {
                    info!("No nodes available to host public IPs yet");
                    return Ok(Event::Nothing);
                }
                self.places = allocate(&self.rules, &self.known, &available);
            }
            _ => {}
        }
        Ok(Event::Done)
    }

    /// The lists that the nodes answered with.
    fn lists(&self) -> Result<Lists, Option<Pnn>> {
        let mut lists = Lists::new();
        for (what, gather) in &self.asked {
            let decoded = gather.decode::<PublicIpList>().map_err(|(pnn, failure)| {
                error!("{what} failed on node {pnn}: {failure}");
                Some(pnn)
            })?;
            lists.extend(decoded.into_iter().map(|(pnn, list)| (pnn, list.ips)));
        }
        Ok(lists)
    }

    /// Goes to the next step and asks what belongs to it.
    fn enter(&mut self, io: &mut Io<'_>, event: Event) {
        let before = self.state;
        self.state = next(before, event);
        self.asked.clear();
        let moves = matches!(before, State::Releasing | State::Taking);
        if !moves {
            self.deadline = io.now + self.timeout * STEPS;
        }
        match self.state {
            State::Idle => {}
            State::Knowing => self.ask_lists(io, self.connected.clone(), ControlFlags::empty()),
            State::Available => {
                let knows = |pnn: &Pnn| self.known.get(pnn).is_some_and(|ips| !ips.is_empty());
                let nodes = self.active.iter().copied().filter(knows).collect();
                self.ask_lists(io, nodes, ControlFlags::ONLY_AVAILABLE);
            }
            State::Releasing => self.release(io),
            State::Taking => self.take(io),
            State::Reallocating => {
                let nodes = self.connected.clone();
                let what = Request::Ipreallocated;
                self.ask(io, "IPREALLOCATED".to_owned(), nodes, &what);
            }
        }
    }

    fn ask_lists(&mut self, io: &mut Io<'_>, nodes: Vec<Pnn>, flags: ControlFlags) {
        let gather = Gather::ask(io, nodes, &Request::GetPublicIps, flags, self.timeout);
        self.asked.push(("GET_PUBLIC_IPS".to_owned(), gather));
    }

    fn ask(&mut self, io: &mut Io<'_>, what: String, nodes: Vec<Pnn>, request: &Request) {
        let left = self.deadline.since(io.now).max(SHORTEST);
        let gather = Gather::ask(io, nodes, request, ControlFlags::empty(), left);
        self.asked.push((what, gather));
    }

    /// Every node that knows an address and shall not have it gives it up, or hears where it is.
    fn release(&mut self, io: &mut Io<'_>) {
        for place in core::mem::take(&mut self.places) {
            let concerned = |pnn: &Pnn| place.known_on.contains(pnn) && place.node != Some(*pnn);
            let nodes = self.connected.iter().copied().filter(concerned).collect();
            let request = Request::ReleaseIp(public_ip(&place));
            self.ask(io, format!("RELEASE_IP {}", place.ip), nodes, &request);
            self.places.push(place);
        }
    }

    /// Every address that has a node is taken by it; mostly it is there already.
    fn take(&mut self, io: &mut Io<'_>) {
        for place in core::mem::take(&mut self.places) {
            let nodes = place.node.into_iter().collect();
            let request = Request::TakeoverIp(public_ip(&place));
            self.ask(io, format!("TAKEOVER_IP {}", place.ip), nodes, &request);
        }
    }

    fn fail(&mut self, io: &mut Io<'_>, culprit: Option<Pnn>) -> Progress {
        error!("Takeover run unsuccessful");
        self.finish(io, Event::Failed, -1);
        Progress::Failed { culprit }
    }

    /// Gives the run up.
    pub(super) fn cancel(&mut self, io: &mut Io<'_>) {
        if !self.is_idle() {
            info!("Takeover run unsuccessful");
            self.finish(io, Event::Failed, -1);
        }
    }

    fn finish(&mut self, io: &mut Io<'_>, event: Event, number: i32) {
        self.disable_others(io, 0);
        for request in core::mem::take(&mut self.requests) {
            reply(io, &request, number);
        }
        *self = Self {
            state: next(self.state, event),
            ..Self::default()
        };
    }

    fn disable_others(&self, io: &mut Io<'_>, timeout: u32) {
        let message = DisableMessage {
            pnn: Pnn::UNKNOWN,
            srvid: Srvid(0),
            timeout,
        };
        for &pnn in &self.others {
            io.message(pnn, &Message::DisableTakeoverRuns(message.clone()));
        }
    }
}

fn rules(view: &View, rebalance: BTreeSet<Pnn>) -> Rules {
    let tunables = &view.tunables;
    Rules {
        algorithm: Algorithm::of_tunable(tunables.ip_alloc_algorithm),
        no_takeover: tunables.no_ip_takeover != 0,
        no_failback: tunables.no_ip_failback != 0,
        rebalance,
        nodes: u32::try_from(view.nodemap.nodes.len()).unwrap_or(u32::MAX),
    }
}

fn public_ip(place: &Placement) -> PublicIp {
    PublicIp {
        pnn: place.node.unwrap_or(Pnn::UNKNOWN),
        addr: place.ip.into(),
    }
}

/// Who has the most; of equals the first.
fn most(credits: &BTreeMap<Pnn, u32>) -> Option<Pnn> {
    let highest = credits.values().max()?;
    let mut nodes = credits.iter();
    nodes
        .find(|(_, count)| *count == highest)
        .map(|(&pnn, _)| pnn)
}
