//! The samples of real programs in `golden/*.hex`.
//!
//! Each has a comment that says who sent it, a title, and the bytes. The title names the operation,
//! and the control or message address if there is one.

/// One sample.
pub(crate) struct Sample {
    /// The file it is in.
    pub(crate) file: &'static str,
    /// What it is.
    pub(crate) title: String,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
}

macro_rules! golden {
    ($($file:literal)*) => { [$( ($file, include_str!(concat!("../golden/", $file, ".hex"))) ),*] };
}

/// All packets between clients and nodes.
pub(crate) fn packets() -> Vec<Sample> {
    read(golden! {
        "client-messages" "client-packets" "client-replies" "client-requests"
        "node-messages" "node-packets" "node-replies" "node-requests"
        "recoverd-messages" "recoverd-packets" "recoverd-replies" "recoverd-requests"
    })
}

/// All packets of the event daemon, and all backup files.
pub(crate) fn others() -> Vec<Sample> {
    read(golden! { "events" "backups" })
}

fn read<const N: usize>(files: [(&'static str, &'static str); N]) -> Vec<Sample> {
    let entries = |(file, text): (_, &'static str)| {
        text.split("\n\n")
            .filter_map(move |entry| parse(file, entry))
    };
    files.into_iter().flat_map(entries).collect()
}

fn parse(file: &'static str, entry: &str) -> Option<Sample> {
    let mut lines = entry.lines().filter(|line| !line.starts_with('#'));
    let title = lines.next()?.to_owned();
    let digits: Vec<u8> = lines.flat_map(str::bytes).filter(|b| *b != b' ').collect();
    let bytes = digits
        .chunks(2)
        .map(|pair| nibble(pair[0]) << 4 | nibble(pair[1]))
        .collect();
    Some(Sample { file, title, bytes })
}

fn nibble(digit: u8) -> u8 {
    char::from(digit).to_digit(16).expect("a hexadecimal digit") as u8
}
