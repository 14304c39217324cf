//! The option `realtime scheduling`, which has no effect in test mode: ctdbd in its usual places, in namespaces of its
//! own. Skipped without root.
#![expect(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::process::{Command, Stdio};

/// Prints how ctdbd and its cluster manager are scheduled. All of it ends with the script.
const SCRIPT: &str = r#"
set -e
ip link set lo up
for place in /etc/ctdb /var/lib/ctdb /run/ctdb /var/log/ctdb; do
	mkdir -p $place
	mount -t tmpfs none $place
done
mkdir -p /etc/ctdb/events/legacy
mkdir /var/lib/ctdb/volatile /var/lib/ctdb/persistent /var/lib/ctdb/state
echo 127.0.0.1 > /etc/ctdb/nodes
printf '[legacy]\nrealtime scheduling = %s\n' "$WANTED" > /etc/ctdb/ctdb.conf
"$CTDBD" < /dev/null > /dev/null 2>&1
for _ in $(seq 300); do
	manager=$(pgrep -P "$(cat /run/ctdb/ctdbd.pid)" ctdb-clusterd) && break
	sleep 0.1
done
for pid in $(cat /run/ctdb/ctdbd.pid) $manager; do
	chrt -p $pid | sed -n 's/.*policy: //p'
done
"#;

fn policies(wanted: &str) -> Vec<String> {
    let output = Command::new("timeout")
        .args(["60", "unshare", "-m", "-n", "-p", "--fork", "--kill-child"])
        .args(["--mount-proc", "sh", "-c", SCRIPT])
        .env("CTDBD", env!("CARGO_BIN_EXE_ctdbd"))
        .env("WANTED", wanted)
        .env_remove("CTDB_TEST_MODE")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn ctdbd_goes_first_and_its_children_do_not() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let first = "SCHED_FIFO|SCHED_RESET_ON_FORK";
    assert_eq!(policies("true"), [first, "SCHED_OTHER"]);
    assert_eq!(policies("false"), ["SCHED_OTHER", "SCHED_OTHER"]);
}
