//! The administrator's script that is told what became of the node: `notify.sh`, beside ctdb.conf.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use service::Milestone;
use tokio::process::Command;
use tracing::{debug, error};

use crate::logging::LogHandle;

/// Runs the script, if there is one, beside everything else.
pub(crate) fn notify(script: PathBuf, milestone: Milestone, log: &LogHandle) {
    if !is_executable(&script) {
        return debug!(script = %script.display(), "no notification script");
    }
    let mut command = Command::new(&script);
    command
        .arg(milestone.name())
        .stdin(Stdio::null())
        .stdout(log.child_output())
        .stderr(log.child_output());
    tokio::task::spawn_local(async move {
        let failed = match command.status().await {
            Ok(status) if status.success() => return,
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let (script, event) = (script.display(), milestone.name());
        error!("Notification script \"{script} {event}\" failed: {failed}");
    });
}

fn is_executable(file: &Path) -> bool {
    let metadata = std::fs::metadata(file);
    metadata.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o100 != 0)
}
