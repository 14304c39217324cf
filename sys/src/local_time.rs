//! The time of day as this machine's administrator reads it.

use std::fmt;
use std::mem::MaybeUninit;
use std::sync::Once;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads the time zone (`TZ`, or /etc/localtime) once; localtime_r(3) need not do it.
static ZONE: Once = Once::new();

unsafe extern "C" {
    /// tzset(3), which the crate `libc` leaves out.
    fn tzset();
}

/// A moment in the local time zone, to the microsecond. Its text is that of RFC 3339, with the zone's distance from UTC:
/// `2026-11-23T09:35:44.754360+05:45`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// Years since 0.
    pub year: i32,
    /// 1 to 12.
    pub month: i32,
    /// 1 to 31.
    pub day: i32,
    /// 0 to 23.
    pub hour: i32,
    /// 0 to 59.
    pub minute: i32,
    /// 0 to 60.
    pub second: i32,
    /// 0 to 999,999.
    pub micros: u32,
    /// What the zone is ahead of UTC, in minutes.
    pub offset: libc::c_long,
}

impl LocalTime {
    /// The moment `time`. One that is out of the system's range is the beginning of 1970, in UTC.
    #[must_use]
    pub fn at(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let found = libc::time_t::try_from(since.as_secs())
            .ok()
            .and_then(broken_down);
        let Some(tm) = found else {
            return Self::EPOCH;
        };
        Self {
            year: tm.tm_year.saturating_add(1900),
            month: tm.tm_mon + 1,
            day: tm.tm_mday,
            hour: tm.tm_hour,
            minute: tm.tm_min,
            second: tm.tm_sec,
            micros: since.subsec_micros(),
            offset: tm.tm_gmtoff / 60,
        }
    }

    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self::at(SystemTime::now())
    }

    const EPOCH: Self = Self {
        year: 1970,
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
        micros: 0,
        offset: 0,
    };

    /// As syslog(3) writes it: `Nov 23 09:35:44`, in English whatever the locale.
    #[must_use]
    pub fn syslog(&self) -> String {
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let month = usize::try_from(self.month - 1).unwrap_or(0);
        let month = MONTHS.get(month).unwrap_or(&MONTHS[0]);
        let Self {
            day,
            hour,
            minute,
            second,
            ..
        } = self;
        format!("{month} {day:2} {hour:02}:{minute:02}:{second:02}")
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
            micros,
            offset,
        } = self;
        let sign = if *offset < 0 { '-' } else { '+' };
        let (ahead_hours, ahead_minutes) = (offset.abs() / 60, offset.abs() % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}\
             {sign}{ahead_hours:02}:{ahead_minutes:02}"
        )
    }
}

fn broken_down(seconds: libc::time_t) -> Option<libc::tm> {
    // SAFETY: tzset reads the environment, as localtime_r may. Writing to the environment beside other threads is what
    // `std::env::set_var` makes its caller answer for; nothing else in this process writes it.
    ZONE.call_once(|| unsafe { tzset() });
    let mut tm = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call, and localtime_r keeps neither.
    let result = unsafe { libc::localtime_r(&raw const seconds, tm.as_mut_ptr()) };
    // SAFETY: every bit pattern of zeros is a `tm` (a null zone name included), and localtime_r has filled it in.
    (!result.is_null()).then(|| unsafe { tm.assume_init() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let time = LocalTime {
            year: 2026,
            month: 3,
            day: 7,
            hour: 9,
            minute: 5,
            second: 4,
            micros: 12,
            offset: -210,
        };
        assert_eq!(time.to_string(), "2026-03-07T09:05:04.000012-03:30");
        assert_eq!(time.syslog(), "Mar  7 09:05:04");
        assert!(LocalTime::EPOCH.to_string().ends_with(".000000+00:00"));
    }

    #[test]
    fn the_zone_of_this_process_is_taken_off_again() {
        // whatever the zone, what is shown less its distance from UTC is the moment
        let time = UNIX_EPOCH + Duration::from_secs(951_782_399) + Duration::from_micros(7);
        let local = LocalTime::at(time);
        let minutes = libc::c_long::from(local.hour * 60 + local.minute) - local.offset;
        assert_eq!(minutes.rem_euclid(24 * 60), 23 * 60 + 59);
        assert_eq!((local.second, local.micros), (59, 7));
    }
}
