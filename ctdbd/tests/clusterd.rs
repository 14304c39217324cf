//! `ctdb-clusterd` as a process, with a ctdbd that only takes and answers its controls.
#![expect(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use client::link::{self, Incoming, Outgoing};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::UnixListener;
use tokio::process::{Child, ChildStdin, Command};
use wire::coding::Encode;
use wire::control::{Control, GetDebug, RegisterSrvid};
use wire::packet::{Body, ControlFlags, Header, Packet, ReplyControl};
use wire::{Pnn, Srvid};

const LIMIT: Duration = Duration::from_secs(30);

/// A node's folder, the process, and ctdbd's end of its connection.
struct Rig {
    base: tempfile::TempDir,
    process: Child,
    stdin: Option<ChildStdin>,
    incoming: Incoming,
    outgoing: Outgoing,
}

impl Rig {
    async fn start() -> Self {
        let base = tempfile::tempdir().unwrap();
        let socket = base.path().join("socket");
        let log = base.path().join("log");
        let listener = UnixListener::bind(&socket).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_ctdb-clusterd"))
            .args(["--pnn", "5", "--socket"])
            .arg(&socket)
            .env("CTDB_TEST_MODE", "yes")
            .env("CTDB_BASE", base.path())
            .env("CTDB_LOGGING", format!("file:{}", log.display()))
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdin = process.stdin.take();
        let connection = tokio::time::timeout(LIMIT, listener.accept()).await;
        let (stream, _) = connection.expect("it does not connect").unwrap();
        let (outgoing, incoming) = link::open(stream, usize::MAX).unwrap();
        Self {
            base,
            process,
            stdin,
            incoming,
            outgoing,
        }
    }

    /// Answers controls with success, until this SRVID is registered and the debug level was asked.
    async fn serve_until_registered(&mut self, srvid: Srvid) {
        let (mut registered, mut asked) = (false, false);
        while !(registered && asked) {
            let bytes = tokio::time::timeout(LIMIT, self.incoming.next()).await;
            let bytes = bytes.expect("it says nothing").unwrap();
            let Packet { header, body } = Packet::decode(&bytes).unwrap();
            assert_eq!(header.source, Pnn(5));
            let Body::ReqControl(control) = body else {
                continue;
            };
            registered |= control.opcode == RegisterSrvid::OPCODE && control.srvid == srvid;
            asked |= control.opcode == GetDebug::OPCODE;
            if !control.flags.contains(ControlFlags::NOREPLY) {
                self.answer(header, control.opcode);
            }
        }
    }

    fn answer(&self, header: Header, opcode: u32) {
        let level = 10i32.to_bytes();
        let data = if opcode == GetDebug::OPCODE {
            &level[..]
        } else {
            &[]
        };
        let body = Body::ReplyControl(ReplyControl {
            status: 0,
            data,
            error: b"",
        });
        self.outgoing.send(&Packet { header, body }).unwrap();
    }

    fn log(&self) -> PathBuf {
        self.base.path().join("log")
    }
}

async fn exit(process: &mut Child) -> ExitStatus {
    let status = tokio::time::timeout(LIMIT, process.wait()).await;
    status.expect("it goes on").unwrap()
}

#[tokio::test]
async fn it_ends_with_ctdbd() {
    let mut rig = Rig::start().await;
    rig.serve_until_registered(Srvid::LEADER).await;
    drop(rig.stdin.take());
    assert_eq!(exit(&mut rig.process).await.code(), Some(0));
    let log = std::fs::read_to_string(rig.log()).unwrap();
    assert!(log.contains(" ctdb-clusterd["), "{log}");
}

#[tokio::test]
async fn it_ends_when_it_is_told() {
    let mut rig = Rig::start().await;
    rig.serve_until_registered(Srvid::LEADER).await;
    let pid = Pid::from_raw(rig.process.id().unwrap().cast_signed());
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(exit(&mut rig.process).await.code(), Some(0));
}

#[tokio::test]
async fn a_lost_connection_is_a_failure() {
    let rig = Rig::start().await;
    let Rig {
        mut process,
        incoming,
        outgoing,
        ..
    } = rig;
    drop((incoming, outgoing));
    assert_eq!(exit(&mut process).await.code(), Some(1));
}

#[tokio::test]
async fn a_wrong_command_line_is_refused() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_ctdb-clusterd"))
        .arg("--what")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(exit(&mut process).await.code(), Some(1));
}
