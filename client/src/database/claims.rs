//! Which records this process works on. libtdb counts the locks of a process and excludes only others,
//! so tasks of one process take turns here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};
use wire::Pnn;

use super::open::Deadline;
use crate::error::{Error, Result};

/// By key: a lock that is given in the order of asking. Those that nobody has or wants are removed.
pub(super) type Claims = RefCell<BTreeMap<Box<[u8]>, Arc<Mutex<()>>>>;

/// A record that is this task's until this is dropped.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    claims: &'a Claims,
    key: &'a [u8],
    turn: Option<OwnedMutexGuard<()>>,
}

/// Waits until no other task has the record.
pub(super) async fn claim<'a>(
    claims: &'a Claims,
    key: &'a [u8],
    deadline: Deadline,
    node: Pnn,
) -> Result<Claim<'a>> {
    const NAME: &str = "lock_record";
    let mutex = claims.borrow_mut().entry(key.into()).or_default().clone();
    // made before waiting, so that it cleans up if that is given up
    let turn = None;
    let mut claim = Claim { claims, key, turn };
    let left = deadline.left(NAME, node)?;
    let turn = tokio::time::timeout(left, mutex.lock_owned()).await;
    claim.turn = Some(turn.map_err(|_| Error::TimedOut {
        name: NAME,
        destination: node,
    })?);
    Ok(claim)
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        drop(self.turn.take());
        let mut claims = self.claims.borrow_mut();
        if claims
            .get(self.key)
            .is_some_and(|mutex| Arc::strong_count(mutex) == 1)
        {
            claims.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn tasks_take_turns_at_a_record_and_not_at_others() {
        let claims = Claims::default();
        take_turns(&claims).await;
        assert!(claims.into_inner().is_empty());
    }

    async fn take_turns(claims: &Claims) {
        let take = |key: &'static [u8], limit| claim(claims, key, Deadline::after(limit), Pnn(0));
        let first = take(b"a", LONG).await.unwrap();
        drop(take(b"b", LONG).await.unwrap());
        let refused = take(b"a", Duration::from_millis(10)).await;
        assert!(matches!(refused, Err(Error::TimedOut { .. })));
        let order = RefCell::new(Vec::new());
        let second = async |number| {
            let _claim = take(b"a", LONG).await.unwrap();
            order.borrow_mut().push(number);
            tokio::task::yield_now().await;
        };
        let release = async {
            tokio::task::yield_now().await;
            order.borrow_mut().push(0);
            drop(first);
        };
        tokio::join!(second(1), second(2), second(3), release);
        assert_eq!(order.into_inner(), [0, 1, 2, 3]);
    }
}
