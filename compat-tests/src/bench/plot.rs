//! The result as a picture: ratios on a logarithmic axis, with the noise behind them.

use std::fmt::Write;

use super::compare::Comparison;
use super::statistics::Spread;
use super::table::{count_of_nodes, factor};

/// Pixels: of the picture, of the titles beside the axis, of a row.
const WIDTH: f64 = 900.0;
const TITLES: f64 = 330.0;
const VALUES: f64 = 60.0;
const ROW: f64 = 22.0;
const TOP: f64 = 64.0;
const GROUP: f64 = 44.0;
/// At and above this a row is as good as it has to be.
const GOOD_ENOUGH: f64 = 0.8;
/// What an axis may end with, on either side of 1.
const EXTENTS: [f64; 6] = [2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
const STYLE: &str = "text{font:13px sans-serif;fill:#222}.small{font-size:11px;fill:#555}\
.head{font-size:16px;font-weight:bold}.group{font-weight:bold}.grid{stroke:#ddd}.one{stroke:#222}\
.good{stroke:#b45309;stroke-dasharray:4 3}.noise{fill:#cbd5e1}.ours{fill:#2563eb}.less{fill:#c2410c}.spread{stroke:#111;stroke-width:1.5}";

/// An SVG document; rows without a ratio are left out.
#[must_use]
pub fn svg(rows: &[Comparison], machine: &str) -> String {
    let shown: Vec<&Comparison> = rows.iter().filter(|row| row.ratio.is_some()).collect();
    let groups: Vec<_> = shown.chunk_by(|a, b| a.nodes == b.nodes).collect();
    let axis = Axis::of(&shown);
    let mut body = String::new();
    let mut y = TOP;
    for group in groups {
        y = put_group(&mut body, group, &axis, y);
    }
    document(y + 30.0, machine, &body)
}

fn document(height: f64, machine: &str, body: &str) -> String {
    let machine = escaped(machine);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text class=\"head\" x=\"12\" y=\"24\">Ours against C: how many times as good</text>\n\
         <text class=\"small\" x=\"12\" y=\"42\">bar: median of the rounds; line: their spread; grey: C against C \
         in the same rounds; dashed: {GOOD_ENOUGH}</text>\n{body}\
         <text class=\"small\" x=\"12\" y=\"{:.1}\">{machine}</text>\n</svg>\n",
        height - 10.0
    )
}

/// A group for a number of nodes; where the next one begins.
fn put_group(body: &mut String, group: &[&Comparison], axis: &Axis, top: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "some twenty rows")]
    let bottom = top + GROUP / 2.0 + ROW * group.len() as f64;
    let title = count_of_nodes(group[0].nodes);
    put(
        body,
        format_args!(
            "<text class=\"group\" x=\"12\" y=\"{:.1}\">{title}</text>\n",
            top + 12.0
        ),
    );
    for (value, class) in axis.ticks() {
        let (x, above) = (axis.x(value), top + 16.0);
        put(
            body,
            format_args!(
                "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{above:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>\n"
            ),
        );
        // the legend says what the dashed line is
        if class != "good" {
            let y = top + 12.0;
            put(
                body,
                format_args!(
                    "<text class=\"small\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{value}</text>\n"
                ),
            );
        }
    }
    let mut y = top + GROUP / 2.0;
    for row in group {
        put_row(body, row, axis, y);
        y += ROW;
    }
    bottom + GROUP / 2.0
}

