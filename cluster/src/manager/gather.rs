//! One control to several nodes, and what came of it.

use core::time::Duration;
use std::collections::BTreeMap;

use wire::Pnn;
use wire::coding::{Decode, Reader};
use wire::control::Request;
use wire::packet::ControlFlags;

use super::io::{ControlAnswer, ControlFailure, Token};
use super::ports::Io;

/// The daemon's text for a control to a node that is gone (`ctdb_daemon.c`, 4.17.12).
const NODE_GONE: &str = "node is disconnected";

/// Why a node did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// It answered with an error.
    #[error("status {status} {error}")]
    Refused { status: i32, error: String },
    /// It did not answer in time.
    #[error("timed out")]
    TimedOut,
    /// It is not connected (any more): no fault of its own.
    #[error("disconnected")]
    Gone,
    /// Its answer makes no sense.
    #[error("invalid answer")]
    Garbled,
}

/// Whether the status of an answer is a value rather than success or failure.
const fn answers_in_status(request: &Request) -> bool {
    matches!(request, Request::GetRecmode | Request::Ping)
}

/// Sorts a raw reply into success and the kinds of failure.
pub(super) fn judge(
    result: Result<ControlAnswer, ControlFailure>,
    status_is_value: bool,
) -> Result<ControlAnswer, Failure> {
    match result {
        Ok(answer) if answer.status == 0 || (status_is_value && answer.status > 0) => Ok(answer),
        Ok(answer) if answer.error.contains(NODE_GONE) => Err(Failure::Gone),
        Ok(ControlAnswer { status, error, .. }) => Err(Failure::Refused { status, error }),
        Err(ControlFailure::TimedOut) => Err(Failure::TimedOut),
        Err(ControlFailure::Disconnected) => Err(Failure::Gone),
    }
}

/// The replies still missing, and those that came.
#[derive(Debug, Default)]
pub(super) struct Gather {
    waiting: BTreeMap<Token, (Pnn, bool)>,
    results: BTreeMap<Pnn, Result<ControlAnswer, Failure>>,
}

impl Gather {
    /// Asks all `nodes` the same.
    pub(super) fn ask(
        io: &mut Io<'_>,
        nodes: impl IntoIterator<Item = Pnn>,
        request: &Request,
        flags: ControlFlags,
        timeout: Duration,
    ) -> Self {
        let mut gather = Self::default();
        for pnn in nodes {
            gather.add(io, pnn, request.clone(), flags, timeout);
        }
        gather
    }

    /// Asks one more node.
    pub(super) fn add(
        &mut self,
        io: &mut Io<'_>,
        pnn: Pnn,
        request: Request,
        flags: ControlFlags,
        timeout: Duration,
    ) -> Token {
        let valued = answers_in_status(&request);
        let token = io.control(pnn, request, flags, timeout);
        self.waiting.insert(token, (pnn, valued));
        token
    }

    /// Takes a reply, if it is one of these, and says whose.
    pub(super) fn take(
        &mut self,
        token: Token,
        result: &Result<ControlAnswer, ControlFailure>,
    ) -> Option<Pnn> {
        let (pnn, valued) = self.waiting.remove(&token)?;
        self.results.insert(pnn, judge(result.clone(), valued));
        Some(pnn)
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A node that is no longer there, if one is.
    pub(super) fn gone(&self) -> Option<Pnn> {
        let mut results = self.results.iter();
        results
            .find(|(_, result)| **result == Err(Failure::Gone))
            .map(|(&pnn, _)| pnn)
    }

    pub(super) fn results(&self) -> &BTreeMap<Pnn, Result<ControlAnswer, Failure>> {
        &self.results
    }

    /// The nodes that did not do it.
    pub(super) fn failures(&self) -> Vec<(Pnn, Failure)> {
        let failed = |(&pnn, result): (&Pnn, &Result<_, Failure>)| {
            result.as_ref().err().map(|failure| (pnn, failure.clone()))
        };
        self.results.iter().filter_map(failed).collect()
    }

    /// The good answers as `T`; one that cannot be decoded is a failure of its node.
    pub(super) fn decode<T: Decode>(&self) -> Result<BTreeMap<Pnn, T>, (Pnn, Failure)> {
        let good = self
            .results
            .iter()
            .filter_map(|(&pnn, r)| Some((pnn, r.as_ref().ok()?)));
        good.map(|(pnn, answer)| {
            let value =
                T::decode(&mut Reader::new(&answer.data)).map_err(|_| (pnn, Failure::Garbled))?;
            Ok((pnn, value))
        })
        .collect()
    }
}
