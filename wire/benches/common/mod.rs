//! What is measured.

use wire::packet::{
    Body, CallFlags, Header, Operation, Packet, ReplyDmaster, ReqCall, ReqMessage, function,
};
use wire::types::{RecBuffer, RecordFlags, RecordHeader};
use wire::{DbId, Generation, Pnn, ReqId, Srvid};

/// A record as smbd's locking.tdb has them.
const KEY: [u8; 24] = [7; 24];
const VALUE: [u8; 300] = [8; 300];

fn packet(body: Body<'_>) -> Packet<'_> {
    let header = Header {
        generation: Generation(77),
        operation: Operation::ReqCall,
        destination: Pnn(1),
        source: Pnn(0),
        reqid: ReqId(12),
    };
    Packet::new(header, body)
}

/// Packets without which no record and no message gets anywhere.
pub(crate) fn packets() -> [(&'static str, Packet<'static>); 3] {
    let db = DbId(7);
    let call = ReqCall {
        flags: CallFlags::IMMEDIATE_MIGRATION,
        db,
        callid: function::NULL,
        hopcount: 0,
        key: &KEY,
        calldata: &[],
    };
    let dmaster = ReplyDmaster {
        db,
        rsn: 1 << 40,
        record_flags: Some(RecordFlags::MIGRATED_WITH_DATA),
        key: &KEY,
        data: &VALUE,
    };
    let message = ReqMessage {
        srvid: Srvid(4711),
        data: &[9; 64],
    };
    [
        ("REQ_CALL", packet(Body::ReqCall(call))),
        ("REPLY_DMASTER", packet(Body::ReplyDmaster(dmaster))),
        ("REQ_MESSAGE", packet(Body::ReqMessage(message))),
    ]
}

/// What a recovery pushes.
pub(crate) fn push_buffer() -> RecBuffer {
    let mut buffer = RecBuffer::new(DbId(7));
    for rsn in 0..64 {
        let header = RecordHeader {
            rsn,
            ..RecordHeader::default()
        };
        buffer.push(ReqId(0), Some(header), &KEY, &VALUE);
    }
    buffer
}
