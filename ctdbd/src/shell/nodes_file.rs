//! Reading the nodes file, or running the command that lists the nodes: beside everything else, and one at a time,
//! however many ask. Who asks while one is read gets what the next one finds.

use config::NodesSource;
use tracing::error;

use super::{Handle, Shell, node_entries};
use crate::daemon::{Input, ReadFor};

/// Questions that may wait for the next reading.
const MOST: usize = 10_000;

/// Who waits for it.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// For what is being read; nothing is if nobody waits.
    now: Vec<ReadFor>,
    next: Vec<ReadFor>,
}

/// What is to be done about a question.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Read,
    Wait,
    Refuse,
}

impl Reading {
    fn ask(&mut self, what_for: ReadFor) -> Asked {
        if self.now.is_empty() {
            self.now.push(what_for);
            return Asked::Read;
        }
        // one reading answers all that the cluster manager's node side is asked
        if what_for == ReadFor::Membership && self.next.contains(&what_for) {
            return Asked::Wait;
        }
        if self.next.len() > MOST {
            return Asked::Refuse;
        }
        self.next.push(what_for);
        Asked::Wait
    }

    /// It was read: for whom, and whether it has to be read again.
    fn done(&mut self) -> (Vec<ReadFor>, bool) {
        let next = std::mem::take(&mut self.next);
        let done = std::mem::replace(&mut self.now, next);
        (done, !self.now.is_empty())
    }
}

impl Shell {
    pub(super) fn read_nodes(&mut self, what_for: ReadFor) {
        match self.reading.ask(what_for) {
            Asked::Wait => {}
            Asked::Refuse => {
                let nodes = None;
                self.later.push_back(Input::NodesRead { what_for, nodes });
            }
            Asked::Read => {
                if let Some(handle) = self.this.upgrade() {
                    tokio::task::spawn_local(read(handle));
                }
            }
        }
    }
}

/// Reads until nobody waits any more.
async fn read(handle: Handle) {
    loop {
        let (source, port) = {
            let shell = handle.borrow();
            (shell.nodes_source.clone(), shell.transport.port())
        };
        let nodes = match load(source).await {
            Ok(nodes) => Some(node_entries(&nodes, port)),
            Err(why) => {
                error!(%why, "the nodes file cannot be read");
                None
            }
        };
        let mut shell = handle.borrow_mut();
        let (done, again) = shell.reading.done();
        for what_for in done {
            let nodes = nodes.clone();
            shell.input(Input::NodesRead { what_for, nodes });
        }
        if !again {
            return;
        }
    }
}

/// On a thread of its own. Where there is none to be had, that is an error; tokio's pool of threads would panic.
async fn load(source: NodesSource) -> anyhow::Result<Vec<config::NodeEntry>> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let load = move || drop(tell.send(source.load()));
    std::thread::Builder::new()
        .name("nodes".into())
        .spawn(load)?;
    Ok(told.await??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reading_at_a_time_and_a_fresh_one_for_who_comes_later() {
        let mut reading = Reading::default();
        let question = ReadFor::Question;
        assert_eq!(reading.ask(question(1)), Asked::Read);
        assert_eq!(reading.ask(question(2)), Asked::Wait);
        assert_eq!(reading.ask(ReadFor::Membership), Asked::Wait);
        assert_eq!(reading.done(), (vec![question(1)], true));
        assert_eq!(reading.ask(question(3)), Asked::Wait);
        let second = vec![question(2), ReadFor::Membership];
        assert_eq!(reading.done(), (second, true));
        assert_eq!(reading.done(), (vec![question(3)], false));
        assert_eq!(reading.ask(question(4)), Asked::Read);
    }

    #[test]
    fn not_everybody_can_wait() {
        let mut reading = Reading::default();
        assert_eq!(reading.ask(ReadFor::Question(0)), Asked::Read);
        for _ in 0..2 * MOST {
            assert_eq!(reading.ask(ReadFor::Membership), Asked::Wait);
        }
        for number in 0..MOST as u64 {
            assert_eq!(reading.ask(ReadFor::Question(number)), Asked::Wait);
        }
        assert_eq!(reading.ask(ReadFor::Question(0)), Asked::Refuse);
        assert_eq!(reading.ask(ReadFor::Membership), Asked::Wait);
    }
}
