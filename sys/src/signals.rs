//! Signal dispositions that are set once, at start.

use std::io;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Ignores a signal. Programs that are run inherit that, except for SIGPIPE, which Rust resets.
///
/// # Errors
/// What sigaction(2) says: SIGKILL and SIGSTOP cannot be ignored.
pub fn ignore(signal: Signal) -> io::Result<()> {
    dispose(signal, SigHandler::SigIgn)
}

/// Gives a signal its default effect.
///
/// # Errors
/// What sigaction(2) says.
pub fn reset(signal: Signal) -> io::Result<()> {
    dispose(signal, SigHandler::SigDfl)
}

/// What ctdbd ignores: SIGPIPE, since it reads the error of the write, and SIGUSR1.
///
/// # Errors
/// What sigaction(2) says.
pub fn ignore_for_daemon() -> io::Result<()> {
    ignore(Signal::SIGPIPE)?;
    ignore(Signal::SIGUSR1)
}

fn dispose(signal: Signal, handler: SigHandler) -> io::Result<()> {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: neither "ignore" nor "default" runs any code of ours in a signal handler.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;

    #[test]
    fn an_ignored_signal_does_not_kill() {
        ignore(Signal::SIGUSR2).unwrap();
        raise(Signal::SIGUSR2).unwrap();
        reset(Signal::SIGUSR2).unwrap();
        assert!(ignore(Signal::SIGKILL).is_err());
    }
}
