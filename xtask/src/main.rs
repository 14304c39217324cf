//! The project's own commands: `cargo xtask COMMAND`.
//!
//! This package stands on nothing that has to be installed first (no libtdb, no bindgen), because
//! it is what installs it.
#![forbid(unsafe_code)]

mod bench;
mod ci;
mod compat;
mod demo;
mod fuzz;
mod headers;
mod library;
mod package;
mod setup;
mod sim;
mod step;
mod test;
mod tidy;
mod upstream;
mod wire_page;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what is needed to build, and by default to run the tests and the demo too.
    Setup {
        /// Only what is needed to build.
        #[arg(long, conflicts_with_all = ["test", "demo"])]
        build: bool,
        /// What is needed to build and to test.
        #[arg(long)]
        test: bool,
        /// What is needed to build and for the demo.
        #[arg(long)]
        demo: bool,
    },
    /// Build, and lay out below a directory what a package would install.
    Install {
        /// The directory.
        #[arg(long)]
        root: PathBuf,
        /// Build without optimization.
        #[arg(long)]
        debug: bool,
    },
    /// Run all tests; those with a real Samba need root.
    Test {
        /// Leave out the tests with a real Samba.
        #[arg(long)]
        quick: bool,
    },
    /// Show a cluster of three nodes with smbd on each; without root, ctdbd alone.
    Demo {
        /// End after the demonstration instead of staying until Ctrl-C.
        #[arg(long)]
        once: bool,
    },
    /// Measure our daemon, with `--against PATH` beside the C one: a table, `--json`, `--svg`.
    #[command(disable_help_flag = true)]
    Bench {
        /// The options of `compat bench`; `--help` among them lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// Kill daemons and nodes in a row, under load: `--kills 50 --against-c`.
    #[command(disable_help_flag = true)]
    Deaths {
        /// The options of `compat kills`; `--help` among them lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// Faults of daemons, nodes, cables and disks by chance, under load: `--nodes 5 --seed 7`, `--manager etcd`, `--against-c`.
    #[command(disable_help_flag = true)]
    Faults {
        /// The options of `compat faults`; `--help` among them lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// A cluster of C nodes under load, each replaced by ours and by C again.
    #[command(disable_help_flag = true)]
    Rolling {
        /// The options of `compat rolling`; `--help` among them lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// An hour of work with smbd and every kind of client, while something happens every half a minute: `--minutes 60`.
    #[command(disable_help_flag = true)]
    Soak {
        /// The options of `compat soak`; `--help` among them lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// Malformed packets by the ten thousand, from clients and from a node, under load.
    #[command(disable_help_flag = true)]
    Hostile {
        /// The options of `compat hostile`; `--help` among them lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// Play simulated clusters with faults, for many seeds: none may break a rule.
    Sim {
        /// How many seeds.
        #[arg(long, default_value_t = sim::SEEDS)]
        seeds: u64,
        /// 50,000 seeds.
        #[arg(long, conflicts_with = "seeds")]
        long: bool,
        /// Further options of `sim`; `--help` among them lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// Run upstream's own test scripts, `--tests DIR`, against our programs.
    Upstream(upstream::Plan),
    /// Check what no other tool checks: licences, borders of the crates, sizes, words.
    Tidy,
    /// Write COMPAT.md: what of upstream is there.
    Compat {
        /// Only say whether it is current.
        #[arg(long)]
        check: bool,
    },
    /// Write the C headers that are made of code, in include/.
    Headers {
        /// Only say whether they are current.
        #[arg(long)]
        check: bool,
    },
    /// Write the parts of docs/wire.md that are made of the tables in the code.
    Wire {
        /// Only say whether they are current.
        #[arg(long)]
        check: bool,
    },
    /// Try to break whatever takes bytes from outside, with libFuzzer.
    Fuzz {
        /// For how many seconds in all; what is more exposed has more of them.
        #[arg(long, default_value_t = 120)]
        seconds: u64,
        /// Only this target; may be repeated.
        #[arg(long = "target", value_name = "TARGET")]
        targets: Vec<String>,
        /// Keep what was found worth it in fuzz/corpus.
        #[arg(long)]
        keep: bool,
    },
    /// Everything that has to pass before a change goes in.
    Ci,
}

fn main() -> Result<ExitCode> {
    step::enter_project()?;
    let well = match Cli::parse().command {
        Command::Setup {
            build,
            test: _,
            demo: _,
        } => {
            let purpose = if build {
                setup::Purpose::Build
            } else {
                setup::Purpose::Run
            };
            setup::run(purpose)?
        }
        Command::Install { root, debug } => package::install(&root, debug).map(|()| true)?,
        Command::Test { quick } => test::run(quick)?,
        Command::Demo { once } => demo::run(once)?,
        Command::Bench { options } => bench::run("bench", &options)?,
        Command::Deaths { options } => bench::run("kills", &options)?,
        Command::Faults { options } => bench::run("faults", &options)?,
        Command::Rolling { options } => bench::run("rolling", &options)?,
        Command::Soak { options } => bench::run("soak", &options)?,
        Command::Hostile { options } => bench::run("hostile", &options)?,
        Command::Sim {
            seeds,
            long,
            options,
        } => sim::run(if long { sim::LONG } else { seeds }, &options)?,
        Command::Upstream(plan) => upstream::run(&plan)?,
        Command::Tidy => tidy::run()?,
        Command::Compat { check } => compat::run(check)?,
        Command::Headers { check } => headers::run(check)?,
        Command::Wire { check } => wire_page::run(check)?,
        Command::Fuzz {
            seconds,
            targets,
            keep,
        } => fuzz::run(&fuzz::Plan {
            seconds,
            targets,
            keep,
        })?,
        Command::Ci => ci::run()?,
    };
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The names of all commands, for the check that documents speak of no others.
fn command_names() -> Vec<String> {
    let cli = <Cli as clap::CommandFactory>::command();
    cli.get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect()
}
