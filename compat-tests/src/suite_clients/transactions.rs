//! `transaction_loop`: a record has a counter of each node, and each transaction increments one's own.

use std::time::Duration;

use anyhow::{Result, ensure};
use client::GLocks;
use tokio::time::Instant;
use wire::types::GLockMode;

use super::meet::meet;
use super::options::{Kind, OnDatabase};

/// Counts until the time is over. None of the counters may ever be less than it was.
pub(super) async fn run(options: &OnDatabase) -> Result<()> {
    let common = &options.common;
    ensure!(
        options.kind != Kind::Volatile,
        "Database must be persistent or replicated"
    );
    let (client, database) = options.open(options.kind).await?;
    let locks = GLocks::open(&client, common.time_limit()).await?;
    meet(&client, common.nodes).await?;
    let (key, own) = (options.key.as_bytes(), client.pnn().0 as usize);
    ensure!(own < common.nodes as usize, "this node takes no part");
    let end = Instant::now() + common.time_limit();
    let mut last = vec![0; common.nodes as usize];
    let mut printed = Instant::now();
    while Instant::now() < end {
        let mut transaction = database
            .begin(&locks, GLockMode::Write, common.time_limit())
            .await?;
        let mut counters = parse(&transaction.fetch(key)?, last.len());
        let back = last.iter().zip(&counters).position(|(was, is)| is < was);
        ensure!(
            back.is_none(),
            "counter {back:?} went back: {last:?}, {counters:?}"
        );
        counters[own] = counters[own].wrapping_add(1);
        let bytes: Vec<u8> = counters
            .iter()
            .flat_map(|count| count.to_ne_bytes())
            .collect();
        transaction.store(key, &bytes)?;
        transaction.commit(common.time_limit()).await?;
        last = counters;
        if common.interactive && printed.elapsed() > Duration::from_secs(1) {
            print(own, &last);
            printed = Instant::now();
        }
    }
    print(own, &last);
    Ok(())
}

/// All zero if there are less of them than wanted.
fn parse(value: &[u8], nodes: usize) -> Vec<u32> {
    let (numbers, _) = value.as_chunks::<4>();
    let mut counters: Vec<u32> = numbers
        .iter()
        .map(|bytes| u32::from_ne_bytes(*bytes))
        .collect();
    if counters.len() < nodes {
        counters = Vec::new();
    }
    counters.resize(nodes, 0);
    counters
}

fn print(own: usize, counters: &[u32]) {
    let text: String = counters.iter().map(|count| format!("{count:6} ")).collect();
    println!("Transaction[{own}]: {text}");
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn counters_of_fewer_nodes_are_none() {
        let bytes = [1_u32.to_ne_bytes(), 2_u32.to_ne_bytes()].concat();
        assert_eq!(parse(&bytes, 2), [1, 2]);
        assert_eq!(parse(&bytes, 1), [1]);
        assert_eq!(parse(&bytes, 3), [0, 0, 0]);
    }
}
