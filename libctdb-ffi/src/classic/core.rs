//! The two streams of a connection, without the socket: packets that wait to be written, questions that
//! wait for their answer, and bytes that become packets.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use client::Pending;
use wire::coding::DecodeError;
use wire::packet::{Body, Header, Packet, frame_length};
use wire::{Generation, Pnn, ReqId};

/// Written bytes in front of the output are dropped when there are so many.
const COMPACT: usize = 64 * 1024;

/// The state of both streams. `T` is what waits for an answer.
#[derive(Debug)]
pub(super) struct Core<T> {
    waiting: Pending<T>,
    output: Vec<u8>,
    /// How many bytes of `output` are written.
    written: usize,
    /// The packets in `output` that are not wholly written, in order.
    queue: VecDeque<Queued>,
    /// How many of them are questions.
    unsent_questions: usize,
    input: BytesMut,
}

#[derive(Debug)]
struct Queued {
    /// Where it ends in `output`.
    end: usize,
    question: bool,
}

impl<T> Core<T> {
    pub(super) fn new() -> Self {
        Self {
            waiting: Pending::new(usize::MAX),
            output: Vec::new(),
            written: 0,
            queue: VecDeque::new(),
            unsent_questions: 0,
            input: BytesMut::new(),
        }
    }

    /// Queues a packet; `entry` waits for its answer.
    pub(super) fn ask(&mut self, destination: Pnn, body: Body<'_>, entry: T) {
        if let Ok(reqid) = self.waiting.add(entry) {
            self.put(destination, reqid, body, true);
        }
    }

    /// Queues a packet that has no answer.
    pub(super) fn tell(&mut self, destination: Pnn, body: Body<'_>) {
        self.put(destination, ReqId(0), body, false);
    }

    fn put(&mut self, destination: Pnn, reqid: ReqId, body: Body<'_>, question: bool) {
        let header = Header {
            // the daemon fills in its own, and its node as the source
            generation: Generation(0),
            operation: body.operation(),
            destination,
            source: Pnn(0),
            reqid,
        };
        Packet { header, body }.encode(&mut self.output);
        self.unsent_questions += usize::from(question);
        self.queue.push_back(Queued {
            end: self.output.len(),
            question,
        });
    }

    /// What is to be written next; empty if nothing is.
    pub(super) fn unwritten(&self) -> &[u8] {
        &self.output[self.written..]
    }

    /// So many bytes of it were written.
    pub(super) fn wrote(&mut self, count: usize) {
        self.written = (self.written + count).min(self.output.len());
        while let Some(sent) = self.queue.pop_front_if(|first| first.end <= self.written) {
            self.unsent_questions -= usize::from(sent.question);
        }
        if self.written == self.output.len() || self.written >= COMPACT {
            self.output.drain(..self.written);
            for queued in &mut self.queue {
                queued.end -= self.written;
            }
            self.written = 0;
        }
    }

    /// How many packets are not wholly written.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// How many questions are written and not answered.
    pub(super) fn in_flight(&self) -> usize {
        self.waiting.len() - self.unsent_questions
    }

    /// These bytes came in.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The next whole packet, still encoded.
    ///
    /// # Errors
    /// If its length cannot be one: there is no way to go on after that.
    pub(super) fn next_packet(&mut self) -> Result<Option<Bytes>, DecodeError> {
        match frame_length(&self.input)? {
            Some(length) if self.input.len() >= length => {
                Ok(Some(self.input.split_to(length).freeze()))
            }
            _ => Ok(None),
        }
    }

    /// Takes out what waits for this answer. An answer to a question that was not written is none.
    pub(super) fn answered(&mut self, reqid: ReqId) -> Option<T> {
        self.waiting.take(reqid)
    }

    /// Takes out everything that waits.
    pub(super) fn forget(&mut self) -> Vec<T> {
        self.waiting.drain().collect()
    }
}

#[cfg(test)]
mod tests {
    use wire::Srvid;
    use wire::packet::{ReplyCall, ReqMessage};

    use super::*;

    const MESSAGE: Body<'static> = Body::ReqMessage(ReqMessage {
        srvid: Srvid(1),
        data: b"text",
    });

    fn write(core: &mut Core<char>, step: usize) -> Vec<u8> {
        let mut stream = Vec::new();
        while !core.unwritten().is_empty() {
            let count = step.min(core.unwritten().len());
            stream.extend_from_slice(&core.unwritten()[..count]);
            core.wrote(count);
        }
        stream
    }

    #[test]
    fn packets_leave_in_order_whatever_a_write_takes() {
        let fill = |core: &mut Core<char>| {
            core.ask(Pnn(0), MESSAGE, 'a');
            core.tell(Pnn(1), MESSAGE);
            core.ask(Pnn(2), MESSAGE, 'b');
        };
        let (mut slow, mut fast) = (Core::new(), Core::new());
        fill(&mut slow);
        fill(&mut fast);
        assert_eq!((slow.queued(), slow.in_flight()), (3, 0));
        let stream = write(&mut slow, 1);
        assert_eq!(stream, write(&mut fast, usize::MAX));
        assert_eq!((slow.queued(), slow.in_flight()), (0, 2));
        let length = stream.len() / 3;
        for (number, packet) in stream.chunks(length).enumerate() {
            let header = Packet::decode(packet).unwrap().header;
            assert_eq!(header.destination.0 as usize, number);
        }
    }

    #[test]
    fn a_half_written_packet_stays_in_front() {
        let mut core = Core::new();
        core.ask(Pnn(0), MESSAGE, 'a');
        core.wrote(10);
        core.ask(Pnn(1), MESSAGE, 'b');
        assert_eq!((core.queued(), core.in_flight()), (2, 0));
        core.wrote(core.unwritten().len() / 2);
        assert_eq!((core.queued(), core.in_flight()), (1, 1));
    }

    #[test]
    fn bytes_become_packets_and_a_wrong_length_an_error() {
        let mut core = Core::<char>::new();
        core.ask(Pnn(0), MESSAGE, 'a');
        let asked = write(&mut core, 7);
        let reqid = Packet::decode(&asked).unwrap().header.reqid;
        let body = Body::ReplyCall(ReplyCall {
            status: 0,
            data: b"xyz",
        });
        let header = Packet::decode(&asked).unwrap().header;
        let reply = Packet::new(header, body).to_bytes();
        for byte in &reply[..reply.len() - 1] {
            core.received(&[*byte]);
            assert_eq!(core.next_packet(), Ok(None));
        }
        core.received(&reply[reply.len() - 1..]);
        assert_eq!(core.next_packet().unwrap().unwrap(), reply);
        assert_eq!(
            (core.answered(reqid), core.answered(reqid)),
            (Some('a'), None)
        );
        core.received(&[1, 0, 0, 0]);
        assert!(core.next_packet().is_err());
    }
}
