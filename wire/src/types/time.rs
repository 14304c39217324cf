//! Times as the wire has them.

use serde::{Deserialize, Serialize};

use crate::coding::{Decode, DecodeError, Encode, Reader, wire_struct};

/// `struct timeval`: 16 bytes on 64-bit Linux.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct TimeVal {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Microseconds behind them.
    pub microseconds: i64,
}

impl TimeVal {
    /// From microseconds since 1970.
    pub fn from_micros(micros: i64) -> Self {
        Self {
            seconds: micros.div_euclid(1_000_000),
            microseconds: micros.rem_euclid(1_000_000),
        }
    }

    /// Whether no time was set.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl Encode for TimeVal {
    fn encode(&self, out: &mut Vec<u8>) {
        self.seconds.encode(out);
        self.microseconds.encode(out);
    }
}

impl Decode for TimeVal {
    const MIN_SIZE: usize = 16;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            seconds: r.get()?,
            microseconds: r.get()?,
        })
    }
}

wire_struct! {
    /// UPTIME: 64 bytes.
    pub struct Uptime {
        /// Now.
        pub current_time: TimeVal,
        /// When the daemon started.
        pub ctdbd_start_time: TimeVal,
        /// When the last recovery began.
        pub last_recovery_started: TimeVal,
        /// When it ended.
        pub last_recovery_finished: TimeVal,
    }
}
