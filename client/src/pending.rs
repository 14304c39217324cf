//! The bounded table of requests that wait for a reply.

use std::collections::BTreeMap;

use wire::ReqId;

/// What waits for which request id. Ids are given in turn, so that a late reply to a request that was
/// given up does not meet a new one soon.
#[derive(Debug)]
pub struct Pending<T> {
    waiting: BTreeMap<ReqId, T>,
    next: u32,
    limit: usize,
}

impl<T> Pending<T> {
    /// A table for up to `limit` requests at a time.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            waiting: BTreeMap::new(),
            next: 1,
            limit,
        }
    }

    /// Adds a request.
    ///
    /// # Errors
    /// If the table is full, the entry comes back.
    pub fn add(&mut self, entry: T) -> Result<ReqId, T> {
        if self.waiting.len() >= self.limit {
            return Err(entry);
        }
        let mut id = ReqId(self.next);
        while self.waiting.contains_key(&id) {
            id = following(id);
        }
        self.next = following(id).0;
        self.waiting.insert(id, entry);
        Ok(id)
    }

    /// Takes a request out: it was answered or given up.
    pub fn take(&mut self, id: ReqId) -> Option<T> {
        self.waiting.remove(&id)
    }

    /// Looks at a request.
    #[must_use]
    pub fn get(&self, id: ReqId) -> Option<&T> {
        self.waiting.get(&id)
    }

    /// Takes out all, in the order of their ids.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.waiting).into_values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Request ids are positive `int`s for C (`reqid_init` with INT_MAX-200, 4.17.12) and 0 is used for
/// packets without a reply.
const fn following(id: ReqId) -> ReqId {
    const LAST: u32 = i32::MAX as u32 - 200;
    ReqId(if id.0 >= LAST { 1 } else { id.0 + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_not_used_again_at_once() {
        let mut pending = Pending::new(2);
        let first = pending.add('a').unwrap();
        assert_eq!(pending.take(first), Some('a'));
        let second = pending.add('b').unwrap();
        assert_ne!(first, second);
        assert_eq!(pending.take(first), None);
    }

    #[test]
    fn is_bounded_and_wraps_round() {
        let mut pending = Pending::new(2);
        pending.next = i32::MAX as u32 - 200;
        let last = pending.add('a').unwrap();
        assert_eq!(pending.add('b'), Ok(ReqId(1)));
        assert_eq!(pending.add('c'), Err('c'));
        pending.next = last.0;
        pending.take(ReqId(1));
        assert_eq!(pending.add('d'), Ok(ReqId(1)), "skips an id in use");
        assert_eq!(pending.drain().collect::<String>(), "da");
        assert!(pending.is_empty());
    }
}
