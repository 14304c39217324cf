//! Whole clusters in one thread, with virtual time and faults, for as many seeds as there is patience for.
//!
//! The daemons are `ctdbd::daemon::Daemon` (and so `database::Engine` and `cluster::membership`), the managers are
//! `cluster::manager::Manager` behind `ctdbd::clusterd::talk::Talk`: what runs in the field, without its sockets, clocks,
//! processes and files. Those are made here:
//!
//! ```text
//!   Script (of a seed, or of a file)
//!      │ steps
//!      ▼
//!   World ── queue of events in virtual time
//!      ├── Node: Daemon ◀─ SimStore ─▶ Disk (files, locks, what is synced)
//!      │         Manager, workers, clients that behave as smbd does
//!      ├── Net: connections that are slow, cut, reset
//!      ├── the cluster lock
//!      └── Oracle: what has to hold after every step
//! ```
//!
//! The rules that are checked:
//!
//! | rule | where |
//! |---|---|
//! | one data master in a generation, hand-overs in flight counted, and its sequence number the greatest | `oracle/records.rs` |
//! | what a client reads under a record's lock is what was written last: linearizable within a generation | `oracle/values.rs` |
//! | a recovery gives each volatile record the newest value that a participant has had | `oracle/recoveries.rs` |
//! | a traverse shows what was there while it went on; what nobody touched, once | `oracle/traverses.rs` |
//! | a commit that was acknowledged is on every node of the generation, synced, and stays; each is whole | `oracle/commits.rs` |
//! | NORMAL only with databases of the generation, nothing in use while frozen, the cluster lock has one holder, who has lost it says nothing | `oracle/modes.rs` |
//! | nothing is sent to clients that are gone, no lock stays with them; when the faults end, all comes back by itself | `world/end.rs` |
//!
//! A script that breaks a rule is made as short as it can be ([`shrink`]). Short scripts that once did are tests
//! (`tests/scripts`). Bugs planted on purpose ([`Mutation`]) show that the rules are looked at.
#![forbid(unsafe_code)]

mod disk;
mod mutation;
mod net;
mod oracle;
mod rng;
mod script;
mod shrink;
mod world;

pub use mutation::Mutation;
pub use script::{Script, Step, What, Who};
pub use shrink::shrink;
pub use world::{Report, Violation};

/// Plays a script; a panic in it is a broken rule too.
#[must_use]
pub fn play(script: &Script, mutation: Option<Mutation>, trace: bool) -> Report {
    let run = || world::World::new(script.clone(), mutation, trace).run();
    let result = std::panic::catch_unwind(run);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Report::of_panic(text.unwrap_or("a panic"))
    })
}
