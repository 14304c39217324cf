//! What each daemon says of its cluster: asked a hundred times a second, and its leader's broadcasts heard.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use client::Client;
use wire::control::{GetNodemap, GetRecmode, GetVnnMap};
use wire::message::Message;
use wire::types::NodeFlags;
use wire::{Generation, Pnn, Srvid};

use crate::node::Node;

/// Between two questions.
const LOOK: Duration = Duration::from_millis(10);
/// For each question.
const LIMIT: Duration = Duration::from_secs(1);
/// What GET_RECMODE answers, in its status.
const NORMAL: i32 = 0;
/// What is older says nothing any more. A leader broadcasts every second.
const FRESH: Duration = Duration::from_millis(2500);
/// Two that lead in turns within this time lead at the same time.
const DISPUTE: Duration = Duration::from_secs(3);
/// By a coordinator, whoever leads no longer is not heard for longer than this once another one is: so long the news may take.
const NEWS: Duration = Duration::from_secs(1);

/// One that was heard leading, until another one or nobody was.
#[derive(Debug, Clone, Copy)]
struct Reign {
    leader: usize,
    first: Instant,
    last: Instant,
}

/// What a node said last.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// Whose it is.
    node: usize,
    at: Option<Instant>,
    normal: bool,
    pub(crate) generation: Option<Generation>,
    flags: Vec<NodeFlags>,
    /// Who leads, and when that was heard last.
    leader: Option<(Pnn, Instant)>,
    /// The last changes of the leader.
    changes: VecDeque<(Pnn, Instant)>,
    /// Whom it has heard leading, one after the other.
    succession: Vec<Reign>,
    /// How often two led at the same time.
    pub(crate) disputes: usize,
}

impl View {
    /// The leader, if there is one now.
    pub(crate) fn leader(&self) -> Option<usize> {
        let (pnn, heard) = self.leader?;
        (heard.elapsed() < FRESH).then_some(pnn.0 as usize)
    }

    /// It sees these nodes without a flag, the others with some, and is not in recovery.
    fn check(&self, nodes: &[usize]) -> Result<()> {
        ensure!(
            self.at.is_some_and(|at| at.elapsed() < FRESH),
            "does not answer"
        );
        let flags = || self.flags.iter().enumerate();
        let well = flags().all(|(pnn, flags)| nodes.contains(&pnn) == flags.is_empty());
        ensure!(well, "sees {:?}", self.flags);
        ensure!(self.normal, "is in recovery");
        Ok(())
    }

    /// Whom it has heard leading is what `history` has, in that order: nobody who leads no longer, once it has heard a
    /// later one.
    ///
    /// # Errors
    /// Says whom.
    pub(crate) fn check_led_as(&self, history: &[usize]) -> Result<()> {
        let mut heard: Vec<_> = self.succession.iter().map(|reign| reign.leader).collect();
        heard.dedup();
        let mut left = history.iter();
        ensure!(
            heard.iter().all(|leader| left.any(|led| led == leader)),
            "node {} has heard {heard:?}, it was {history:?}",
            self.node
        );
        Ok(())
    }

    /// Whom it has heard. What it has heard of itself is left out: it may have told itself before it was stopped, and
    /// hear it when it goes on.
    fn heard_others(&self) -> impl Iterator<Item = &Reign> {
        let others = |reign: &&Reign| reign.leader != self.node;
        self.succession.iter().filter(others)
    }

    fn hear(&mut self, leader: Pnn, now: Instant) {
        if leader == Pnn::UNKNOWN {
            // an election has begun
            self.leader = None;
            return;
        }
        let (leading, first, last) = (leader.0 as usize, now, now);
        match self.succession.last_mut() {
            Some(reign) if reign.leader == leading && now.duration_since(reign.last) < FRESH => {
                reign.last = now;
            }
            _ => self.succession.push(Reign {
                leader: leading,
                first,
                last,
            }),
        }
        if self.changes.back().is_none_or(|(last, _)| *last != leader) {
            self.changes.push_back((leader, now));
        }
        if let [.., (a, begin), (b, _), (c, _), (d, _)] = *self.changes.make_contiguous()
            && a == c
            && b == d
            && now.duration_since(begin) < DISPUTE
        {
            self.disputes += 1;
            self.changes.clear();
        }
        if self.changes.len() > 4 {
            self.changes.pop_front();
        }
        self.leader = Some((leader, now));
    }
}

/// All have heard of a leader since.
///
/// # Errors
/// Names a node that has not.
pub(crate) fn check_led_since(views: &[View], since: Instant) -> Result<()> {
    let has = |view: &View| view.leader.is_some_and(|(_, heard)| heard > since);
    let without = views.iter().position(|view| !has(view));
    ensure!(without.is_none(), "node {without:?} hears of no leader");
    Ok(())
}

/// No two were heard leading at the same time, whoever heard them.
///
/// # Errors
/// Says which two.
pub(crate) fn check_one_leads(views: &[View]) -> Result<()> {
    let reigns: Vec<_> = views.iter().flat_map(View::heard_others).collect();
    for (number, one) in reigns.iter().enumerate() {
        for other in &reigns[..number] {
            let both = one.last.min(other.last);
            let both = both.saturating_duration_since(one.first.max(other.first));
            ensure!(
                one.leader == other.leader || both < NEWS,
                "nodes {} and {} for {both:?}",
                one.leader,
                other.leader
            );
        }
    }
    Ok(())
}

