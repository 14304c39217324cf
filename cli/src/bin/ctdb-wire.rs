//! `ctdb-wire`: prints CTDB's packets from a capture.
#![forbid(unsafe_code)]

use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use cli::dissect::{self, Format, Protocol, Streams, Style, What};

/// Prints CTDB's packets from a pcap, from what `strace -xx -s 1000000` wrote, or from hex.
///
/// Replies to controls are read with the help of the request, so capture both ways.
#[derive(Debug, Parser)]
#[command(name = "ctdb-wire", version)]
struct Arguments {
    /// The capture; "-" or nothing is standard input.
    file: Option<PathBuf>,
    /// What it is, if that is not seen.
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// Every field on a line of its own.
    #[arg(short, long, conflicts_with = "json")]
    verbose: bool,
    /// One JSON object in a line for each packet.
    #[arg(long)]
    json: bool,
    /// The packets are those of the event daemon's socket.
    #[arg(long)]
    event: bool,
    /// The TCP port of the nodes.
    #[arg(long, default_value_t = 4379)]
    port: u16,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatName {
    Pcap,
    Strace,
    Hex,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Pcap => Self::Pcap,
            FormatName::Strace => Self::Strace,
            FormatName::Hex => Self::Hex,
        }
    }
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let input = input(arguments.file.as_deref())?;
    let format = arguments
        .format
        .map_or_else(|| dissect::guess(&input), Format::from);
    let chunks = dissect::read(format, &input, arguments.port)?;
    let style = match (arguments.json, arguments.verbose) {
        (true, _) => Style::Json,
        (_, true) => Style::Full,
        _ => Style::Line,
    };
    let protocol = if arguments.event {
        Protocol::Event
    } else {
        Protocol::Ctdb
    };
    let mut streams = Streams::new(protocol);
    let mut text = String::new();
    let mut malformed = false;
    for chunk in chunks {
        streams.take(chunk, |seen| {
            // most of what strace sees is none of ours
            if seen.what == What::Skipped && style == Style::Line {
                return;
            }
            malformed |= matches!(seen.what, What::Malformed(..));
            text += &dissect::print(&seen, style);
            text.push('\n');
        });
    }
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    Ok(ExitCode::from(u8::from(malformed)))
}

fn input(file: Option<&Path>) -> Result<Vec<u8>> {
    match file {
        Some(file) if file != Path::new("-") => {
            std::fs::read(file).with_context(|| file.display().to_string())
        }
        _ => {
            let mut input = Vec::new();
            std::io::stdin()
                .read_to_end(&mut input)
                .context("standard input")?;
            Ok(input)
        }
    }
}
