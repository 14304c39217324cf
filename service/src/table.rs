//! State tables as text, for the snapshot tests: one line for each state and event.

use core::fmt::{Debug, Write};

pub(crate) fn render<S, E>(states: &[S], events: &[E], step: impl Fn(S, E) -> S) -> String
where
    S: Copy + Debug,
    E: Copy + Debug,
{
    let mut text = String::new();
    for &state in states {
        for &event in events {
            writeln!(text, "{state:?} + {event:?} => {:?}", step(state, event)).unwrap();
        }
    }
    text
}
