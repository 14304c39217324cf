//! For how long work rested, and what it should have rested for.

use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::Step;
use super::watch::Span;

/// What a writer may rest for beside a recovery: until the leader sees that there has to be one (RecoverInterval, a
/// second), its own pauses, a look, a busy machine.
const SLACK: Duration = Duration::from_secs(2);
/// Where the leader leaves, the others vote before they recover: ElectionTimeout of C's.
const ELECTION: Duration = Duration::from_secs(3);
/// A client of an address that moves: the recovery is followed by a takeover run, and it connects anew.
const FAILOVER: Duration = Duration::from_secs(10);

/// When something was done, again and again.
#[derive(Debug)]
pub(super) struct Work {
    what: String,
    /// The node on which it is done; it rests while that one is replaced.
    node: Option<usize>,
    slack: Duration,
    done: Vec<u64>,
}

impl Work {
    pub(super) fn of_node(node: usize, model: &str, done: Vec<u64>) -> Self {
        Self {
            what: format!("{model} writes of node {node}"),
            node: Some(node),
            slack: SLACK,
            done,
        }
    }

    /// `moves`: of clients of an address that may move.
    pub(super) fn of_clients(what: String, moves: bool, done: Vec<u64>) -> Self {
        Self {
            what,
            node: None,
            slack: if moves { FAILOVER } else { SLACK },
            done,
        }
    }

    /// The longest rest that has to do with a step; none if it is the work of the node that was replaced.
    fn longest(&self, step: &Step) -> Option<Span> {
        if self.node == Some(step.node) {
            return None;
        }
        let Span { from, to } = step.span;
        let within = self
            .done
            .iter()
            .copied()
            .filter(|at| (from..to).contains(at));
        let times: Vec<u64> = [from].into_iter().chain(within).chain([to]).collect();
        let rests = times.windows(2).map(|pair| Span {
            from: pair[0],
            to: pair[1],
        });
        rests.max_by_key(Span::length)
    }

    /// The longest rest is that of one recovery at most.
    fn check(&self, step: &Step) -> Result<()> {
        let Some(rest) = self.longest(step) else {
            return Ok(());
        };
        let meets = step.recoveries.iter().filter(|span| span.meets(&rest));
        let recovery = meets.map(Span::length).max().unwrap_or_default();
        let election = if step.led { ELECTION } else { Duration::ZERO };
        ensure!(
            rest.length() <= recovery + election + self.slack,
            "{}: {:.2} s while node {} was replaced by {}, the recovery took {:.2} s",
            self.what,
            rest.length().as_secs_f64(),
            step.node,
            step.to,
            recovery.as_secs_f64()
        );
        Ok(())
    }
}

/// All rests of all steps.
pub(super) fn check(steps: &[Step], work: &[Work]) -> Result<()> {
    let pairs = steps
        .iter()
        .flat_map(|step| work.iter().map(move |work| (step, work)));
    let wrong: Vec<_> = pairs
        .filter_map(|(step, work)| work.check(step).err())
        .map(|why| why.to_string())
        .collect();
    match wrong[..] {
        [] => Ok(()),
        _ => bail!("{}", wrong.join("\n")),
    }
}

/// A line for each step.
pub(super) fn print(steps: &[Step], work: &[Work]) {
    for step in steps {
        let recoveries: Vec<_> = step
            .recoveries
            .iter()
            .map(|span| seconds(span.length()))
            .collect();
        println!(
            "# node {} by {}: {} s in all, recoveries of {} s",
            step.node,
            step.to,
            seconds(step.span.length()),
            recoveries.join(", ")
        );
        for work in work {
            if let Some(rest) = work.longest(step) {
                println!("#   {} rested for {} s", work.what, seconds(rest.length()));
            }
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn step(recoveries: &[(u64, u64)]) -> Step {
        let span = |&(from, to): &(u64, u64)| Span {
            from: from * SECOND,
            to: to * SECOND,
        };
        Step {
            node: 0,
            led: false,
            to: "ours",
            span: span(&(0, 20)),
            recoveries: recoveries.iter().map(span).collect(),
        }
    }

    fn work(node: usize) -> Work {
        // nothing is done from 5 to 9
        let done = (0..=20).filter(|at| !(6..9).contains(at));
        Work::of_node(node, "volatile", done.map(|at| at * SECOND).collect())
    }

    #[test]
    fn work_rests_for_one_recovery_at_most() {
        work(1).check(&step(&[(5, 8)])).unwrap();
        work(1).check(&step(&[(5, 6), (7, 8)])).unwrap_err();
        work(1).check(&step(&[(10, 19)])).unwrap_err();
    }

    #[test]
    fn without_their_leader_the_others_vote_first() {
        let mut step = step(&[]);
        work(1).check(&step).unwrap_err();
        step.led = true;
        work(1).check(&step).unwrap();
    }

    #[test]
    fn the_node_that_is_replaced_may_rest() {
        work(0).check(&step(&[])).unwrap();
    }
}
