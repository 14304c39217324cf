//! The part as a whole: what it knows, who answers which input, and when it wants to be called.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::IpAddr;

use tracing::{error, info};
use wire::control::Request;
use wire::tunables::Tunables;
use wire::types::Connection;
use wire::{ClientId, Pnn, Time};

use crate::announce::Announcement;
use crate::interfaces::AddressError;
use crate::io::{ControlRequest, EventId, Input, Output, Settings, System, Token, View};
use crate::moves::Running;
use crate::table::Table;
use crate::watch::Watch;

/// The node's side of IP failover.
#[derive(Debug)]
pub struct Failover {
    pub(crate) me: Pnn,
    pub(crate) disabled: bool,
    pub(crate) real: bool,
    pub(crate) now: Time,
    pub(crate) view: View,
    pub(crate) table: Table,
    /// Connections that local clients serve.
    pub(crate) clients: BTreeMap<ClientId, Vec<Connection>>,
    /// The events that are running; at most one for an address.
    pub(crate) running: BTreeMap<EventId, Running>,
    pub(crate) last_event: u64,
    pub(crate) announcements: Vec<Announcement>,
    /// When other nodes are told of changed connections.
    pub(crate) next_update: Time,
    pub(crate) update_interval: Duration,
    pub(crate) watch: Watch,
    pub(crate) watch_interval: Duration,
    /// NoIPTakeover.
    pub(crate) no_takeover: bool,
    /// When this node gives up its addresses if the recovery mode is still ACTIVE.
    pub(crate) drop_at: Option<Time>,
    pub(crate) drop_after: Duration,
    /// Who waits for the file of public addresses.
    pub(crate) reloads: Vec<Token>,
}

impl Failover {
    /// Starts: no address is here.
    ///
    /// # Errors
    /// If one of the configured addresses cannot be on this machine.
    pub fn new(settings: Settings, system: &dyn System) -> Result<Self, AddressError> {
        let mut table = Table::default();
        for address in settings.addresses {
            table.add(address, system)?;
        }
        let mut this = Self {
            me: settings.me,
            disabled: settings.disabled,
            real: settings.real,
            now: Time::ZERO,
            view: View::START,
            table,
            clients: BTreeMap::new(),
            running: BTreeMap::new(),
            last_event: 0,
            announcements: Vec::new(),
            next_update: Time::ZERO,
            update_interval: Duration::ZERO,
            watch: Watch::default(),
            watch_interval: Duration::ZERO,
            no_takeover: false,
            drop_at: None,
            drop_after: Duration::ZERO,
            reloads: Vec::new(),
        };
        this.set_tunables(&settings.tunables);
        this.next_update = Time::ZERO + this.update_interval;
        Ok(this)
    }

    /// Whether a control is for this part.
    #[must_use]
    pub fn answers(request: &Request) -> bool {
        moves_address(request) || tells_connection(request) || about_table(request)
    }

    /// How many public addresses there are.
    #[must_use]
    pub fn address_count(&self) -> usize {
        self.table.iter().count()
    }

