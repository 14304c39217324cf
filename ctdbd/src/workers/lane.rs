//! A lane: jobs of one kind in one database, so many at a time, the rest in order.

use std::collections::VecDeque;

use super::{Job, JobId, Limits};

/// The kinds of jobs that have slots of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// A chain.
    Record,
    /// All chains. One at a time: a second one would only wait for the first.
    Whole,
    /// Commits and repacking, strictly one after another.
    Commit,
    /// Traverses.
    Walk,
}

impl Class {
    /// The class of a job.
    pub(super) fn of(job: &Job) -> Self {
        match job {
            Job::LockRecord { .. } => Self::Record,
            Job::LockAll => Self::Whole,
            Job::Commit { .. } | Job::Repack { .. } => Self::Commit,
            Job::Traverse { .. } => Self::Walk,
        }
    }

    /// How many of them may run at a time in one database; never none.
    fn limit(self, limits: &Limits) -> u32 {
        match self {
            Self::Record => limits.locks_per_db.max(1),
            Self::Whole | Self::Commit => 1,
            Self::Walk => limits.walks_per_db.max(1),
        }
    }
}

/// Jobs of one class in one database.
#[derive(Debug, Default)]
pub(super) struct Lane {
    running: u32,
    queue: VecDeque<(JobId, Job)>,
}

impl Lane {
    /// Puts a job behind all others.
    pub(super) fn push(&mut self, id: JobId, job: Job) {
        self.queue.push_back((id, job));
    }

    /// Takes the next job if there is a slot for it, and the slot with it.
    pub(super) fn next(&mut self, class: Class, limits: &Limits) -> Option<(JobId, Job)> {
        if self.running >= class.limit(limits) {
            return None;
        }
        let next = self.queue.pop_front()?;
        self.running += 1;
        Some(next)
    }

    /// Gives a slot back.
    pub(super) fn done(&mut self) {
        self.running = self
            .running
            .checked_sub(1)
            .expect("a slot is given back once");
    }

    /// Forgets a job that has not begun.
    pub(super) fn forget(&mut self, id: JobId) {
        self.queue.retain(|(queued, _)| *queued != id);
    }

    /// Empties the queue.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = JobId> + '_ {
        self.queue.drain(..).map(|(id, _)| id)
    }
}
