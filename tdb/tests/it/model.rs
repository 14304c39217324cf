//! Random operations on a database and on an ordered map, which must agree. `tdb_repack` is not among them: among
//! wipes and transactions libtdb's lets the file grow until it has the 4 GiB that it can have, one time in thousands.

use std::{collections::BTreeMap, ops::ControlFlow};

use proptest::{collection::vec, prelude::*};
use tdb::{Error, Flags, StoreMode, Tdb};

use crate::{Fixture, kinds};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Store(Vec<u8>, Vec<u8>, StoreMode),
    Delete(Vec<u8>),
    Fetch(Vec<u8>),
    Begin,
    Commit,
    Cancel,
    Wipe,
    Reopen,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(0..4_u8, 0..3)
}

fn step() -> impl Strategy<Value = Step> {
    let mode = prop_oneof![
        Just(StoreMode::Replace),
        Just(StoreMode::Insert),
        Just(StoreMode::Modify)
    ];
    prop_oneof![
        12 => (key(), vec(any::<u8>(), 0..600), mode).prop_map(|(k, v, m)| Step::Store(k, v, m)),
        6 => key().prop_map(Step::Delete),
        6 => key().prop_map(Step::Fetch),
        2 => Just(Step::Begin),
        2 => Just(Step::Commit),
        1 => Just(Step::Cancel),
        1 => Just(Step::Wipe),
        1 => Just(Step::Reopen),
    ]
}

/// The database, what it should hold, and what it held when the open transaction began.
struct Pair {
    fixture: Fixture,
    flags: Flags,
    tdb: Option<Tdb>,
    map: Map,
    before: Option<Map>,
}

impl Pair {
    fn new(flags: Flags) -> Self {
        let fixture = Fixture::new();
        let tdb = Some(fixture.open(flags));
        Self {
            fixture,
            flags,
            tdb,
            map: Map::new(),
            before: None,
        }
    }

    fn tdb(&self) -> &Tdb {
        self.tdb.as_ref().unwrap()
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Store(key, value, mode) => self.store(key, value, mode),
            Step::Delete(key) => {
                let there = self.map.remove(&key).is_some();
                assert_eq!(self.tdb().delete(&key).unwrap(), there);
            }
            Step::Fetch(key) => {
                assert_eq!(self.tdb().fetch(&key).unwrap().as_ref(), self.map.get(&key));
                assert_eq!(
                    self.tdb().exists(&key).unwrap(),
                    self.map.contains_key(&key)
                );
            }
            Step::Begin if self.before.is_none() => {
                self.tdb().begin().unwrap();
                self.before = Some(self.map.clone());
            }
            Step::Commit if self.before.take().is_some() => self.tdb().commit().unwrap(),
            Step::Begin => assert!(matches!(self.tdb().begin(), Err(Error::Nesting(_)))),
            Step::Commit => assert!(matches!(self.tdb().commit(), Err(Error::Invalid(_)))),
            Step::Cancel => match self.before.take() {
                Some(before) => {
                    self.tdb().cancel().unwrap();
                    self.map = before;
                }
                None => assert!(self.tdb().cancel().is_err()),
            },
            Step::Wipe => {
                self.tdb().wipe_all().unwrap();
                self.map.clear();
            }
            Step::Reopen => self.reopen(),
        }
    }

    fn store(&mut self, key: Vec<u8>, value: Vec<u8>, mode: StoreMode) {
        let (head, tail) = value.split_at(value.len() / 2);
        let outcome = self.tdb().storev(&key, &[head, tail], mode);
        match (mode, self.map.contains_key(&key)) {
            (StoreMode::Insert, true) => assert!(matches!(outcome, Err(Error::Exists(_)))),
            (StoreMode::Modify, false) => assert!(matches!(outcome, Err(Error::NoExist(_)))),
            _ => {
                outcome.unwrap();
                self.map.insert(key, value);
            }
        }
    }

    /// Closing cancels; the first opener with CLEAR_IF_FIRST clears.
    fn reopen(&mut self) {
        self.tdb = None;
        if let Some(before) = self.before.take() {
            self.map = before;
        }
        if self.flags.contains(Flags::CLEAR_IF_FIRST) {
            self.map.clear();
        }
        self.tdb = Some(self.fixture.open(self.flags));
    }

    fn compare(&self) {
        let mut found = Map::new();
        let count = self.tdb().traverse_read(|key, value| {
            found.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        });
        assert_eq!(count.unwrap(), found.len());
        assert_eq!(found, self.map);
        self.tdb().check().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_database_is_an_ordered_map(steps in vec(step(), 1..120)) {
        for flags in kinds() {
            let mut pair = Pair::new(flags | Flags::NOSYNC);
            for step in steps.clone() {
                pair.apply(step);
            }
            pair.compare();
        }
    }
}
