//! What has to differ between two clusters in the same state, by name.
//!
//! A mask belongs to commands and to lines that hold a text, and hides one kind of thing behind
//! that text; all else of the line stays compared, and so does the form of what is hidden. One
//! that hides nothing in a whole run is a failure: it is no longer true.

use super::ask::Step;
use super::statistics;

/// Something that has to differ.
#[derive(Debug)]
pub(super) struct Mask {
    /// Of these commands,
    pub(super) commands: &'static [&'static str],
    /// in lines with this text,
    pub(super) behind: &'static str,
    /// the first of these behind it.
    pub(super) what: What,
    /// Why it differs.
    pub(super) why: &'static str,
}

/// Kinds of what is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// `12`, `-0.001500`: the digits behind the point are counted.
    Number,
    /// `Mon Nov 23 04:02:42 2026`
    Date,
    /// `2026/11/23 04:02:42`
    Stamp,
    /// `000 00:01:39`
    Elapsed,
    /// The order of records, each with a blank line behind it.
    Order,
    /// A memory report in the form that upstream's `debug.003.dumpmemory.sh` asks for.
    Report,
}

pub(super) const MASKS: &[Mask] = &[
    Mask {
        commands: &["status"],
        behind: "Generation:",
        what: What::Number,
        why: "a number by chance",
    },
    Mask {
        commands: &["ping"],
        behind: "time=",
        what: What::Number,
        why: "a latency",
    },
    Mask {
        commands: &["getpid"],
        behind: "",
        what: What::Number,
        why: "a process",
    },
    Mask {
        commands: &["process-exists"],
        behind: "PID ",
        what: What::Number,
        why: "the manager's process",
    },
    Mask {
        commands: &["uptime"],
        behind: "Current time of node",
        what: What::Date,
        why: "a time",
    },
    Mask {
        commands: &["uptime"],
        behind: "Ctdbd start time",
        what: What::Elapsed,
        why: "a time",
    },
    Mask {
        commands: &["uptime"],
        behind: "Ctdbd start time",
        what: What::Date,
        why: "a time",
    },
    Mask {
        commands: &["uptime"],
        behind: "Time of last recovery/failover",
        what: What::Elapsed,
        why: "a time",
    },
    Mask {
        commands: &["uptime"],
        behind: "Time of last recovery/failover",
        what: What::Date,
        why: "a time",
    },
    Mask {
        commands: &["uptime"],
        behind: "Duration of last recovery/failover: ",
        what: What::Number,
        why: "a latency",
    },
    Mask {
        commands: &["scriptstatus", "event"],
        behind: "OK         ",
        what: What::Number,
        why: "a latency",
    },
    Mask {
        commands: &["scriptstatus", "event"],
        behind: "OK         ",
        what: What::Date,
        why: "a time",
    },
    Mask {
        commands: &["restoredb", "dumpdbbackup"],
        behind: "from backup @ ",
        what: What::Stamp,
        why: "a time",
    },
    Mask {
        commands: &["catdb"],
        behind: "",
        what: What::Order,
        why: "which node answers first",
    },
    Mask {
        commands: &["dumpmemory", "rddumpmemory"],
        behind: "",
        what: What::Report,
        why: "what a program allocates is its own",
    },
];

/// A step without what has to differ, and how often each mask hid something.
pub(super) fn masked(step: &Step, used: &mut Vec<usize>) -> Step {
    used.resize(MASKS.len(), 0);
    let mut step = step.clone();
    for (mask, used) in MASKS.iter().zip(used) {
        if !mask.commands.contains(&step.command()) || !may_hide(mask, &step) {
            continue;
        }
        let lines = step.stdout.split_inclusive('\n');
        let hidden: String = match mask.what {
            What::Report => hide_report(&step.stdout),
            What::Order => in_order(&step.stdout),
            _ => lines.map(|line| hide(mask, line)).collect(),
        };
        *used += usize::from(hidden != step.stdout);
        step.stdout = hidden;
    }
    step.stdout = statistics::masked(&step);
    step
}

/// The process of `process-exists` differs only where the shell looked for it.
fn may_hide(mask: &Mask, step: &Step) -> bool {
    mask.behind != "PID " || step.line.contains("pgrep")
}

fn hide(mask: &Mask, line: &str) -> String {
    let Some(at) = line.find(mask.behind) else {
        return line.to_owned();
    };
    let (before, rest) = line.split_at(at + mask.behind.len());
    let found = (0..rest.len())
        .filter(|&start| rest.is_char_boundary(start))
        .find_map(|start| Some((start, mask.what.length(&rest[start..])?)));
    match found {
        Some((start, length)) if mask.what != What::Number || start == 0 => {
            let shape = mask.what.shape(&rest[start..start + length]);
            format!(
                "{before}{}{shape}{}",
                &rest[..start],
                &rest[start + length..]
            )
        }
        _ => line.to_owned(),
    }
}

impl What {
    /// How much of the beginning of a text is of this kind.
    fn length(self, text: &str) -> Option<usize> {
        let pattern = match self {
            Self::Number => return Some(number_length(text)).filter(|&length| length > 0),
            Self::Date => "Aaa Aaa _9 99:99:99 9999",
            Self::Stamp => "9999/99/99 99:99:99",
            Self::Elapsed => "999 99:99:99",
            Self::Order | Self::Report => return None,
        };
        fits(text, pattern).then_some(pattern.len())
    }

    /// What stands for it.
    fn shape(self, text: &str) -> String {
        match self {
            Self::Number => number_shape(text),
            _ => format!("<{self:?}>"),
        }
    }
}

