//! The end of a run: the faults are over, the cluster comes back by itself, and then all copies are what they have to be.

use std::collections::BTreeSet;
use std::time::Duration;

use wire::Generation;

use super::{Event, World};
use crate::disk::Owner;

/// Every fault may need a time-out of its own to be noticed, some need a ban to end.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

impl World {
    pub(super) fn begin_the_end(&mut self) {
        self.ending = Some(self.now + PATIENCE);
        self.after(LOOK, Event::Look);
    }

    /// Is the cluster well again?
    pub(super) fn look(&mut self) {
        match self.is_well() {
            Ok(()) => {
                self.check_end();
                self.over = true;
            }
            Err(why) if self.ending.is_some_and(|until| until <= self.now) => {
                self.broken("liveness", why);
            }
            Err(_) => self.after(LOOK, Event::Look),
        }
    }

    fn is_well(&self) -> Result<(), String> {
        let mut generations = BTreeSet::<Generation>::new();
        for (n, node) in self.nodes.iter().enumerate() {
            let daemon = node.daemon.as_ref().ok_or(format!("node {n} is down"))?;
            let membership = daemon.membership();
            if membership.own_flags().is_inactive() {
                return Err(format!("node {n} is {:?}", membership.own_flags()));
            }
            if membership.in_recovery() {
                return Err(format!("node {n} is in recovery"));
            }
            let map = membership.vnn_map();
            if map.map.len() != self.nodes.len() {
                return Err(format!("node {n} has the vnnmap {:?}", map.map));
            }
            generations.insert(map.generation);
            self.clients_are_idle(n)?;
            if node.clients.len() != node.places.len() {
                return Err(format!("clients of node {n} are not there yet"));
            }
            self.jobs_are_done(n)?;
            for (db, file) in &node.disk.borrow().files {
                if daemon.database(*db).is_some_and(|state| state.freezing) {
                    return Err(format!("node {n}: {} is frozen", file.name));
                }
            }
        }
        if generations.len() != 1 {
            return Err(format!("several generations: {generations:?}"));
        }
        self.packets_are_read()
    }

    fn jobs_are_done(&self, n: usize) -> Result<(), String> {
        let node = &self.nodes[n];
        if let Some((work, job)) = node.jobs.iter().next() {
            return Err(format!("node {n} still has job {work:?}: {job:?}"));
        }
        let disk = node.disk.borrow();
        for file in disk.files.values() {
            let dead = |owner: &Owner| match owner {
                Owner::Worker(_) => true,
                Owner::Client(client) => !node.clients.contains_key(client),
            };
            if let Some(owner) = file.locks.owners().find(dead) {
                return Err(format!("node {n}, {}: {owner:?} has a lock", file.name));
            }
        }
        Ok(())
    }

    fn packets_are_read(&self) -> Result<(), String> {
        match self.net.handed.first_key_value() {
            Some(((db, key), _)) => Err(format!("a record of {db} is on its way: {key:?}")),
            None => Ok(()),
        }
    }
}
