//! Loss of power under a commit, at the level of pages, with the real libtdb.
//!
//! A worker commits while strace notes what it writes to the file and when it syncs; the file is opened with NOMMAP, which
//! changes how libtdb writes (pwrite in place of a mapping), not what, nor in which order. Then the power fails after
//! each of these calls, again and again: of every page that was written since the last sync any earlier content may be on
//! the disk, each page by itself. What is there then is opened, which runs libtdb's recovery, checked and read: it has to
//! be the content before a commit or after it, and nothing before an acknowledged one.
//!
//! libtdb's recovery brings every page back that a commit has changed, and leaves alone what it has written behind the old
//! end of the file. No record is there, but libtdb's check does not pass then.
#![expect(clippy::unwrap_used, reason = "a test")]

mod power_rig;
#[expect(dead_code, reason = "parts of the rig are for other tests")]
mod workers_rig;

use power_rig::{Call, Content, Disk, Numbers, content_of};
use wire::types::{DbFlags, RecBuffer};
use workers_rig::{PERSISTENT, Rig, buffer};

/// Commits that are cut.
const COMMITS: usize = 12;
/// Outcomes tried for each moment.
const OUTCOMES: usize = 8;

/// The records of a commit: some small, some larger than a page, one that grows.
fn records(number: usize) -> RecBuffer {
    let rsn = number as u64 + 1;
    let small = format!("value {number}");
    let large = format!("{number}").repeat(3000);
    let grows = "x".repeat(700 * (number + 1));
    let new = format!("new {number}");
    buffer([
        ("small", rsn, small.as_str()),
        ("large", rsn, large.as_str()),
        ("grows", rsn, grows.as_str()),
        (new.as_str(), rsn, "only once"),
        ("__db_sequence_number__", rsn, new.as_str()),
    ])
}

/// What a worker did in all its commits, and the contents between them.
struct Recording {
    first: Vec<u8>,
    calls: Vec<Call>,
    contents: Vec<Content>,
}

async fn record() -> Option<Recording> {
    let mut rig = Rig::new(
        PERSISTENT | tdb::Flags::NOMMAP,
        ctdbd::workers::Limits::default(),
    );
    assert_eq!(rig.commit(0, &records(0), DbFlags::PERSISTENT).await, 0);
    let path = rig.tdb.path().to_owned();
    let first = std::fs::read(&path).expect("the file");
    let mut contents = vec![content_of(&rig.tdb)];
    let strace = power_rig::Strace::start(rig.workers()[0], rig.dir.path())?;
    for number in 1..=COMMITS {
        let status = rig
            .commit(number as u64, &records(number), DbFlags::PERSISTENT)
            .await;
        assert_eq!(status, 0);
        contents.push(content_of(&rig.tdb));
    }
    let calls = strace.end();
    Some(Recording {
        first,
        calls,
        contents,
    })
}

/// What came of all losses of power.
#[derive(Default)]
struct Outcomes {
    tried: usize,
    wrong: Vec<String>,
    /// Every record is right, but the file does not pass libtdb's check.
    ragged: usize,
}

fn try_all(recording: &Recording, synced: bool) -> Outcomes {
    let folder = tempfile::tempdir().expect("a folder");
    let mut numbers = Numbers(1);
    let mut disk = Disk::new(&recording.first);
    let mut acknowledged = 0;
    // of the file, before the commit
    let mut length = disk.length();
    let Outcomes {
        mut tried,
        mut wrong,
        mut ragged,
    } = Outcomes::default();
    // without syncs nothing is ever safe, and every state counts: some commits are enough
    let answers = if synced { COMMITS } else { 2 };
    for (at, call) in recording.calls.iter().enumerate() {
        if acknowledged == answers {
            break;
        }
        match call {
            Call::Answer => {
                acknowledged += 1;
                length = disk.length();
            }
            Call::Sync if !synced => {}
            call => disk.note(call),
        }
        if !synced && at % 8 != 0 {
            continue;
        }
        for _ in 0..OUTCOMES {
            tried += 1;
            let image = disk.after_power_loss(&mut numbers);
            let path = folder.path().join(format!("{tried}.tdb"));
            let allowed = &recording.contents[acknowledged..COMMITS.min(acknowledged + 1) + 1];
            match power_rig::read_again(&path, &image) {
                Ok((content, checked)) if allowed.contains(&content) => {
                    // what was half written behind the old end of the file belongs to no record
                    let grown = image.len() > length;
                    match (checked, grown) {
                        (true, _) => {}
                        (false, true) => ragged += 1,
                        (false, false) => wrong.push(format!("call {at}: check")),
                    }
                }
                Ok(_) => wrong.push(format!("call {at}: another content")),
                Err(why) => wrong.push(format!("call {at}: {why}")),
            }
            std::fs::remove_file(&path).expect("it was there");
        }
    }
    Outcomes {
        tried,
        wrong,
        ragged,
    }
}

#[tokio::test]
async fn a_commit_that_loses_power_is_there_or_not() {
    let Some(recording) = record().await else {
        return eprintln!("skipped: strace cannot be used here");
    };
    let count = |is: fn(&Call) -> bool| recording.calls.iter().filter(|call| is(call)).count();
    assert_eq!(count(|call| matches!(call, Call::Answer)), COMMITS);
    assert!(count(|call| matches!(call, Call::Sync)) >= 2 * COMMITS);
    let Outcomes {
        tried,
        wrong,
        ragged,
    } = try_all(&recording, true);
    let some = &wrong[..wrong.len().min(5)];
    assert!(wrong.is_empty(), "{} of {tried}: {some:?}", wrong.len());
    let torn = try_all(&recording, false).wrong;
    assert!(
        !torn.is_empty(),
        "without syncs nothing is torn: the test sees nothing"
    );
    println!(
        "{tried} outcomes, {ragged} with a half-written end; without syncs {} torn or lost",
        torn.len()
    );
}
