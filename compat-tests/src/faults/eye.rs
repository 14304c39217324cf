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

/// What a node said last.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    at: Option<Instant>,
    normal: bool,
    pub(crate) generation: Option<Generation>,
    flags: Vec<NodeFlags>,
    /// Who leads, and when that was heard last.
    leader: Option<(Pnn, Instant)>,
    /// The last changes of the leader.
    changes: VecDeque<(Pnn, Instant)>,
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

    fn hear(&mut self, leader: Pnn, now: Instant) {
        if leader == Pnn::UNKNOWN {
            // an election has begun
            self.leader = None;
            return;
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
}
