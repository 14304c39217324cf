//! `ctdbd`: the daemon of a CTDB node.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ctdbd::startup::{self, Options};

const HELP: &str = "\
Usage: [OPTION...]
  -i, --interactive     don't fork, log to stderr

Help options:
  -?, --help            Show this help message
      --usage           Display brief usage message
";
const USAGE: &str = "Usage: [-?i] [-?|--help] [--usage] [-i|--interactive]\n";

fn main() -> ExitCode {
    let mut options = Options::default();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "-i" | "--interactive" => options.interactive = true,
            "-?" | "--help" => return print(HELP, ExitCode::SUCCESS),
            "--usage" => return print(USAGE, ExitCode::SUCCESS),
            option if option.starts_with('-') => {
                eprintln!("Invalid option {option}: unknown option");
                return ExitCode::FAILURE;
            }
            _ => return print(HELP, ExitCode::FAILURE),
        }
    }
    std::panic::set_hook(Box::new(|panic| {
        // a half-done step must not be seen by anybody: the supervisor starts a new daemon
        tracing::error!("INTERNAL ERROR: {panic}");
        eprintln!("ctdbd: INTERNAL ERROR: {panic}");
        std::process::abort();
    }));
    match startup::run(options) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            tracing::error!("{error:#}");
            eprintln!("ctdbd: {error:#}");
            ExitCode::from(startup::exit_status(&error))
        }
    }
}

fn print(text: &str, code: ExitCode) -> ExitCode {
    print!("{text}");
    code
}
