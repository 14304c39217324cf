//! What every machine needs to act: the time, the outputs, fresh tokens, SRVIDs and numbers.

use core::time::Duration;

use wire::control::Request;
use wire::message::Message;
use wire::packet::ControlFlags;
use wire::{Generation, Pnn, Srvid};

use super::io::{Output, Outputs, Token};
use crate::Time;

/// SplitMix64: enough for generations and jitter, and the same in every run with the same seed.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// The part that lasts from call to call.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) pnn: Pnn,
    next_token: u64,
    next_srvid: u64,
    rng: Rng,
}

impl Ports {
    pub(super) const fn new(pnn: Pnn, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        // A restarted process must not be sent the records that its predecessor asked for.
        let next_srvid = rng.next_u64() >> 17;
        Self {
            pnn,
            next_token: 0,
            next_srvid,
            rng,
        }
    }

    pub(super) const fn at<'a>(&'a mut self, now: Time, out: &'a mut Outputs) -> Io<'a> {
        Io {
            now,
            ports: self,
            out,
        }
    }
}

/// The hands of a machine during one call.
#[derive(Debug)]
pub(super) struct Io<'a> {
    pub(super) now: Time,
    ports: &'a mut Ports,
    out: &'a mut Outputs,
}

impl Io<'_> {
    pub(super) const fn pnn(&self) -> Pnn {
        self.ports.pnn
    }

    pub(super) fn push(&mut self, output: Output) {
        self.out.push(output);
    }

    /// Sends a control that is answered within `timeout` or reported as timed out.
    pub(super) fn control(
        &mut self,
        destination: Pnn,
        request: Request,
        flags: ControlFlags,
        timeout: Duration,
    ) -> Token {
        self.ports.next_token += 1;
        let token = Token(self.ports.next_token);
        let srvid = request.srvid();
        self.push(Output::Control {
            token,
            destination,
            request,
            srvid,
            flags,
            timeout,
        });
        token
    }

    /// Sends a control that nobody waits for.
    pub(super) fn tell(&mut self, destination: Pnn, request: Request) {
        self.control(destination, request, ControlFlags::NOREPLY, Duration::ZERO);
    }

    pub(super) fn message(&mut self, destination: Pnn, message: &Message) {
        let (srvid, data) = (message.srvid(), message.to_bytes());
        self.push(Output::Message {
            destination,
            srvid,
            data,
        });
    }

    /// A new address for the records of one pull or push.
    pub(super) const fn fresh_srvid(&mut self) -> Srvid {
        self.ports.next_srvid = self.ports.next_srvid.wrapping_add(1) & 0x0000_FFFF_FFFF_FFFF;
        Srvid(Srvid::RECOVERY.0 | self.ports.next_srvid)
    }

    /// A new random generation; C nodes draw theirs from 31 bits, too.
    pub(super) fn new_generation(&mut self) -> Generation {
        loop {
            let bytes = self.ports.rng.next_u64().to_le_bytes();
            let number = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3] & 0x7F]);
            if number != 0 && Generation(number) != Generation::INVALID {
                return Generation(number);
            }
        }
    }
}
