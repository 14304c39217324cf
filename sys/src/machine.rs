//! Facts about the machine.

use std::ffi::{CStr, CString, c_char};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Changes with every start of the kernel, 36 characters.
///
/// # Errors
/// If /proc is not there.
pub fn boot_id() -> io::Result<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(text.trim().to_owned())
}

/// CLOCK_MONOTONIC, which all processes of a machine have in common, and which `Instant` is.
#[must_use]
pub fn monotonic_clock() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// The host name; "localhost" if there is none that can be shown.
#[must_use]
pub fn host_name() -> String {
    let name = nix::unistd::gethostname().ok();
    let name = name.and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// The port of a service, from /etc/services or wherever the system keeps them: ctdbd listens on
/// that of "ctdb", "tcp", and on 4379 if there is none.
#[must_use]
pub fn service_port(service: &str, protocol: &str) -> Option<u16> {
    let service = CString::new(service).ok()?;
    let protocol = CString::new(protocol).ok()?;
    lookup(&service, &protocol)
}

fn lookup(service: &CStr, protocol: &CStr) -> Option<u16> {
    let mut entry = MaybeUninit::<libc::servent>::uninit();
    let mut buffer: [c_char; 4096] = [0; 4096];
    let mut found = ptr::null_mut();
    // SAFETY: all pointers are valid for the call, and the length is the buffer's. On success
    // `found` is null or points to `entry`, which is then filled.
    let port = unsafe {
        let status = getservbyname_r(
            service.as_ptr(),
            protocol.as_ptr(),
            entry.as_mut_ptr(),
            buffer.as_mut_ptr(),
            buffer.len(),
            &raw mut found,
        );
        if status != 0 || found.is_null() {
            return None;
        }
        (*found).s_port
    };
    // the port is in network byte order in the low 16 bits
    u16::try_from(port).ok().map(u16::from_be)
}

// SAFETY: glibc's signature (netdb.h); the libc crate does not have it.
unsafe extern "C" {
    fn getservbyname_r(
        name: *const c_char,
        proto: *const c_char,
        result_buf: *mut libc::servent,
        buf: *mut c_char,
        buflen: usize,
        result: *mut *mut libc::servent,
    ) -> libc::c_int;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_id_is_stable() {
        let id = boot_id().unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(boot_id().unwrap(), id);
    }

    #[test]
    fn services() {
        assert_eq!(service_port("no-such-service", "tcp"), None);
        assert_eq!(service_port("nul\0", "tcp"), None);
        // absent on a system without /etc/services
        if let Some(port) = service_port("ssh", "tcp") {
            assert_eq!(port, 22);
        }
    }

    #[test]
    fn there_is_a_host_name() {
        assert!(!host_name().is_empty());
    }
}
