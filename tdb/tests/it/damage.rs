//! Damaged files: an error, never a crash, and never a wiped database.

use std::{fs, ops::ControlFlow, path::Path};

use proptest::{collection::vec, prelude::*, sample::Index};
use tdb::{Error, Flags, OpenOptions, StoreMode, Tdb};

use crate::{FCNTL, Fixture, kinds, options, peer::Peer};

const PERSISTENT: Flags = Flags::CTDB_PERSISTENT;
/// The magic of a live record, as stored on a little-endian machine (tdb_private.h, 1.4.8).
const RECORD_MAGIC: [u8; 4] = 0x2601_1999_u32.to_ne_bytes();

fn sample(fixture: &Fixture) -> Vec<u8> {
    let tdb = fixture.open(PERSISTENT);
    for i in 0..40_u8 {
        tdb.store(&[b'k', i], &[i; 200], StoreMode::Replace)
            .unwrap();
    }
    drop(tdb);
    fs::read(fixture.path()).unwrap()
}

fn open_error(path: &Path, flags: Flags) -> Error {
    Tdb::open(path, &options(flags)).map(drop).unwrap_err()
}

#[test]
fn a_file_of_something_else_is_left_alone() {
    let fixture = Fixture::new();
    let whole = sample(&fixture);
    let foreign = vec![b'x'; 10_000];
    let mut versionless = whole.clone();
    versionless[32..36].fill(0xff);
    for content in [&foreign, &versionless, &whole[..100].to_vec(), &vec![0]] {
        fs::write(fixture.path(), content).unwrap();
        let error = open_error(&fixture.path(), PERSISTENT);
        assert!(error.is_corruption(), "{error}");
        assert_eq!(&fs::read(fixture.path()).unwrap(), content);
    }
}

#[test]
fn clear_if_first_clears_anything() {
    let fixture = Fixture::new();
    for flags in kinds()
        .into_iter()
        .filter(|flags| flags.contains(Flags::CLEAR_IF_FIRST))
    {
        fs::write(fixture.path(), [b'x'; 10_000]).unwrap();
        let tdb = fixture.open(flags);
        tdb.store(b"key", b"value", StoreMode::Insert).unwrap();
        tdb.check().unwrap();
        assert_eq!(tdb.flags() & flags, flags);
    }
}

#[test]
fn an_empty_file_is_a_new_database() {
    let fixture = Fixture::new();
    fs::write(fixture.path(), b"").unwrap();
    let strict = OpenOptions {
        create: false,
        ..options(PERSISTENT)
    };
    assert!(
        Tdb::open(fixture.path(), &strict)
            .unwrap_err()
            .is_corruption()
    );
    fixture.open(PERSISTENT).check().unwrap();
}

#[test]
fn a_live_database_with_a_broken_header_is_not_formatted() {
    let fixture = Fixture::new();
    let mut peer = Peer::start(&fixture.path(), FCNTL);
    assert_eq!(peer.ask("store key value"), "ok");
    let mut content = fs::read(fixture.path()).unwrap();
    content[0] = b'?';
    fs::write(fixture.path(), &content).unwrap();
    // Truncating rewrote the file under the peer; what matters is that opening does not.
    assert!(open_error(&fixture.path(), FCNTL).is_corruption());
    assert_eq!(fs::read(fixture.path()).unwrap(), content);
    assert_eq!(peer.ask("fetch key"), "value");
}

#[test]
fn a_hash_table_that_does_not_fit() {
    let fixture = Fixture::new();
    let whole = sample(&fixture);
    for hash_size in [0_u32, 1 << 20, u32::MAX] {
        let mut content = whole.clone();
        content[36..40].copy_from_slice(&hash_size.to_ne_bytes());
        fs::write(fixture.path(), &content).unwrap();
        let error = open_error(&fixture.path(), PERSISTENT);
        assert!(error.is_corruption(), "{error}");
    }
}

#[test]
fn a_record_without_magic() {
    let fixture = Fixture::new();
    let mut content = sample(&fixture);
    for at in 0..content.len() - 4 {
        if content[at..at + 4] == RECORD_MAGIC {
            content[at..at + 4].fill(0);
        }
    }
    fs::write(fixture.path(), &content).unwrap();
    let tdb = fixture.open(PERSISTENT);
    let errors = [
        tdb.fetch(b"k\x01").map(drop).unwrap_err(),
        tdb.parse(b"k\x01", |_| ()).map(drop).unwrap_err(),
        tdb.exists(b"k\x01").map(drop).unwrap_err(),
        tdb.check().unwrap_err(),
    ];
    for error in errors {
        assert!(error.is_corruption(), "{error}");
        assert!(!error.context().detail.is_empty());
    }
    let visit = tdb.traverse(|_, _| ControlFlow::Continue(()));
    assert!(visit.unwrap_err().is_corruption());
}

