//! Real daemons. Without the test harness, since that has threads and a daemon forks.
//!
//! The program runs itself: with `DAEMONIZE_TEST` set it becomes a daemon and writes what it sees
//! to the file of that name.

use std::path::Path;
use std::process::{self, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use std::{env, fs, io};

use sys::{Detach, PidFile, daemonize};

fn main() -> io::Result<()> {
    if let Some(report) = env::var_os("DAEMONIZE_TEST") {
        return daemon(Path::new(&report));
    }
    let detached = run("session")?;
    assert_ne!(detached.session, our_session(), "a session of its own");
    assert_eq!(detached.stdin, "/dev/null");
    let forked = run("fork")?;
    assert_eq!(forked.session, our_session(), "the caller's session");
    assert!(forked.stdin.starts_with("pipe:"), "{}", forked.stdin);
    println!("daemonize: ok");
    Ok(())
}

fn daemon(report: &Path) -> io::Result<()> {
    let how = match env::var("DAEMONIZE_HOW").as_deref() {
        Ok("session") => Detach::Session,
        _ => Detach::ForkOnly,
    };
    daemonize(how)?;
    let pid_file = PidFile::create(&report.with_extension("pid")).map_err(io::Error::other)?;
    let stdin = fs::read_link("/proc/self/fd/0")?;
    let text = format!("{} {} {}", process::id(), our_session(), stdin.display());
    let unfinished = report.with_extension("new");
    fs::write(&unfinished, text)?;
    fs::rename(unfinished, report)?;
    drop(pid_file);
    Ok(())
}

struct Seen {
    session: i32,
    stdin: String,
}

/// Starts a daemon, waits for the parent's success and for the daemon's report.
fn run(how: &str) -> io::Result<Seen> {
    let dir = tempfile::tempdir()?;
    let report = dir.path().join("report");
    let mut parent = Command::new(env::current_exe()?)
        .env("DAEMONIZE_TEST", &report)
        .env("DAEMONIZE_HOW", how)
        .stdin(Stdio::piped())
        .spawn()?;
    let pid = parent.id();
    let _stdin = parent.stdin.take();
    assert!(parent.wait()?.success());
    for _ in 0..1000 {
        if report.exists() {
            break;
        }
        sleep(Duration::from_millis(10));
    }
    let text = fs::read_to_string(&report)?;
    let words: Vec<_> = text.split(' ').collect();
    let [daemon, session, stdin] = words[..] else {
        panic!("{text}");
    };
    assert_ne!(daemon, pid.to_string(), "another process than the parent");
    Ok(Seen {
        session: session.parse().map_err(io::Error::other)?,
        stdin: stdin.to_owned(),
    })
}

fn our_session() -> i32 {
    nix::unistd::getsid(None).map_or(-1, nix::unistd::Pid::as_raw)
}