/// `A` is a capital letter, `a` a small one, `9` a digit, `_` a digit or a blank.
fn fits(text: &str, pattern: &str) -> bool {
    let fits = |(byte, wanted): (u8, u8)| match wanted {
        b'A' => byte.is_ascii_uppercase(),
        b'a' => byte.is_ascii_lowercase(),
        b'9' => byte.is_ascii_digit(),
        b'_' => byte.is_ascii_digit() || byte == b' ',
        _ => byte == wanted,
    };
    text.len() >= pattern.len() && text.bytes().zip(pattern.bytes()).all(fits)
}

fn number_length(text: &str) -> usize {
    let sign = usize::from(text.starts_with('-'));
    let digits = text[sign..].find(|c: char| !c.is_ascii_digit() && c != '.');
    match digits.unwrap_or(text.len() - sign) {
        0 => 0,
        digits => sign + digits,
    }
}

/// `#`, and `#` for each digit behind the point.
pub(super) fn number_shape(number: &str) -> String {
    match number.split_once('.') {
        Some((_, fraction)) => format!("#.{}", "#".repeat(fraction.len())),
        None => "#".to_owned(),
    }
}

/// The records of a dump in their order; what stands behind them stays there.
fn in_order(text: &str) -> String {
    let (records, rest) = match text.rfind("\n\n") {
        Some(end) => text.split_at(end + 2),
        None => return text.to_owned(),
    };
    let mut records: Vec<_> = records.split_inclusive("\n\n").collect();
    records.sort_unstable();
    records.concat() + rest
}

/// A report whose every line has the form that upstream's test wants, and that has at least ten.
fn hide_report(text: &str) -> String {
    if text.lines().count() >= 10 && text.lines().all(is_report_line) {
        "<Report>\n".to_owned()
    } else {
        text.to_owned()
    }
}

/// `    NAME   contains   123 bytes in   4 blocks (ref 0) 0x1234`, `    reference to: NAME` or
/// `full talloc report on NAME (total   123 bytes in   4 blocks)`.
fn is_report_line(line: &str) -> bool {
    let words: Vec<_> = line.split_whitespace().collect();
    let number = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    let hex = |word: &str| {
        word.strip_prefix("0x")
            .is_some_and(|hex| u64::from_str_radix(hex, 16).is_ok())
    };
    let ends = |form: &str| {
        let form: Vec<_> = form.split(' ').collect();
        let fits = |(word, form): (&&str, &&str)| match *form {
            "9" => number(word),
            "9)" => word.strip_suffix(')').is_some_and(number),
            "0x" => hex(word),
            form => *word == form,
        };
        words.len() > form.len()
            && words[words.len() - form.len()..]
                .iter()
                .zip(&form)
                .all(fits)
    };
    let indented = line.starts_with([' ', '\t']);
    let part = ends("contains 9 bytes in 9 blocks (ref 9) 0x")
        || line.trim_start().starts_with("reference to: ");
    let title = line.starts_with("full talloc report on ") && ends("(total 9 bytes in 9 blocks)");
    title || (indented && part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str, stdout: &str) -> String {
        let step = Step {
            state: "up".to_owned(),
            node: 0,
            line: format!("ctdb {line}"),
            stdout: stdout.to_owned(),
            stderr: String::new(),
            status: "0".to_owned(),
        };
        masked(&step, &mut Vec::new()).stdout
    }

    #[test]
    fn what_has_to_differ_is_masked_and_nothing_else() {
        assert_eq!(shown("status", "Generation:1234\n"), "Generation:#\n");
        assert_eq!(
            shown("status", "Generation:INVALID\n"),
            "Generation:INVALID\n"
        );
        assert_eq!(shown("status", "Size:3\nLeader:0\n"), "Size:3\nLeader:0\n");
        assert_eq!(shown("getvar", "Generation:1234\n"), "Generation:1234\n");
        assert_eq!(
            shown(
                "ping -n 1",
                "response from 1 time=0.000046 sec  (2 clients)\n"
            ),
            "response from 1 time=#.###### sec  (2 clients)\n"
        );
        assert_eq!(
            shown("process-exists 1", "PID 1 exists\n"),
            "PID 1 exists\n"
        );
    }

    #[test]
    fn times_keep_their_form() {
        let line = "Ctdbd start time              : (000 00:01:39) Mon Nov  3 04:01:03 2026\n";
        assert_eq!(
            shown("uptime", line),
            "Ctdbd start time              : (<Elapsed>) <Date>\n"
        );
        let broken = "Ctdbd start time              : (0 00:01:39) Mon Nov 3 04:01:03 2026\n";
        assert_eq!(shown("uptime", broken), broken);
    }

    #[test]
    fn records_are_compared_in_any_order() {
        let [one, two] = ["key(1) = \"k\"\nrsn: 1\n\n", "key(1) = \"l\"\nrsn: 2\n\n"];
        let dumps = [[one, two], [two, one]].map(|dump| dump.concat() + "Dumped 2 records\n");
        assert_eq!(shown("catdb a", &dumps[1]), dumps[0]);
        assert_eq!(shown("cattdb a", &dumps[1]), dumps[1]);
    }

    #[test]
    fn a_memory_report_is_one_in_the_form_that_is_asked_for() {
        let line =
            "    wire::Record                contains     96 bytes in   2 blocks (ref 0) 0x0\n";
        assert_eq!(shown("dumpmemory", &line.repeat(12)), "<Report>\n");
        assert_eq!(shown("dumpmemory", line), line);
        assert!(is_report_line(
            "full talloc report on 'x' (total    360 bytes in   7 blocks)"
        ));
        assert!(!is_report_line("contains 1 bytes in 1 blocks"));
    }
}
