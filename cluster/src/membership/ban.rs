//! The ban of this node: by a leader, by the `ctdb` tool, or by itself.
//!
//! ```text
//!   +------+ --- Ban, enabled: the node becomes inactive ---> +--------+
//!   | Free |                                                  | Banned |---+ Ban, enabled: anew
//!   |      | <--- Unban ------------------------------------- |        |<--+ Expired, not frozen:
//!   +------+ <--- Expired, all databases frozen ------------- +--------+     prolonged by
//!                                                                            RecoveryBanPeriod
//! ```
//!
//! A ban that EnableBans=0 forbids is ignored. (A daemon of 4.17.12 then also forgets the timer of
//! a ban that is in force, so that it never ends.)

use core::time::Duration;

use wire::types::BanState;

use crate::Time;

/// Where the machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not banned.
    Free,
    /// Banned.
    Banned,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// SET_BAN_STATE with a time.
    Ban {
        /// EnableBans.
        enabled: bool,
    },
    /// SET_BAN_STATE with time 0.
    Unban,
    /// The time is over.
    Expired {
        /// All databases are frozen, as they must be on a banned node.
        frozen: bool,
    },
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    Keep,
    /// The node is banned and was not.
    Banned,
    /// The ban in force gets the time of the new one.
    Anew,
    /// The ban in force is prolonged.
    Prolonged,
    /// The node is not banned any more.
    Lifted,
}

pub(super) fn step(state: State, event: Event) -> (State, Effect) {
    use Event::{Ban, Expired, Unban};
    use State::{Banned, Free};
    match (state, event) {
        (Free, Ban { enabled: true }) => (Banned, Effect::Banned),
        (Free, Ban { enabled: false } | Unban | Expired { .. }) => (Free, Effect::Keep),
        (Banned, Ban { enabled: true }) => (Banned, Effect::Anew),
        (Banned, Ban { enabled: false }) => (Banned, Effect::Keep),
        (Banned, Unban | Expired { frozen: true }) => (Free, Effect::Lifted),
        (Banned, Expired { frozen: false }) => (Banned, Effect::Prolonged),
    }
}

/// The machine, and the ban that is in force.
#[derive(Debug, Default)]
pub(super) struct Ban {
    in_force: Option<(BanState, Time)>,
}

impl Ban {
    /// For GET_BAN_STATE: the ban as it was imposed.
    pub(super) fn in_force(&self) -> Option<BanState> {
        self.in_force.as_ref().map(|(ban, _)| ban.clone())
    }

    /// When the ban ends.
    pub(super) fn until(&self) -> Option<Time> {
        self.in_force.as_ref().map(|(_, until)| *until)
    }

    /// SET_BAN_STATE.
    pub(super) fn set(&mut self, now: Time, ban: BanState, enabled: bool) -> Effect {
        let event = if ban.time == 0 {
            Event::Unban
        } else {
            Event::Ban { enabled }
        };
        self.handle(now, event, ban)
    }

    /// The time of [`Ban::until`] has come; `again` is the ban that follows if the node is not
    /// ready to be free.
    pub(super) fn expired(&mut self, now: Time, frozen: bool, again: BanState) -> Effect {
        self.handle(now, Event::Expired { frozen }, again)
    }

    fn handle(&mut self, now: Time, event: Event, ban: BanState) -> Effect {
        let state = if self.in_force.is_some() {
            State::Banned
        } else {
            State::Free
        };
        let (_, effect) = step(state, event);
        match effect {
            Effect::Keep => {}
            Effect::Lifted => self.in_force = None,
            Effect::Banned | Effect::Anew | Effect::Prolonged => {
                let seconds = u64::from(ban.time.max(1));
                self.in_force = Some((ban, now + Duration::from_secs(seconds)));
            }
        }
        effect
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::table;

    #[test]
    fn table() {
        let states = [State::Free, State::Banned];
        let events = [
            Event::Ban { enabled: true },
            Event::Ban { enabled: false },
            Event::Unban,
            Event::Expired { frozen: true },
            Event::Expired { frozen: false },
        ];
        insta::assert_snapshot!(table::render(&states, &events, step), @r"
        Free + Ban { enabled: true } => Banned, Banned
        Free + Ban { enabled: false } => Free, Keep
        Free + Unban => Free, Keep
        Free + Expired { frozen: true } => Free, Keep
        Free + Expired { frozen: false } => Free, Keep
        Banned + Ban { enabled: true } => Banned, Anew
        Banned + Ban { enabled: false } => Banned, Keep
        Banned + Unban => Free, Lifted
        Banned + Expired { frozen: true } => Free, Lifted
        Banned + Expired { frozen: false } => Banned, Prolonged
        ");
    }
}
