//! The result as text.

use std::fmt::Write;

use super::Side;
use super::compare::Comparison;
use super::statistics::Spread;

const LEGEND: &str = "\
ratio   median over rounds of ours against C of the same round; over 1 is better, whichever direction is better
spread  the smallest and the greatest of the rounds
C : C   the same of two C turns of the same round: the noise
CPU     C's CPU time for an operation against ours, all daemons of the cluster; over 1 is less time
";

/// A table for each number of nodes, what failed, and what the columns are.
#[must_use]
pub fn text(rows: &[Comparison]) -> String {
    let mut text = String::new();
    for group in rows.chunk_by(|a, b| a.nodes == b.nodes) {
        put(&mut text, &format!("\n{}\n", heading(group[0].nodes)));
        group.iter().for_each(|row| put(&mut text, &line(row)));
    }
    text.push('\n');
    for row in rows {
        notes(row).iter().for_each(|note| put(&mut text, note));
    }
    text + LEGEND
}

/// `1 node`, `3 nodes`
#[must_use]
pub fn count_of_nodes(nodes: usize) -> String {
    format!("{nodes} {}", if nodes == 1 { "node" } else { "nodes" })
}

/// The width of a row's name.
const NAME: usize = 52;

fn heading(nodes: usize) -> String {
    columns(
        &count_of_nodes(nodes),
        ["ours", "C", "ratio", "spread", "C : C", "spread", "CPU"],
    )
}

fn line(row: &Comparison) -> String {
    let about = row.row.about();
    let value = |value: Option<f64>| value.map_or("-".to_owned(), number);
    let median =
        |spread: Option<Spread>| spread.map_or("-".to_owned(), |spread| factor(spread.median));
    let range = |spread: Option<Spread>| {
        spread.map_or(String::new(), |s| {
            format!("{}..{}", factor(s.min), factor(s.max))
        })
    };
    let cells = [
        &own_cell(row, value(row.ours)),
        &value(row.theirs),
        &median(row.ratio),
        &range(row.ratio),
        &median(row.noise),
        &range(row.noise),
        &row.cpu.map_or(String::new(), factor),
    ];
    columns(
        &format!("{} ({})", about.title, about.unit),
        cells.map(String::as_str),
    ) + "\n"
}

/// A row without a value of ours says why.
fn own_cell(row: &Comparison, value: String) -> String {
    let failed = row.failures.iter().any(|(side, _)| *side == Side::Ours);
    match (row.ours, failed) {
        (None, true) => "FAILED".to_owned(),
        _ => value,
    }
}

fn columns(
    name: &str,
    [ours, theirs, ratio, spread, noise, noise_spread, cpu]: [&str; 7],
) -> String {
    let line = format!(
        "{name:NAME$} {ours:>10} {theirs:>10} {ratio:>7} {spread:<13} {noise:>7} {noise_spread:<13} {cpu:>5}"
    );
    line.trim_end().to_owned()
}

fn notes(row: &Comparison) -> Vec<String> {
    let title = format!("{}, {}", count_of_nodes(row.nodes), row.row.full_title());
    let failures = row.failures.iter().map(|(side, why)| {
        let side = if *side == Side::Ours { "ours" } else { "C" };
        format!("FAILED {title}, {side}: {why}\n")
    });
    let unavailable = row
        .unavailable
        .iter()
        .map(|why| format!("not measured: {title}: {why}\n"));
    failures.chain(unavailable).collect()
}

/// With three digits that say something, and commas between thousands.
#[must_use]
pub fn number(value: f64) -> String {
    match value.abs() {
        small if small < 9.995 => format!("{value:.3}"),
        middle if middle < 99.95 => format!("{value:.1}"),
        _ => thousands(&format!("{value:.0}")),
    }
}

fn thousands(digits: &str) -> String {
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A ratio. What is beyond a thousand is only said to be so.
#[must_use]
pub fn factor(ratio: f64) -> String {
    match ratio {
        great if great >= 1000.0 => ">999".to_owned(),
        great if great >= 99.95 => format!("{great:.0}"),
        great if great >= 9.995 => format!("{great:.1}"),
        small => format!("{small:.2}"),
    }
}

fn put(text: &mut String, line: &str) {
    text.write_str(line).expect("a String takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::compare::{compare, tests::sample};
    use crate::bench::{Outcome, Row, Sample};

    #[test]
    fn numbers_have_as_many_digits_as_they_need() {
        assert_eq!(
            ["0.123", "12.3", "123", "1,234,568"],
            [0.1234, 12.34, 123.4, 1_234_567.8].map(number)
        );
        assert_eq!(
            ["0.80", "1.25", "12.5", "500", ">999"],
            [0.8, 1.25, 12.5, 500.0, f64::INFINITY].map(factor)
        );
    }

    #[test]
    fn a_row_has_both_values_and_their_ratio() {
        let of = |side, value| sample(0, side, Row::MessageRing, value);
        let rows = compare(&[
            of(Side::Ours, 3000.0),
            of(Side::Theirs, 2000.0),
            of(Side::TheirsAgain, 1900.0),
        ]);
        let text = text(&rows);
        let line = text
            .lines()
            .find(|line| line.starts_with("message ring"))
            .unwrap();
        let cells: Vec<_> = line.split_whitespace().skip(3).collect();
        assert_eq!(
            cells,
            ["3,000", "2,000", "1.50", "1.50..1.50", "0.95", "0.95..0.95"]
        );
        assert!(text.starts_with("\n1 node "));
    }

    #[test]
    fn a_failure_shows_in_its_cell_and_below() {
        let failed = Outcome::Failed("refused".to_owned());
        let failed = Sample {
            outcome: failed,
            ..sample(0, Side::Ours, Row::GLock, 0.0)
        };
        let text = text(&compare(&[
            failed,
            sample(0, Side::Theirs, Row::GLock, 5.0),
        ]));
        assert!(text.contains(" FAILED      5.000"), "{text}");
        assert!(
            text.contains("FAILED 1 node, g_lock, a client on each node, ours: refused\n"),
            "{text}"
        );
    }
}
