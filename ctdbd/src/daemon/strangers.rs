//! Packets of nodes that are no members by the coordinator's word: nothing of theirs has an effect.

use cluster::fence;
use cluster::membership::Input;
use tracing::debug;
use wire::packet::{Body, ControlFlags, ReplyControl};
use wire::{Pnn, ReqId};

use super::Daemon;
use super::io::Output;

/// What a control of a node that is no member is answered.
const REFUSED: &[u8] = b"not a member of the cluster by the coordinator";

impl Daemon {
    /// Takes a packet that is about the membership, and one that does not count. False: it is to be worked on.
    pub(super) fn is_about_fence(
        &mut self,
        from: Pnn,
        reqid: ReqId,
        body: &Body<'_>,
        out: &mut Vec<Output>,
    ) -> bool {
        match body {
            Body::ReqMessage(message) if message.srvid == fence::HELLO => {
                let data = message.data.to_vec();
                self.tell_membership(Input::Hello { from, data }, out);
                return true;
            }
            // only the own manager knows
            Body::ReqMessage(message) if message.srvid == fence::STANDING => return true,
            _ => {}
        }
        if self.membership.admits(from) {
            return false;
        }
        debug!(%from, "packet of a node that is no member dropped");
        if let Body::ReqControl(control) = body
            && !control.flags.contains(ControlFlags::NOREPLY)
        {
            let reply = ReplyControl {
                status: -1,
                data: &[],
                error: REFUSED,
            };
            self.send_node(from, reqid, Body::ReplyControl(reply), out);
        }
        self.tell_membership(Input::Stranger(from), out);
        true
    }
}
