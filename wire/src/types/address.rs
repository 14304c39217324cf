//! `ctdb_sock_addr`: a `sockaddr_in` or `sockaddr_in6`, always 28 bytes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use serde::{Deserialize, Serialize};

use crate::coding::{Decode, DecodeError, Encode, Reader, put_pad};
use crate::layout::layout;

/// Linux's AF_INET.
const INET: u16 = 2;
/// Linux's AF_INET6.
const INET6: u16 = 10;

/// An address with a port.
///
/// ```text
/// IPv4: family u16, port (network order), 4 bytes address, 20 bytes that say nothing
/// IPv6: family u16, port (network order), flow u32, 16 bytes address, scope u32
/// ```
///
/// smbd sends whatever was in its memory behind an IPv4 address, so those bytes are not looked at.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum SockAddr {
    /// All zero: C leaves it where there is no address.
    #[default]
    Unspecified,
    /// IPv4.
    V4(SocketAddrV4),
    /// IPv6.
    V6(SocketAddrV6),
}

layout! {
    SockAddr "`ctdb_sock_addr`: a `sockaddr_in` or `sockaddr_in6`, always 28 bytes." {
        family: u16, "2 IPv4, 10 IPv6, 0 none.";
        port: [u8; 2], "In network order.";
        v4_or_flow: [u8; 4], "The IPv4 address; or the flow of IPv6.";
        v6: [u8; 16], "The IPv6 address. Of IPv4 these bytes say nothing, as do the last.";
        scope: u32, "Of IPv6.";
    }
}

impl SockAddr {
    /// The address, if there is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.socket_addr().map(|addr| addr.ip())
    }

    /// The port; 0 if there is none.
    pub fn port(&self) -> u16 {
        self.socket_addr().map_or(0, |addr| addr.port())
    }

    /// Address and port, if there are any.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match *self {
            Self::Unspecified => None,
            Self::V4(addr) => Some(addr.into()),
            Self::V6(addr) => Some(addr.into()),
        }
    }

    /// The same with IPv4-mapped IPv6 addresses as IPv4, and without flow and scope: two such
    /// addresses are the same to CTDB if they are equal.
    pub fn canonical(&self) -> Self {
        match self.socket_addr() {
            None => Self::Unspecified,
            Some(addr) => SocketAddr::new(addr.ip().to_canonical(), addr.port()).into(),
        }
    }

    /// Whether both have the same address, whatever their ports.
    pub fn same_ip(&self, other: &Self) -> bool {
        self.canonical().ip() == other.canonical().ip()
    }
}

impl From<SocketAddr> for SockAddr {
    fn from(addr: SocketAddr) -> Self {
        match addr {
            SocketAddr::V4(addr) => Self::V4(addr),
            SocketAddr::V6(addr) => Self::V6(addr),
        }
    }
}

impl From<IpAddr> for SockAddr {
    fn from(ip: IpAddr) -> Self {
        SocketAddr::new(ip, 0).into()
    }
}

/// The address alone, as C's `ctdb_sock_addr_to_string(.., false)`.
impl fmt::Display for SockAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            None => f.write_str("INVALID"),
            Some(ip) => ip.fmt(f),
        }
    }
}

impl Encode for SockAddr {
    fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        match self {
            Self::Unspecified => {}
            Self::V4(addr) => {
                INET.encode(out);
                out.extend_from_slice(&addr.port().to_be_bytes());
                out.extend_from_slice(&addr.ip().octets());
            }
            Self::V6(addr) => {
                INET6.encode(out);
                out.extend_from_slice(&addr.port().to_be_bytes());
                addr.flowinfo().encode(out);
                out.extend_from_slice(&addr.ip().octets());
                addr.scope_id().encode(out);
            }
        }
        put_pad(out, start + Self::MIN_SIZE - out.len());
    }
}

impl Decode for SockAddr {
    const MIN_SIZE: usize = 28;

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let family = r.clone().get::<u16>()?;
        if ![0, INET, INET6].contains(&family) {
            return Err(r.invalid("family 0, 2 or 10", family));
        }
        let bytes: [u8; 28] = r.array()?;
        let mut fields = Reader::new(&bytes);
        fields.pad(2)?;
        let port = u16::from_be_bytes(fields.array()?);
        match family {
            INET => {
                let ip = Ipv4Addr::from(fields.array::<4>()?);
                Ok(Self::V4(SocketAddrV4::new(ip, port)))
            }
            INET6 => {
                let flow = fields.u32()?;
                let ip = Ipv6Addr::from(fields.array::<16>()?);
                Ok(Self::V6(SocketAddrV6::new(ip, port, flow, fields.u32()?)))
            }
            _ => Ok(Self::Unspecified),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_those_of_linux() {
        let v4 = SockAddr::from("10.0.0.7:4379".parse::<SocketAddr>().unwrap());
        let mut expected = vec![2, 0, 0x11, 0x1b, 10, 0, 0, 7];
        expected.resize(28, 0);
        assert_eq!(v4.to_bytes(), expected);
        let v6 = SockAddr::from("[fd00::7]:1".parse::<SocketAddr>().unwrap()).to_bytes();
        assert_eq!(
            (v6.len(), v6[0], v6[3], v6[8], v6[23]),
            (28, 10, 1, 0xfd, 7)
        );
    }

    #[test]
    fn mapped_addresses_are_the_same() {
        let mapped = SockAddr::from("::ffff:10.0.0.7".parse::<IpAddr>().unwrap());
        let plain = SockAddr::from("10.0.0.7".parse::<IpAddr>().unwrap());
        assert!(mapped.same_ip(&plain));
        assert_eq!(mapped.canonical(), plain);
    }
}
