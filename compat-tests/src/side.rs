//! The two daemons that are compared, each in a cluster of its own.

use crate::cluster::Spec;

/// Which daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Ours,
    Theirs,
}

impl Side {
    /// Whose turns there are.
    pub(crate) const fn compared(against_c: bool) -> &'static [Self] {
        match against_c {
            true => &[Self::Ours, Self::Theirs],
            false => &[Self::Ours],
        }
    }

    /// The same cluster, all of its nodes with this daemon.
    pub(crate) fn spec(self, spec: &Spec) -> Spec {
        let roots = match self {
            Self::Ours => spec.roots.clone(),
            Self::Theirs => vec![None; spec.roots.len()],
        };
        Spec {
            roots,
            ..spec.clone()
        }
    }
}
