//! How the participants find each other: messages with a round's number and a value, to an address
//! that nobody else uses.
//!
//! ```text
//! entering a round:   question (round, my value)  -> every other node
//! question received:  note the value; if I am in that round or past it: answer (my value)
//! round complete:     every node's value is there
//! ```
//!
//! Whoever enters last asks everybody, who answer; so no message has to wait for a registration on
//! another node, and the last answer is the start for the last one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use client::{Client, Message, Pnn, Srvid, Subscription};
use tokio::sync::watch;

use super::LIMIT;

/// In the range of test programs, where upstream's use the numbers 1 and 2.
const ADDRESS: Srvid = Srvid(Srvid::TEST_RANGE.0 | 0x6c6f_6164);
/// A question that a node could not be asked, since it was not connected, is put again.
const AGAIN: Duration = Duration::from_secs(1);

/// This node at the meetings.
pub(super) struct Meeting {
    client: Client,
    participants: u32,
    /// What is known; the listening task adds to it and wakes who waits.
    known: Arc<watch::Sender<Known>>,
    next: u32,
}

/// Values by round and node, this node's own among them.
type Known = BTreeMap<(u32, u32), u64>;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    round: u32,
    node: u32,
    value: u64,
    question: bool,
}

impl Word {
    fn to_bytes(self) -> [u8; 17] {
        let mut bytes = [0; 17];
        bytes[..4].copy_from_slice(&self.round.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.node.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.value.to_ne_bytes());
        bytes[16] = u8::from(self.question);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (round, rest) = bytes.split_first_chunk()?;
        let (node, rest) = rest.split_first_chunk()?;
        let (value, rest) = rest.split_first_chunk()?;
        Some(Self {
            round: u32::from_ne_bytes(*round),
            node: u32::from_ne_bytes(*node),
            value: u64::from_ne_bytes(*value),
            question: rest == [1],
        })
    }
}

impl Meeting {
    /// Listens from now on.
    pub(super) async fn open(client: &Client, participants: u32) -> Result<Self> {
        let known = Arc::new(watch::Sender::new(Known::new()));
        if participants > 1 {
            let subscription = client.register(ADDRESS).await?;
            let listener = listen(client.clone(), participants, subscription, known.clone());
            tokio::spawn(listener);
        }
        Ok(Self {
            client: client.clone(),
            participants,
            known,
            next: 0,
        })
    }

    /// Waits until all are in this round; each one's value.
    ///
    /// # Errors
    /// Somebody has not come within `limit`.
    pub(super) async fn exchange(&mut self, value: u64, limit: Duration) -> Result<Vec<u64>> {
        let me = self.client.pnn().0;
        let round = self.next;
        self.next += 1;
        if self.participants == 1 {
            return Ok(vec![value]);
        }
        self.known.send_modify(|known| {
            known.insert((round, me), value);
        });
        let all = tokio::time::timeout(limit, self.ask(round, me, value)).await;
        let Ok(all) = all else {
            let known = self.known.borrow();
            let absent = (0..self.participants).filter(|node| !known.contains_key(&(round, *node)));
            bail!("not heard of nodes {:?}", absent.collect::<Vec<_>>());
        };
        // the others need this node's word even if it ends now
        self.client.flush(LIMIT).await?;
        all
    }

    async fn ask(&self, round: u32, node: u32, value: u64) -> Result<Vec<u64>> {
        let question = Word {
            round,
            node,
            value,
            question: true,
        };
        let mut known = self.known.subscribe();
        let complete = |known: &Known| values(known, round).count() == self.participants as usize;
        loop {
            for other in (0..self.participants).filter(|other| *other != node) {
                let bytes = question.to_bytes();
                self.client.message(Pnn(other), ADDRESS, &bytes)?;
            }
            if let Ok(known) = tokio::time::timeout(AGAIN, known.wait_for(complete)).await {
                return Ok(values(&*known?, round).collect());
            }
        }
    }
}

/// In the order of the nodes.
fn values(known: &Known, round: u32) -> impl Iterator<Item = u64> {
    let of_round = known.range((round, 0)..=(round, u32::MAX));
    of_round.map(|(_, value)| *value)
}

async fn listen(
    client: Client,
    participants: u32,
    mut subscription: Subscription,
    known: Arc<watch::Sender<Known>>,
) {
    let me = client.pnn().0;
    while let Ok(Message { data, .. }) = subscription.recv().await {
        let Some(word) = Word::from_bytes(&data).filter(|word| word.node < participants) else {
            continue;
        };
        known.send_modify(|known| {
            known.insert((word.round, word.node), word.value);
        });
        let mine = known.borrow().get(&(word.round, me)).copied();
        if let (true, Some(value)) = (word.question, mine) {
            let answer = Word {
                node: me,
                value,
                question: false,
                ..word
            };
            // a connection that has ended is noticed by the workload
            let _ = client.message(Pnn(word.node), ADDRESS, &answer.to_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back() {
        let word = Word {
            round: 3,
            node: 2,
            value: u64::MAX - 1,
            question: true,
        };
        assert_eq!(Word::from_bytes(&word.to_bytes()), Some(word));
        assert_eq!(Word::from_bytes(&word.to_bytes()[..10]), None);
    }

    #[test]
    fn values_are_those_of_the_round_by_node() {
        let known = Known::from([((0, 1), 5), ((1, 2), 30), ((1, 0), 10), ((2, 0), 9)]);
        assert_eq!(values(&known, 1).collect::<Vec<_>>(), [10, 30]);
    }
}
