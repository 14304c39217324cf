//! Public addresses, interfaces and TCP connections.

use serde::{Deserialize, Serialize};

use crate::Pnn;
use crate::coding::{
    Decode, DecodeError, Encode, Reader, put_counted_text, put_length, put_pad, wire_struct,
};
use crate::layout::layout;
use crate::types::SockAddr;

/// The size of an interface's name on the wire: IFNAMSIZ and 2.
const NAME_SIZE: usize = 18;

/// An interface's name, up to 17 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IfaceName(pub String);

impl Encode for IfaceName {
    fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend(self.0.bytes().take_while(|&b| b != 0).take(NAME_SIZE - 1));
        put_pad(out, start + NAME_SIZE - out.len());
    }
}

impl Decode for IfaceName {
    const MIN_SIZE: usize = NAME_SIZE;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes = r.take(NAME_SIZE)?;
        r.text(bytes).map(Self)
    }
}

wire_struct! {
    /// A public address and where it is: 32 bytes.
    pub struct PublicIp {
        /// The node that hosts it, or [`Pnn::UNKNOWN`].
        pub pnn: Pnn,
        /// The address.
        pub addr: SockAddr,
    }

    /// GET_PUBLIC_IPS: a count and the addresses.
    pub struct PublicIpList {
        /// The addresses that the node can host.
        pub ips: Vec<PublicIp>,
    }

    /// An interface: 24 bytes.
    pub struct Iface {
        /// Its name.
        pub name: IfaceName,
        /// Whether its link is up (0 or 1).
        pub link_state: u16,
        /// How many public addresses are on it.
        pub references: u32,
    }

    /// GET_IFACES: a count and the interfaces.
    pub struct IfaceList {
        /// All that public addresses can be on.
        pub ifaces: Vec<Iface>,
    }

    /// GET_PUBLIC_IP_INFO.
    pub struct PublicIpInfo {
        /// The address and where it is.
        pub ip: PublicIp,
        /// Which of the interfaces it is on; 0xFFFFFFFF for none.
        pub active_idx: u32,
        /// The interfaces that it can be on.
        pub ifaces: Vec<Iface>,
    }

    /// A TCP connection: 56 bytes. In TCP_CLIENT and TCP_ADD the client is `src` (seen from smbd);
    /// killing and tickling code in C names the same bytes the other way round.
    #[derive(Copy, Eq, PartialOrd, Ord, Hash)]
    pub struct Connection {
        /// One end.
        pub src: SockAddr,
        /// The other end.
        pub dst: SockAddr,
    }

    /// A count and the connections.
    pub struct ConnectionList {
        /// The connections.
        pub connections: Vec<Connection>,
    }

    /// SET_TCP_TICKLE_LIST, GET_TCP_TICKLE_LIST.
    pub struct TickleList {
        /// The public address.
        pub addr: SockAddr,
        /// Its connections.
        pub connections: Vec<Connection>,
    }
}

/// SEND_GRATUITOUS_ARP, ADD_PUBLIC_IP, DEL_PUBLIC_IP: address, mask, length, interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddrInfo {
    /// The address.
    pub addr: SockAddr,
    /// Its network mask in bits.
    pub mask: u32,
    /// The interface, or several with commas between; `ctdb delip` sends none.
    pub iface: Option<String>,
}

layout! {
    AddrInfo "SEND_GRATUITOUS_ARP, ADD_PUBLIC_IP, DEL_PUBLIC_IP." {
        addr: SockAddr, "The address.";
        mask: u32, "Its network mask in bits.";
        length: u32, "Of the interface, its NUL counted; 0 if there is none.";
        iface: bytes, "The interface, or several with commas between, and a NUL. `ctdb delip` sends none.";
    }
}

impl Encode for AddrInfo {
    fn encode(&self, out: &mut Vec<u8>) {
        self.addr.encode(out);
        self.mask.encode(out);
        match &self.iface {
            Some(iface) => put_counted_text(out, iface),
            None => put_length(out, 0),
        }
    }
}

impl Decode for AddrInfo {
    const MIN_SIZE: usize = 36;
    const FIXED: bool = false;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            addr: r.at("AddrInfo", "addr").get()?,
            mask: r.at("AddrInfo", "mask").get()?,
            iface: r.at("AddrInfo", "iface").optional_counted_text()?,
        })
    }
}
