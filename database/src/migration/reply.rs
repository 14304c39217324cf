//! Answers to calls that this node sent for its clients: REPLY_CALL and REPLY_ERROR.

use tracing::{info, warn};
use wire::packet::{Body, Packet, ReplyError};

use super::client_call::Caller;
use super::packet;
use crate::engine::{Ctx, Engine};
use crate::io::Output;

impl Engine {
    /// Hands an answer to the client that waits for it.
    pub(super) fn answered(&mut self, ctx: &mut Ctx<'_>, reply: &Packet<'_>) {
        let reqid = reply.header.reqid;
        let Some(pending) = self.take_call(reqid) else {
            info!(%reqid, source = %reply.header.source, "answer to a call that is no longer there");
            return;
        };
        match &reply.body {
            Body::ReplyCall(answer) => self.complete(ctx, &pending, answer.status, answer.data),
            Body::ReplyError(error) => {
                warn!(source = %reply.header.source, status = error.status, "a node refused a call");
                let body = Body::ReplyError(ReplyError {
                    status: error.status,
                    message: error.message,
                });
                let generation = ctx.view.vnn_map.generation;
                let Caller::Client(client, client_reqid) = pending.caller() else {
                    return self.fetched_for_vacuum(ctx, pending.db, &pending.key);
                };
                let sent = packet(ctx.me, ctx.me, client_reqid, generation, body);
                ctx.emit(Output::ToClient(client, sent));
            }
            _ => {}
        }
    }
}