fn put_row(body: &mut String, row: &Comparison, axis: &Axis, y: f64) {
    let Some(ratio) = row.ratio else { return };
    let title = escaped(&row.row.full_title());
    let text = y + 15.0;
    put(
        body,
        format_args!(
            "<text x=\"{:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{title}</text>\n",
            TITLES - 10.0
        ),
    );
    if let Some(noise) = row.noise {
        put_box(
            body,
            "noise",
            axis,
            (noise.min, noise.max),
            (y + 2.0, ROW - 4.0),
        );
    }
    let class = if ratio.median < GOOD_ENOUGH {
        "less"
    } else {
        "ours"
    };
    let ends = (ratio.median.min(1.0), ratio.median.max(1.0));
    put_box(body, class, axis, ends, (y + 6.0, ROW - 12.0));
    let Spread { min, max, median } = ratio;
    let (left, right, middle) = (axis.x(min), axis.x(max), y + ROW / 2.0);
    put(
        body,
        format_args!(
            "<line class=\"spread\" x1=\"{left:.1}\" y1=\"{middle:.1}\" x2=\"{right:.1}\" y2=\"{middle:.1}\"/>\n\
             <text x=\"{:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{}</text>\n",
            WIDTH - 8.0,
            escaped(&factor(median))
        ),
    );
}

fn put_box(
    body: &mut String,
    class: &str,
    axis: &Axis,
    (from, to): (f64, f64),
    (y, height): (f64, f64),
) {
    let (left, right) = (axis.x(from), axis.x(to));
    // equal ends still show
    let width = (right - left).max(1.0);
    put(
        body,
        format_args!(
            "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>\n"
        ),
    );
}

/// A logarithmic axis, as long to the left of 1 as to the right.
struct Axis {
    extent: f64,
}

impl Axis {
    /// Holds all medians that are no more than its longest; a single round may be beyond.
    fn of(rows: &[&Comparison]) -> Self {
        let medians = rows
            .iter()
            .filter_map(|row| Some(row.ratio?.median))
            .map(|median| median.max(1.0 / median));
        let far = medians
            .filter(|far| *far <= EXTENTS[EXTENTS.len() - 1])
            .fold(1.0, f64::max);
        let fits = EXTENTS.into_iter().find(|extent| *extent >= far);
        Self {
            extent: fits.unwrap_or(EXTENTS[EXTENTS.len() - 1]),
        }
    }

    /// What is beyond its ends is at its ends.
    fn x(&self, ratio: f64) -> f64 {
        let place = (ratio.ln() / self.extent.ln()).clamp(-1.0, 1.0);
        let half = (WIDTH - TITLES - VALUES) / 2.0;
        TITLES + half + half * place
    }

    /// The values that have a line, and its class.
    fn ticks(&self) -> Vec<(f64, &'static str)> {
        let mut ticks = vec![(1.0, "one"), (GOOD_ENOUGH, "good")];
        for extent in EXTENTS.into_iter().filter(|extent| *extent <= self.extent) {
            ticks.extend([(extent, "grid"), (1.0 / extent, "grid")]);
        }
        ticks
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn put(body: &mut String, text: std::fmt::Arguments<'_>) {
    body.write_fmt(text).expect("a String takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::compare::{compare, tests::sample};
    use crate::bench::{Row, Side};

    #[test]
    fn one_is_in_the_middle_and_the_ends_hold_everything() {
        let axis = Axis { extent: 10.0 };
        let middle = axis.x(1.0);
        assert!((axis.x(10.0) - middle - (middle - axis.x(0.1))).abs() < 1e-6);
        assert_eq!(axis.x(0.0), TITLES);
        assert_eq!(axis.x(f64::INFINITY), WIDTH - VALUES);
    }

    #[test]
    fn a_bar_that_is_not_good_enough_stands_out() {
        let of = |row, side, value| sample(0, side, row, value);
        let picture = |ours| {
            let samples = [
                of(Row::GLock, Side::Ours, ours),
                of(Row::GLock, Side::Theirs, 10.0),
            ];
            svg(&compare(&samples), "a <machine>")
        };
        assert!(picture(5.0).contains("class=\"less\""));
        assert!(picture(9.0).contains("class=\"ours\""));
        assert!(picture(9.0).contains("a &lt;machine&gt;"));
    }

    #[test]
    fn without_ratios_there_is_still_a_picture() {
        let rows = compare(&[sample(0, Side::Ours, Row::GLock, 1.0)]);
        let text = svg(&rows, "m");
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
    }
}
