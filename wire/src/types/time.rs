//! Times as the wire has them.

use crate::coding::wire_struct;

wire_struct! {
    /// `struct timeval`: 16 bytes on 64-bit Linux.
    #[derive(Copy, Eq, PartialOrd, Ord, Hash, Default)]
    pub struct TimeVal {
        /// Seconds since 1970.
        pub seconds: i64,
        /// Microseconds behind them.
        pub microseconds: i64,
    }

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