/// These nodes, and no others, are a cluster at work: nobody in recovery, one generation, one leader of theirs.
///
/// # Errors
/// Says which node sees it otherwise.
pub(crate) fn check_together(views: &[View], nodes: &[usize]) -> Result<Generation> {
    for &pnn in nodes {
        views[pnn]
            .check(nodes)
            .map_err(|why| why.context(format!("node {pnn}")))?;
    }
    let first = &views[nodes[0]];
    let leader = first.leader();
    ensure!(
        leader.is_some_and(|leader| nodes.contains(&leader)),
        "node {} has the leader {leader:?}",
        nodes[0]
    );
    for &pnn in nodes {
        let view = &views[pnn];
        ensure!(
            view.generation == first.generation,
            "other generations: {:?}, {:?}",
            view.generation,
            first.generation
        );
        ensure!(
            view.leader() == leader,
            "other leaders: {:?}, {leader:?}",
            view.leader()
        );
    }
    Ok(first.generation.unwrap_or(Generation(0)))
}

/// Looks at one node until it is dropped.
#[derive(Debug)]
pub(crate) struct Eye {
    view: Arc<Mutex<View>>,
    over: Arc<AtomicBool>,
}

impl Eye {
    pub(crate) fn on(node: &Node) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let eye = Self {
            view: Arc::default(),
            over: Arc::default(),
        };
        lock(&eye.view, |view| view.node = node.pnn);
        let (view, over) = (Arc::clone(&eye.view), Arc::clone(&eye.over));
        let socket: PathBuf = node.path("/run/ctdb/ctdbd.socket");
        std::thread::spawn(move || {
            runtime.block_on(async {
                while !over.load(Ordering::Relaxed) {
                    // a daemon that is gone is what this is about
                    let _ = look(&socket, &view, &over).await;
                    tokio::time::sleep(LOOK).await;
                }
            });
        });
        Ok(eye)
    }

    pub(crate) fn view(&self) -> View {
        lock(&self.view, |view| view.clone())
    }
}

impl Drop for Eye {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn lock<T>(view: &Mutex<View>, with: impl FnOnce(&mut View) -> T) -> T {
    with(&mut view.lock().unwrap_or_else(PoisonError::into_inner))
}

async fn look(socket: &Path, view: &Mutex<View>, over: &AtomicBool) -> Result<()> {
    let client = tokio::time::timeout(LIMIT, Client::connect(socket)).await??;
    let mut broadcasts = client.register(Srvid::LEADER).await?;
    while !over.load(Ordering::Relaxed) {
        tokio::select! {
            message = broadcasts.recv() => {
                let message = message?;
                if let Ok(Message::Leader(pnn)) = Message::decode(message.srvid, &message.data) {
                    lock(view, |view| view.hear(pnn, Instant::now()));
                }
            }
            () = tokio::time::sleep(LOOK) => ask(&client, view).await?,
        }
    }
    Ok(())
}

async fn ask(client: &Client, view: &Mutex<View>) -> Result<()> {
    let here = Pnn::CURRENT;
    let nodemap = client.control::<GetNodemap>(here, &(), LIMIT).await?.reply;
    let map = client.control::<GetVnnMap>(here, &(), LIMIT).await?.reply;
    let mode = client.control::<GetRecmode>(here, &(), LIMIT).await?.status;
    lock(view, |view| {
        view.flags = nodemap.nodes.iter().map(|node| node.flags).collect();
        view.generation = Some(map.generation);
        view.normal = mode == NORMAL;
        view.at = Some(Instant::now());
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_lead_in_turns_lead_at_the_same_time() {
        let begin = Instant::now();
        let heard = |who: &[(u32, u64)]| {
            let mut view = View::default();
            for &(pnn, at) in who {
                view.hear(Pnn(pnn), begin + Duration::from_millis(at));
            }
            view.disputes
        };
        assert_eq!(heard(&[(0, 0), (1, 100), (0, 1000), (1, 1100)]), 1);
        // a last word of one that was stopped, and a new leader after another
        assert_eq!(heard(&[(0, 0), (1, 5000), (0, 6000), (1, 6100)]), 0);
        assert_eq!(heard(&[(0, 0), (1, 100), (2, 200), (1, 300)]), 0);
    }

    /// What a node has heard: whom, and at which seconds.
    fn view(node: usize, heard: &[(u32, u64)], begin: Instant) -> View {
        let mut view = View {
            node,
            ..View::default()
        };
        for &(pnn, at) in heard {
            view.hear(Pnn(pnn), begin + Duration::from_secs(at));
        }
        view
    }

    #[test]
    fn whoever_leads_no_longer_is_not_heard_any_more() {
        let check = |heard: &[(u32, u64)], history: &[usize]| {
            view(1, heard, Instant::now()).check_led_as(history)
        };
        check(&[(0, 0), (2, 9)], &[0, 1, 1, 2]).unwrap();
        check(&[(0, 0), (2, 9), (0, 10)], &[0, 2]).unwrap_err();
        check(&[(1, 0)], &[0, 2]).unwrap_err();
    }

    #[test]
    fn one_leads_at_a_time_whoever_hears_it() {
        let begin = Instant::now();
        let check = |one: &[(u32, u64)], other: &[(u32, u64)]| {
            check_one_leads(&[view(1, one, begin), view(2, other, begin)])
        };
        check(&[(0, 1), (0, 3), (3, 4), (3, 6)], &[(0, 2), (3, 5)]).unwrap();
        check(&[(0, 1), (0, 3)], &[(3, 1), (3, 3)]).unwrap_err();
        // it has heard itself
        check(&[(1, 1), (1, 3)], &[(3, 1), (3, 3)]).unwrap();
        // it was away while another one led
        check(&[(0, 1), (0, 9)], &[(3, 4), (3, 6)]).unwrap();
    }
}
