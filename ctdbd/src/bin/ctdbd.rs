//! `ctdbd`: the daemon of a CTDB node.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ctdbd::arguments::{self, Command, HELP};
use ctdbd::{logging, startup};

const PROGRAM: &str = "ctdbd";

fn main() -> ExitCode {
    let options = match arguments::parse(std::env::args_os().skip(1).map(lossy)) {
        Ok(Command::Run(options)) => options,
        Ok(Command::Print(text)) => return print(text, ExitCode::SUCCESS),
        Ok(Command::Extra) => return print(HELP, ExitCode::FAILURE),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    std::panic::set_hook(Box::new(|panic| {
        // a half-done step must not be seen by anybody: the supervisor starts a new daemon
        logging::complain(PROGRAM, &format!("INTERNAL ERROR: {panic}"));
        std::process::abort();
    }));
    sys::memory::keep_little();
    match startup::run(options) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            logging::complain(PROGRAM, &logging::describe(&error));
            ExitCode::from(startup::exit_status(&error))
        }
    }
}

/// No option has bytes that are not text, so such an argument is none of ours however it is shown.
fn lossy(argument: std::ffi::OsString) -> String {
    argument.to_string_lossy().into_owned()
}

fn print(text: &str, code: ExitCode) -> ExitCode {
    use std::io::Write as _;
    // a reader that has gone away has seen enough
    let _ = std::io::stdout().write_all(text.as_bytes());
    code
}
