//! What has to differ in `statistics`, `stats` and `dbstatistics`: counters by their names.

use super::ask::Step;
use super::mask::number_shape;

/// The state in which the counters began at zero, and no recovery came between.
pub(super) const COUNTED: &str = "counted";
/// Counters that differ always, and why.
const ALWAYS: &[(&str, &str)] = &[
    ("client_packets_sent", "grows with time"),
    ("client_packets_recv", "grows with time"),
    ("node_packets_sent", "grows with time"),
    ("node_packets_recv", "grows with time"),
    ("keepalive_packets_sent", "grows with time"),
    ("keepalive_packets_recv", "grows with time"),
    ("node.req_message", "the leader's broadcasts"),
    ("client.req_message", "the leader's broadcasts"),
    ("node.req_control", "how often managers ask"),
    ("node.reply_control", "how often managers ask"),
    ("client.req_control", "how often managers ask"),
    ("memory_used", "what a program allocates is its own"),
];
/// Counters that differ, but for [`COUNTED`]: how many recoveries it took to come to a state.
const RECOVERIES: &[&str] = &[
    "num_recoveries",
    "locks.num_calls",
    "num_reclock_ctdbd_latency",
    "num_reclock_recd_latency",
    "num_lockwait_latency",
];
/// The commands, by the form of what they print.
const COMMANDS: [&str; 3] = ["statistics", "stats", "dbstatistics"];
/// What the line of a hot key has: how often it migrated within a second.
const HOT: &str = "     Count:";
/// The lines of latencies that count what recoveries do.
const RECOVERY_LATENCIES: [&str; 3] = ["locks_latency", "reclock_ctdbd", "reclock_recd"];

/// Standard output without what has to differ.
pub(super) fn masked(step: &Step) -> String {
    let counted = step.state == COUNTED;
    if !COMMANDS.contains(&step.command()) {
        step.stdout.clone()
    } else if step.line.contains("-X") || step.line.contains("-Y") {
        by_columns(&step.stdout, counted)
    } else {
        by_lines(&step.stdout, counted)
    }
}

fn differs(name: &str, counted: bool) -> bool {
    ALWAYS.iter().any(|(always, _)| *always == name) || (!counted && RECOVERIES.contains(&name))
}

/// A header of names, and lines of values.
fn by_columns(text: &str, counted: bool) -> String {
    let Some((header, values)) = text.split_once('\n') else {
        return text.to_owned();
    };
    let names: Vec<_> = header.split('|').collect();
    let is_latency = |name: &str| {
        name.ends_with("_latency") && ["min_", "avg_", "max_"].iter().any(|p| name.starts_with(p))
    };
    let hide = |(value, name): (&str, &&str)| {
        let time = name.contains("tatistics");
        let hidden = time || is_latency(name) || differs(name, counted);
        if hidden {
            number_shape(value)
        } else {
            value.to_owned()
        }
    };
    let mut shown = format!("{header}\n");
    for line in values.lines() {
        let values: Vec<_> = line.split('|').zip(&names).map(hide).collect();
        shown += &values.join("|");
        shown.push('\n');
    }
    shown
}

/// A line for each counter; those of a section are indented below its name.
fn by_lines(text: &str, counted: bool) -> String {
    let mut section = "";
    let mut shown = String::new();
    let (hot, lines): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.contains(HOT));
    for line in lines {
        let words: Vec<_> = line.split_whitespace().collect();
        let inside = line.starts_with("     ");
        shown += &match words[..] {
            [name] if !inside => {
                section = name;
                line.to_owned()
            }
            [name, value] if inside && differs(&format!("{section}.{name}"), counted) => {
                padded(line, value)
            }
            [name, value] if !inside && differs(name, counted) => padded(line, value),
            ["lock_buckets:", ..] => buckets(line, &words[1..], counted),
            [name, "MIN/AVG/MAX", ..] => {
                latencies(line, !counted && RECOVERY_LATENCIES.contains(&name))
            }
            _ => dates(line),
        };
        shown.push('\n');
    }
    shown + &hot_keys(&hot)
}

