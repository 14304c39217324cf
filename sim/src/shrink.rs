//! Makes a script that breaks a rule as short as it can be, while it breaks the same rule.

use crate::mutation::Mutation;
use crate::script::{Script, Step};

/// Leaves out what is not needed; plays the script at most `budget` times.
#[must_use]
pub fn shrink(script: &Script, mutation: Option<Mutation>, rule: &str, budget: usize) -> Script {
    let mut budget = budget;
    let mut breaks = |script: &Script| {
        if budget == 0 {
            return false;
        }
        budget -= 1;
        let violation = crate::play(script, mutation, false).violation;
        violation.is_some_and(|violation| violation.rule == rule)
    };
    let mut best = script.clone();
    loop {
        let before = best.clone();
        best = without_steps(best, &mut breaks);
        best = without_settings(best, &mut breaks);
        if best == before {
            return best;
        }
    }
}

/// Leaves out pieces of the list, halves first, single steps last.
fn without_steps(mut best: Script, breaks: &mut impl FnMut(&Script) -> bool) -> Script {
    let mut size = best.steps.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < best.steps.len() {
            let end = (at + size).min(best.steps.len());
            let mut steps: Vec<Step> = best.steps[..at].to_vec();
            steps.extend(&best.steps[end..]);
            let shorter = Script {
                steps,
                ..best.clone()
            };
            if breaks(&shorter) {
                best = shorter;
            } else {
                at = end;
            }
        }
        size /= 2;
    }
    best
}

/// A plainer cluster.
fn without_settings(mut best: Script, breaks: &mut impl FnMut(&Script) -> bool) -> Script {
    let plainer: [fn(&mut Script); 4] = [
        |script| script.sticky = false,
        |script| script.readonly = false,
        |script| script.lock = false,
        |script| script.nodes = script.nodes_named().max(2),
    ];
    for change in plainer {
        let mut changed = best.clone();
        change(&mut changed);
        if changed != best && breaks(&changed) {
            best = changed;
        }
    }
    best
}
