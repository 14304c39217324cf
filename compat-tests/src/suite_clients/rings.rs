//! What goes round the nodes, and how fast. The scripts look at the lines and that each node has 10 a second.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use client::{Client, Pnn, Srvid, TunnelId};
use tokio::time::{Instant as When, interval_at, sleep, sleep_until};

use super::meet::meet;
use super::options::{Common, Kind, LIMIT, OnDatabase};

/// Of messages: upstream's own numbers.
const RING: Srvid = Srvid(0);
const FETCH: Srvid = Srvid(0);
/// How long one goes on answering after its own time, which ends later on other nodes.
const LINGER: Duration = Duration::from_secs(3);
/// A record that is longer is begun anew.
const LONGEST: usize = 1000;

/// The node some steps from this one, round the ring.
fn neighbour(client: &Client, nodes: u32, step: i32) -> Pnn {
    let here = i64::from(client.pnn().0) + i64::from(step);
    Pnn(u32::try_from(here.rem_euclid(i64::from(nodes))).expect("less than a u32"))
}

/// What has come by, and since when.
struct Meter {
    since: Instant,
    forward: u64,
    back: u64,
}

impl Meter {
    fn start() -> Self {
        Self {
            since: Instant::now(),
            forward: 0,
            back: 0,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "for people, and far below 2^52")]
    fn rate(&self) -> f64 {
        (self.forward + self.back) as f64 / self.since.elapsed().as_secs_f64()
    }

    fn print(&self, node: Pnn) {
        let Self { forward, back, .. } = self;
        println!(
            "Ring[{}]: {:.2} msgs/sec (+ve={forward} -ve={back})",
            node.0,
            self.rate()
        );
    }
}

/// Two messages, one each way, begun by node 0 as long as none has come back.
pub(super) async fn messages(options: &Common) -> Result<()> {
    let client = options.connect().await?;
    let mut messages = client.register(RING).await?;
    meet(&client, options.nodes).await?;
    let mut meter = Meter::start();
    let end = When::now() + options.time_limit();
    let second = Duration::from_secs(1);
    let mut seconds = interval_at(When::now() + second, second);
    let send = |step: i32| {
        let to = neighbour(&client, options.nodes, step);
        client.message(to, RING, &step.to_ne_bytes())
    };
    loop {
        tokio::select! {
            message = messages.recv() => {
                let Ok(step) = <[u8; 4]>::try_from(&message?.data[..]) else { continue };
                let step = i32::from_ne_bytes(step);
                let way = if step == 1 { &mut meter.forward } else { &mut meter.back };
                *way += 1;
                send(step)?;
            }
            _ = seconds.tick(), if client.pnn() == Pnn(0) => {
                if options.interactive {
                    meter.print(client.pnn());
                }
                if meter.forward == 0 {
                    send(1)?;
                }
                if meter.back == 0 {
                    send(-1)?;
                }
            }
            () = sleep_until(end) => {
                meter.print(client.pnn());
                return Ok(());
            }
        }
    }
}

/// A request of each node's own round the ring, in the tunnel of the node that sends it on.
pub(super) async fn tunnels(options: &Common) -> Result<()> {
    let client = options.connect().await?;
    let tunnel = |node: Pnn| client.open_tunnel(TunnelId(TunnelId::TEST.0 | u64::from(node.0)));
    let own = client.pnn();
    let mut out = tunnel(own).await?;
    let mut back = tunnel(neighbour(&client, options.nodes, -1)).await?;
    meet(&client, options.nodes).await?;
    let next = neighbour(&client, options.nodes, 1);
    let send = |node: u32, round: u32| {
        out.asker()
            .send(next, &[node.to_ne_bytes(), round.to_ne_bytes()].concat())
    };
    let over = When::now() + options.time_limit();
    let mut round = 0_u32;
    send(own.0, round)?;
    loop {
        tokio::select! {
            request = back.recv() => {
                let (node, count) = parse(&request?.data)?;
                if node == own.0 {
                    ensure!(count == round, "round {count} came back in round {round}");
                    round += 1;
                }
                send(node, if node == own.0 { round } else { count })?;
            }
            () = sleep_until(over) => break,
        }
    }
    let rate = f64::from(round) / options.time_limit().as_secs_f64();
    println!("pnn[{}] {rate:.1} msgs/sec", own.0);
    sleep(LINGER).await;
    ensure!(
        out_is_silent(&mut out).await,
        "data came in the tunnel for sending"
    );
    Ok(())
}

/// Nobody sends to a node in the tunnel that it sends with.
async fn out_is_silent(out: &mut client::Tunnel) -> bool {
    tokio::select! {
        biased;
        _ = out.recv() => false,
        () = std::future::ready(()) => true,
    }
}

fn parse(data: &[u8]) -> Result<(u32, u32)> {
    let [a, b, c, d, e, f, g, h] = *data else {
        anyhow::bail!("a request of {} bytes", data.len());
    };
    let node = u32::from_ne_bytes([a, b, c, d]);
    Ok((node, u32::from_ne_bytes([e, f, g, h])))
}

/// A record that each node writes in turn; a message says whose turn it is.
pub(super) async fn fetches(options: &OnDatabase) -> Result<()> {
    let common = &options.common;
    let (client, database) = options.open(Kind::Volatile).await?;
    let mut turns = client.register(FETCH).await?;
    meet(&client, common.nodes).await?;
    let key = options.key.as_bytes();
    let next = neighbour(&client, common.nodes, 1);
    let mut meter = Meter::start();
    let end = When::now() + common.time_limit();
    let mut mine = client.pnn().0 == common.nodes - 1;
    loop {
        if mine {
            let mut record = database.lock_record(key, LIMIT).await?;
            let value = longer(record.value(), meter.forward, client.pnn());
            record.store(&value)?;
            drop(record);
            client.message(next, FETCH, b"")?;
        }
        tokio::select! {
            turn = turns.recv() => {
                turn?;
                meter.forward += 1;
                mine = true;
            }
            () = sleep_until(end) => break,
        }
    }
    println!("Fetch[{}]: {:.2} msgs/sec", client.pnn().0, meter.rate());
    let record = database.lock_record(key, LIMIT).await?;
    if common.interactive {
        println!("DATA:\n{}", String::from_utf8_lossy(record.value()));
    }
    Ok(())
}

/// The record's text with one more line, and the NUL that ends it.
fn longer(value: &[u8], count: u64, node: Pnn) -> Vec<u8> {
    let begin = match value.strip_suffix(b"\0").unwrap_or(value) {
        text if text.is_empty() || value.len() > LONGEST => b"Test data\n",
        text => text,
    };
    let line = format!("msg_count={count} on node {}\n\0", node.0);
    [begin, line.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_grows_by_lines_and_is_begun_anew() {
        let first = longer(b"", 0, Pnn(2));
        assert_eq!(first, b"Test data\nmsg_count=0 on node 2\n\0");
        let second = longer(&first, 1, Pnn(0));
        assert_eq!(second.iter().filter(|byte| **byte == 0).count(), 1);
        assert!(second.ends_with(b"2\nmsg_count=1 on node 0\n\0"));
        assert_eq!(longer(&[b'x'; 1001], 0, Pnn(2)), first);
    }

    #[test]
    fn a_tunnels_request_has_two_numbers() {
        assert_eq!(
            parse(&[1_u32.to_ne_bytes(), 7_u32.to_ne_bytes()].concat()).unwrap(),
            (1, 7)
        );
        assert!(parse(b"1234567").is_err());
    }
}
