//! The public addresses of a simple daemon: a release and a take-over are done at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use wire::Pnn;
use wire::coding::Encode;
use wire::control::Request;
use wire::packet::ControlFlags;
use wire::types::{PublicIp, PublicIpList};

use crate::manager::ControlAnswer;

#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// All that the node can have, and where they are as it has heard.
    pub(super) known: BTreeMap<IpAddr, Pnn>,
    /// Those that are on it.
    pub(super) here: BTreeSet<IpAddr>,
    /// How often something was really released or taken.
    pub(super) moves: u32,
}

impl Addresses {
    /// Answers a control about addresses.
    pub(super) fn answer(
        &mut self,
        me: Pnn,
        healthy: bool,
        request: &Request,
        flags: ControlFlags,
    ) -> Option<ControlAnswer> {
        let mut answer = ControlAnswer::default();
        match request {
            Request::GetPublicIps => {
                let listed = healthy || !flags.contains(ControlFlags::ONLY_AVAILABLE);
                let ips = self.known.iter().filter(|_| listed);
                let ips = ips.map(|(&ip, &pnn)| PublicIp {
                    pnn,
                    addr: ip.into(),
                });
                answer.data = PublicIpList { ips: ips.collect() }.to_bytes();
            }
            Request::ReleaseIp(wanted) => {
                let ip = wanted.addr.ip().unwrap();
                self.moves += u32::from(self.here.remove(&ip));
                self.known.insert(ip, wanted.pnn);
            }
            Request::TakeoverIp(wanted) => {
                assert_eq!(wanted.pnn, me);
                let ip = wanted.addr.ip().unwrap();
                assert!(self.known.contains_key(&ip), "node {me} does not know {ip}");
                self.moves += u32::from(self.here.insert(ip));
                self.known.insert(ip, me);
            }
            _ => return None,
        }
        Some(answer)
    }
}
