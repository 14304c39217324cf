//! Which packets of real programs there are samples of, and why others have none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result};
use wire::control::{self, Life};
use wire::message;

/// Where the samples are.
const FOLDER: &str = "wire/tests/golden";

const NO_REPLY: &str = "no reply is wanted";
const NOBODY: &str = "no program of 4.17 sends it";
const LONG: &str = "seen, but of over 30 KB";
const MASTER: &str = "after 4.17";
const OLD: &str = "before 4.8";
const LIBRARY: &str = "4.17 has a function for it that none of its programs calls";

/// Why a title has no sample.
const REASONS: &[(&str, &str)] = &[
    ("REPLY_CONTROL TRAVERSE_ALL", NO_REPLY),
    ("REPLY_CONTROL TRAVERSE_ALL_EXT", NO_REPLY),
    ("REPLY_CONTROL TRAVERSE_DATA", NO_REPLY),
    ("REPLY_CONTROL TRAVERSE_KILL", NO_REPLY),
    ("REPLY_CONTROL UPDATE_SEQNUM", NO_REPLY),
    ("REPLY_CONTROL STARTUP", NO_REPLY),
    ("REPLY_CONTROL TCP_ADD", NO_REPLY),
    ("REPLY_CONTROL SET_TCP_TICKLE_LIST", NO_REPLY),
    ("REPLY_CONTROL SHUTDOWN", NO_REPLY),
    ("REPLY_CONTROL DUMP_MEMORY", LONG),
    ("REPLY_CONTROL GET_STAT_HISTORY", LONG),
    ("REPLY_CONTROL PUSH_RECORD", NO_REPLY),
    ("REQ_CONTROL CHECK_SRVIDS", OLD),
    ("REPLY_CONTROL CHECK_SRVIDS", OLD),
    ("REQ_CONTROL GET_BAN_STATE", LIBRARY),
    ("REQ_CONTROL ECHO_DATA", LIBRARY),
    ("REQ_CONTROL START_PERSISTENT_UPDATE", NOBODY),
    ("REPLY_CONTROL START_PERSISTENT_UPDATE", NOBODY),
    ("REQ_CONTROL CANCEL_PERSISTENT_UPDATE", NOBODY),
    ("REPLY_CONTROL CANCEL_PERSISTENT_UPDATE", NOBODY),
    ("REQ_CONTROL DB_TRANSACTION_CANCEL", NOBODY),
    ("REPLY_CONTROL DB_TRANSACTION_CANCEL", NOBODY),
    ("REQ_CONTROL TCP_CLIENT_DISCONNECTED", MASTER),
    ("REPLY_CONTROL TCP_CLIENT_DISCONNECTED", MASTER),
    ("REQ_CONTROL TCP_CLIENT_PASSED", MASTER),
    ("REPLY_CONTROL TCP_CLIENT_PASSED", MASTER),
    ("REQ_CONTROL START_IPREALLOCATE", MASTER),
    ("REPLY_CONTROL START_IPREALLOCATE", MASTER),
    ("REQ_CONTROL PUSH_RECORD", MASTER),
    ("REQ_MESSAGE IPREALLOCATED", MASTER),
    ("REQ_MESSAGE START_IPREALLOCATE", MASTER),
    ("REQ_MESSAGE SET_NODE_FLAGS", NOBODY),
    ("REQ_MESSAGE RECD_UPDATE_IP", LIBRARY),
    ("REQ_MESSAGE VACUUM_FETCH", NOBODY),
    ("REQ_MESSAGE DETACH_DATABASE", NOBODY),
    ("REQ_MESSAGE GETLOG", NOBODY),
    ("REQ_MESSAGE CLEARLOG", NOBODY),
    ("REQ_MESSAGE RECOVERY_WANTED", NOBODY),
    ("EVENT_REQUEST SCRIPT", NOBODY),
];

/// The files that have a sample of each title.
type Known = BTreeMap<String, BTreeSet<String>>;

/// A line for each control, message, and command of the event daemon.
pub(super) fn table() -> Result<String> {
    let known = known()?;
    let mut text = String::from("| | request or message | reply |\n|---|---|---|\n");
    let live = control::TABLE.iter().filter(|info| info.life == Life::Live);
    for info in live {
        let (request, reply) = (
            of(&known, &format!("REQ_CONTROL {}", info.name)),
            of(&known, &format!("REPLY_CONTROL {}", info.name)),
        );
        text += &format!("| {} {} | {request} | {reply} |\n", info.opcode, info.name);
    }
    for info in message::TABLE {
        let sample = of(&known, &format!("REQ_MESSAGE {}", info.name));
        text += &format!("| message {} | {sample} | |\n", info.name);
    }
    for command in ["RUN", "STATUS", "SCRIPT"] {
        let (request, reply) = (
            of(&known, &format!("EVENT_REQUEST {command}")),
            of(&known, &format!("EVENT_REPLY {command}")),
        );
        text += &format!("| event daemon {command} | {request} | {reply} |\n");
    }
    Ok(text)
}

/// Who sent the sample that there is, or why there is none.
fn of(known: &Known, title: &str) -> String {
    if let Some(files) = known.get(title) {
        return files.iter().cloned().collect::<Vec<_>>().join(", ");
    }
    let reason = REASONS.iter().find(|(reason, _)| *reason == title);
    match reason {
        Some((_, why)) => format!("none: {why}"),
        None => "none yet".to_owned(),
    }
}

fn known() -> Result<Known> {
    let mut known = Known::new();
    for entry in fs::read_dir(FOLDER).context(FOLDER)? {
        let path = entry?.path();
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let file = path.file_stem().unwrap_or_default().to_string_lossy();
        let sender = file.split('-').next().unwrap_or_default();
        let titles = text
            .split("\n\n")
            .filter_map(|sample| sample.lines().find(|line| !line.starts_with('#')));
        for title in titles {
            known
                .entry(title.trim_end_matches(" unpadded").to_owned())
                .or_default()
                .insert(sender.to_owned());
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_only_for_what_is_missing() {
        crate::step::enter_project().unwrap();
        let known = known().unwrap();
        for (title, _) in REASONS {
            assert!(!known.contains_key(*title), "{title} has a sample");
        }
        assert!(of(&known, "REQ_CONTROL PING").contains("client"));
        assert_eq!(
            of(&known, "REPLY_CONTROL TCP_ADD"),
            format!("none: {NO_REPLY}")
        );
    }
}
