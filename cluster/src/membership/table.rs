//! State tables as text, for the snapshot tests: one line for each state and event.

use core::fmt::{Debug, Write};

pub(super) fn render<S, E, N, F>(
    states: &[S],
    events: &[E],
    step: impl Fn(S, E) -> (N, F),
) -> String
where
    S: Copy + Debug,
    E: Copy + Debug,
    N: Debug,
    F: Debug,
{
    let mut text = String::new();
    for &state in states {
        for &event in events {
            let (next, effect) = step(state, event);
            writeln!(text, "{state:?} + {event:?} => {next:?}, {effect:?}").unwrap();
        }
    }
    text
}

/// A text that is shown without quotes.
pub(super) struct Shown(pub(super) &'static str);

impl Debug for Shown {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.0)
    }
}