    /// How many connections are kept, those of other nodes included.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.table.iter().map(|address| address.tickles.len()).sum()
    }

    /// Digests one input. The outputs are to be carried out in order.
    pub fn handle(&mut self, now: Time, input: Input, system: &dyn System, out: &mut Vec<Output>) {
        self.now = now;
        match input {
            Input::Control(control) => self.control(control, system, out),
            Input::EventDone { id, outcome } => self.event_done(id, outcome, system, out),
            Input::AddressesRead(read) => self.addresses_read(read, system, out),
            Input::View(view) => self.set_view(view),
            Input::BecameInactive => {
                info!("Dropping all public IP addresses");
                self.drop_all(system, out);
            }
            Input::ClientGone(client) => self.client_gone(client),
            Input::Tunables(tunables) => self.set_tunables(&tunables),
            Input::Timer => self.timer(system, out),
        }
    }

    fn control(&mut self, control: ControlRequest, system: &dyn System, out: &mut Vec<Output>) {
        if moves_address(&control.request) {
            self.move_address(control.token, &control.request, system, out);
        } else if tells_connection(&control.request) {
            self.connection_control(&control, out);
        } else {
            self.table_control(&control, system, out);
        }
    }

    /// When [`Input::Timer`] is due, if nothing comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let update = (!self.table.is_empty()).then_some(self.next_update);
        let watch = self.is_watching().then_some(self.watch.next);
        [update, watch, self.drop_at, self.announcement_due()]
            .into_iter()
            .flatten()
            .min()
    }

    fn timer(&mut self, system: &dyn System, out: &mut Vec<Output>) {
        self.announce(out);
        if self.next_update <= self.now {
            self.next_update = self.now + self.update_interval;
            self.send_tickle_lists(false, out);
        }
        if self.watch.next <= self.now {
            self.watch(system, out);
        }
        if self.drop_at.is_some_and(|at| at <= self.now) {
            error!("Been in recovery mode for too long. Dropping all IPS");
            self.drop_at = None;
            self.drop_all(system, out);
        }
    }

    fn set_view(&mut self, view: View) {
        if view.in_recovery != self.view.in_recovery {
            self.drop_at = view.in_recovery.then(|| self.now + self.drop_after);
        }
        self.view = view;
    }

    fn set_tunables(&mut self, tunables: &Tunables) {
        let seconds = |number: u32| Duration::from_secs(number.into());
        // an interval of 0 has C do nothing else
        self.update_interval = seconds(tunables.tickle_update_interval.max(1));
        self.drop_after = seconds(tunables.recovery_drop_all_ips);
        self.watch_interval = seconds(tunables.recover_interval.max(1));
        self.no_takeover = tunables.no_ip_takeover != 0;
        self.next_update = self.next_update.min(self.now + self.update_interval);
    }

    /// Whether an address is on an interface of this machine, where that counts.
    pub(crate) fn is_present(&self, ip: IpAddr, system: &dyn System) -> bool {
        self.asks_kernel() && system.has_address(ip)
    }

    /// Whether the kernel knows better where addresses are (`do_checkpublicip`, 4.17.12).
    pub(crate) const fn asks_kernel(&self) -> bool {
        self.real && !self.disabled
    }
}

/// What the leader's take-over run sends.
const fn moves_address(request: &Request) -> bool {
    matches!(request, Request::TakeoverIp(_) | Request::ReleaseIp(_))
}

/// Who is connected with whom, for tickles.
const fn tells_connection(request: &Request) -> bool {
    matches!(
        request,
        Request::TcpClient(_)
            | Request::TcpClientDisconnected(_)
            | Request::TcpClientPassed(_)
            | Request::TcpAdd(_)
            | Request::TcpAddDelayedUpdate(_)
            | Request::TcpRemove(_)
            | Request::SetTcpTickleList(_)
            | Request::GetTcpTickleList(_)
            | Request::Startup
    )
}

/// Questions about the table, and changes of it.
const fn about_table(request: &Request) -> bool {
    matches!(
        request,
        Request::GetPublicIps
            | Request::GetPublicIpInfo(_)
            | Request::GetIfaces
            | Request::SetIfaceLinkState(_)
            | Request::AddPublicIp(_)
            | Request::DelPublicIp(_)
            | Request::ReloadPublicIps
            | Request::SendGratuitousArp(_)
    )
}

/// Answers, as [`Output`].
impl Output {
    pub(crate) fn done(token: Token) -> Self {
        Self::status(token, 0)
    }

    pub(crate) fn status(token: Token, status: i32) -> Self {
        Self::data(token, status, Vec::new())
    }

    pub(crate) fn data(token: Token, status: i32, data: Vec<u8>) -> Self {
        let error = None;
        Self::Reply {
            token,
            status,
            data,
            error,
        }
    }

    pub(crate) fn failed(token: Token, why: impl Into<String>) -> Self {
        Self::Reply {
            token,
            status: -1,
            data: Vec::new(),
            error: Some(why.into()),
        }
    }
}
