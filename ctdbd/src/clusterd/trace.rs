//! Inputs and outputs as short lines for the log: who, what, how much, but not the data, which may be
//! whole databases.

use std::fmt;

use cluster::manager::{Input, Output};

/// An input in one line.
pub(super) struct In<'a>(pub(super) &'a Input);

/// An output in one line.
pub(super) struct Out<'a>(pub(super) &'a Output);

impl fmt::Display for In<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Input::Message {
                source,
                srvid,
                data,
            } => {
                write!(
                    f,
                    "message from node {source} to {srvid}, {} bytes",
                    data.len()
                )
            }
            Input::ControlReply {
                token,
                result: Ok(answer),
            } => {
                let (status, length) = (answer.status, answer.data.len());
                write!(
                    f,
                    "reply {}: status {status}, {length} bytes {}",
                    token.0, answer.error
                )
            }
            Input::ControlReply {
                token,
                result: Err(failure),
            } => {
                write!(f, "reply {}: {failure:?}", token.0)
            }
            Input::Coordinator(news) => write!(f, "coordinator: {news:?}"),
            Input::Lock(event) => write!(f, "cluster lock: {event:?}"),
            Input::Timer => f.write_str("timer"),
        }
    }
}

impl fmt::Display for Out<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Output::Control {
                token,
                destination,
                request,
                ..
            } => {
                write!(
                    f,
                    "control {}: {} to node {destination}",
                    token.0,
                    request.opcode()
                )
            }
            Output::Message {
                destination,
                srvid,
                data,
            } => {
                write!(
                    f,
                    "message to node {destination}, {srvid}, {} bytes",
                    data.len()
                )
            }
            Output::MessageEach {
                destinations,
                srvid,
                data,
            } => {
                let (nodes, length) = (destinations.len(), data.len());
                write!(
                    f,
                    "message to each of {nodes} nodes, {srvid}, {length} bytes"
                )
            }
            other => write!(f, "{other:?}"),
        }
    }
}