#[test]
fn a_file_cut_short() {
    let fixture = Fixture::new();
    let whole = sample(&fixture);
    fs::write(fixture.path(), &whole[..4096]).unwrap();
    let tdb = fixture.open(PERSISTENT);
    let fetched: Vec<_> = (0..40_u8).map(|i| tdb.fetch(&[b'k', i])).collect();
    assert!(
        fetched
            .iter()
            .flatten()
            .flatten()
            .all(|value| value.len() == 200)
    );
    let errors: Vec<_> = fetched.into_iter().filter_map(Result::err).collect();
    assert!(!errors.is_empty());
    assert!(errors.iter().all(Error::is_corruption), "{errors:?}");
    assert!(tdb.check().unwrap_err().is_corruption());
}

#[test]
fn a_chain_in_a_loop() {
    let fixture = Fixture::new();
    let mut content = sample(&fixture);
    let first = content.windows(4).position(|word| word == RECORD_MAGIC);
    // A record begins with its `next`; its magic is the sixth word.
    let record = first.unwrap() - 20;
    let itself = u32::try_from(record).unwrap().to_ne_bytes();
    content[record..record + 4].copy_from_slice(&itself);
    fs::write(fixture.path(), &content).unwrap();
    let tdb = fixture.open(PERSISTENT);
    let errors = (0..=255_u8).filter_map(|i| tdb.fetch(&[b'k', i]).err());
    assert!(errors.map(|error| assert!(error.is_corruption())).count() > 0);
    assert!(tdb.check().unwrap_err().is_corruption());
}

#[test]
fn a_free_list_in_a_loop() {
    /// Where the header keeps the offset of the first free record (tdb_private.h, 1.4.8).
    const FREELIST_TOP: usize = 168;
    let fixture = Fixture::new();
    let mut content = sample(&fixture);
    let first: [u8; 4] = content[FREELIST_TOP..FREELIST_TOP + 4].try_into().unwrap();
    let record = u32::from_ne_bytes(first) as usize;
    content[record..record + 4].copy_from_slice(&first);
    fs::write(fixture.path(), &content).unwrap();
    let tdb = fixture.open(PERSISTENT);
    assert!(tdb.validate_freelist().unwrap_err().is_corruption());
    assert!(tdb.freelist_size().unwrap_err().is_corruption());
    assert!(tdb.check().unwrap_err().is_corruption());
    let large = tdb.store(b"large", &[0; 100_000], StoreMode::Replace);
    assert!(large.unwrap_err().is_corruption());
}

/// Everything that reads, and some that writes: only the absence of a crash is asked for.
fn use_everything(tdb: &Tdb) {
    for i in 0..40_u8 {
        let _ = tdb.fetch(&[b'k', i]);
        let _ = tdb.store(&[b'k', i], &[0; 300], StoreMode::Replace);
        let _ = tdb.delete(&[b'k', i.wrapping_add(9)]);
    }
    let mut shown = 0;
    let _ = tdb.traverse(|_, _| {
        shown += 1;
        match shown > 1000 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    let _ = (tdb.check(), tdb.freelist_size(), tdb.summary());
    if tdb.begin().is_ok() {
        let _ = tdb.store(b"new", &[1; 500], StoreMode::Replace);
        let _ = tdb.commit();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_damage_is_survived(
        places in vec((any::<Index>(), any::<u8>()), 1..30),
        cut in any::<Index>(),
        cutting in proptest::bool::weighted(0.2),
    ) {
        let fixture = Fixture::new();
        let mut content = sample(&fixture);
        for (place, byte) in places {
            let at = place.index(content.len());
            content[at] = byte;
        }
        if cutting {
            content.truncate(cut.index(content.len()));
        }
        fs::write(fixture.path(), &content).unwrap();
        match Tdb::open(fixture.path(), &options(PERSISTENT)) {
            Ok(tdb) => use_everything(&tdb),
            Err(error) => assert_eq!(fs::read(fixture.path()).unwrap(), content, "{error}"),
        }
    }
}