/// Which keys migrated is the same, how many times a second is not, nor their order by that.
fn hot_keys(lines: &[&str]) -> String {
    let hide = |line: &&str| match line.split_once(HOT) {
        Some((before, rest)) => match rest.split_once(' ') {
            Some((count, key)) if count != "0" => {
                format!("{before}{HOT}{} {key}\n", number_shape(count))
            }
            _ => format!("{line}\n"),
        },
        None => format!("{line}\n"),
    };
    let mut lines: Vec<_> = lines.iter().map(hide).collect();
    lines.sort_unstable();
    lines.concat()
}

/// A number at the end of a line, with its width.
fn padded(line: &str, value: &str) -> String {
    let blank = " ".repeat(value.len().saturating_sub(1));
    format!("{}{blank}#", line.strip_suffix(value).unwrap_or(line))
}

/// How long each wait took differs, how many there were does not.
fn buckets(line: &str, counts: &[&str], counted: bool) -> String {
    let counts: Option<Vec<u64>> = counts.iter().map(|count| count.parse().ok()).collect();
    match counts {
        Some(counts) if counted => {
            format!(
                " lock_buckets: {} in {}",
                counts.iter().sum::<u64>(),
                counts.len()
            )
        }
        Some(counts) => format!(" lock_buckets: # in {}", counts.len()),
        None => line.to_owned(),
    }
}

/// ` NAME MIN/AVG/MAX     0.1/0.2/0.3 sec out of 4`: the times differ, the number where it is said.
fn latencies(line: &str, number_too: bool) -> String {
    let Some((start, number)) = line.rsplit_once(" sec out of ") else {
        return line.to_owned();
    };
    let Some((name, times)) = start.rsplit_once(' ') else {
        return line.to_owned();
    };
    let times: Vec<_> = times.split('/').map(number_shape).collect();
    let number = if number_too { "#" } else { number };
    format!("{name} {} sec out of {number}", times.join("/"))
}

/// Lines on times: what comes before the colon stays.
fn dates(line: &str) -> String {
    match line.split_once(" : ") {
        Some((name, _)) if name.contains("tatistics") => format!("{name} : <Date>"),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = " num_clients                        2\n locks\n     num_calls                      3\n \
                         client\n     req_control                  120\n lock_buckets: 1 2 0\n \
                         locks_latency      MIN/AVG/MAX     0.000000/0.100000/0.200000 sec out of 3\n";

    #[test]
    fn what_grows_with_time_is_masked_and_what_calls_do_is_not() {
        assert_eq!(
            by_lines(LINES, true),
            " num_clients                        2\n locks\n     num_calls                      3\n \
             client\n     req_control                    #\n lock_buckets: 3 in 3\n \
             locks_latency      MIN/AVG/MAX     #.######/#.######/#.###### sec out of 3\n"
        );
        let uncounted = by_lines(LINES, false);
        assert!(uncounted.contains("     num_calls                      #\n"));
        assert!(uncounted.contains(" lock_buckets: # in 3\n"));
        assert!(uncounted.ends_with(" sec out of #\n"));
    }

    #[test]
    fn columns_are_masked_by_their_names() {
        let text = "total_calls|client.req_control|max_call_latency|\n7|120|0.100000|\n";
        assert_eq!(
            by_columns(text, true),
            "total_calls|client.req_control|max_call_latency|\n7|#|#.######|\n"
        );
    }

    #[test]
    fn hot_keys_are_compared_in_any_order() {
        let keys = "     Count:2 Key:6b\n     Count:1 Key:61\n     Count:0 Key:\n";
        assert_eq!(
            by_lines(keys, true),
            "     Count:# Key:61\n     Count:# Key:6b\n     Count:0 Key:\n"
        );
    }
}
