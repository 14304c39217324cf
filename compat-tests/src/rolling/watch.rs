//! When there were recoveries: each daemon is asked for its recovery mode, fifty times a second.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};
use client::Client;
use wire::Pnn;
use wire::control::GetRecmode;

use crate::deaths::series::monotonic;
use crate::node::Node;

/// Between two questions.
const LOOK: Duration = Duration::from_millis(20);
/// For each question.
const LIMIT: Duration = Duration::from_secs(5);
/// What GET_RECMODE answers, in its status.
const NORMAL: i32 = 0;
/// Two looks that tell of a recovery belong to one if no more than this is between them, in nanoseconds.
const JOIN: u64 = 200_000_000;

/// From when to when, by the clock of the journals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Span {
    /// How long.
    pub(super) fn length(&self) -> Duration {
        Duration::from_nanos(self.to - self.from)
    }

    /// Whether it touches the other one.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

/// The looks at one node. Its end is the end of the looking.
pub(super) struct Watch {
    over: Arc<AtomicBool>,
    looking: Option<JoinHandle<Vec<Span>>>,
}

impl Watch {
    pub(super) fn start(node: &Node) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let socket = node.path("/run/ctdb/ctdbd.socket");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let until = Arc::clone(&over);
        let look = move || runtime.block_on(look(socket, &until));
        Ok(Self {
            over,
            looking: Some(std::thread::spawn(look)),
        })
    }

    /// Ends it: the times in which the node was in recovery.
    pub(super) fn end(mut self) -> Result<Vec<Span>> {
        self.over.store(true, Ordering::Relaxed);
        let Some(looking) = self.looking.take() else {
            return Ok(Vec::new());
        };
        looking.join().map_err(|_| anyhow!("a watcher panicked"))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

async fn look(socket: PathBuf, over: &AtomicBool) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    while !over.load(Ordering::Relaxed) {
        if session(&socket, over, &mut spans).await.is_err() {
            tokio::time::sleep(LOOK).await;
        }
    }
    spans
}

/// Looks until the connection is lost.
async fn session(socket: &Path, over: &AtomicBool, spans: &mut Vec<Span>) -> Result<()> {
    let client = tokio::time::timeout(LIMIT, Client::connect(socket)).await??;
    while !over.load(Ordering::Relaxed) {
        let from = monotonic()?;
        let mode = client
            .control::<GetRecmode>(Pnn::CURRENT, &(), LIMIT)
            .await?;
        if mode.status != NORMAL {
            note(spans, from, monotonic()?);
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

fn note(spans: &mut Vec<Span>, from: u64, to: u64) {
    match spans.last_mut().filter(|last| last.to + JOIN >= from) {
        Some(last) => last.to = to,
        None => spans.push(Span { from, to }),
    }
}

/// The spans of several nodes as those of all: what overlaps is one.
pub(super) fn joined(mut all: Vec<Span>) -> Vec<Span> {
    all.sort();
    let mut joined: Vec<Span> = Vec::new();
    for span in all {
        match joined.last_mut().filter(|last| last.to >= span.from) {
            Some(last) => last.to = last.to.max(span.to),
            None => joined.push(span),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: u64, to: u64) -> Span {
        Span { from, to }
    }

    #[test]
    fn recoveries_of_several_nodes_are_one_where_they_overlap() {
        let all = vec![span(50, 60), span(10, 20), span(15, 30)];
        assert_eq!(joined(all), [span(10, 30), span(50, 60)]);
        assert!(span(10, 20).meets(&span(20, 25)));
        assert!(!span(10, 20).meets(&span(21, 25)));
    }

    #[test]
    fn looks_that_follow_each_other_are_one_recovery() {
        let mut spans = Vec::new();
        note(&mut spans, 0, 10);
        note(&mut spans, 30_000_000, 30_000_010);
        note(&mut spans, 900_000_000, 900_000_010);
        assert_eq!(spans, [span(0, 30_000_010), span(900_000_000, 900_000_010)]);
    }
}
