//! Questions about the table, and changes of it by hand.

use std::net::IpAddr;

use tracing::{debug, error, info};
use wire::coding::Encode;
use wire::control::Request;
use wire::packet::ControlFlags;
use wire::types::{AddrInfo, Iface, IfaceList, PublicIp, PublicIpInfo, PublicIpList, SockAddr};

use crate::engine::Failover;
use crate::io::{Configured, ControlRequest, Output, System};
use crate::table::Address;

/// What a control is answered with.
type Answer = Result<Vec<u8>, String>;

/// Stands for no interface in [`PublicIpInfo::active_idx`].
const NO_INDEX: u32 = u32::MAX;

impl Failover {
    pub(crate) fn table_control(
        &mut self,
        control: &ControlRequest,
        system: &dyn System,
        out: &mut Vec<Output>,
    ) {
        let token = control.token;
        let answer = match &control.request {
            Request::GetPublicIps => Ok(self.list_addresses(control.flags).to_bytes()),
            Request::GetPublicIpInfo(addr) => self.info(addr),
            Request::GetIfaces => Ok(self.list_interfaces().to_bytes()),
            Request::SetIfaceLinkState(iface) => self.set_link(iface),
            Request::AddPublicIp(new) => self.add_address(new, system),
            Request::DelPublicIp(old) => self.delete_address(old),
            Request::SendGratuitousArp(what) => self.send_arp(what),
            Request::ReloadPublicIps => return self.reload(token, out),
            _ => Err("not a control about public addresses".to_owned()),
        };
        out.push(match answer {
            Ok(data) => Output::data(token, 0, data),
            Err(why) => Output::failed(token, why),
        });
    }

    fn list_addresses(&self, flags: ControlFlags) -> PublicIpList {
        let only_available = flags.contains(ControlFlags::ONLY_AVAILABLE);
        let wanted = self
            .table
            .iter()
            .filter(|address| !only_available || self.is_available(address));
        PublicIpList {
            ips: wanted.map(shown).collect(),
        }
    }

    /// Whether the address could be hosted here now.
    pub(crate) fn is_available(&self, address: &Address) -> bool {
        self.view.hosts() && !address.deleted && self.table.is_reachable(address)
    }

    fn info(&self, addr: &SockAddr) -> Answer {
        let address = self.table.find(addr).ok_or_else(|| {
            error!("Could not get public ip info, '{addr}'not a public address");
            "not a public address".to_owned()
        })?;
        let names = &address.interfaces;
        let active = names
            .iter()
            .position(|name| address.state.interface() == Some(name));
        let info = PublicIpInfo {
            ip: shown(address),
            active_idx: active
                .and_then(|index| u32::try_from(index).ok())
                .unwrap_or(NO_INDEX),
            ifaces: names.iter().filter_map(|name| self.iface(name)).collect(),
        };
        Ok(info.to_bytes())
    }

    fn iface(&self, name: &str) -> Option<Iface> {
        let interface = self.table.interfaces.get(name)?;
        Some(interface.shown(self.table.references(name)))
    }

    fn list_interfaces(&self) -> IfaceList {
        let all = self.table.interfaces.iter();
        IfaceList {
            ifaces: all
                .map(|interface| interface.shown(self.table.references(&interface.name)))
                .collect(),
        }
    }

    fn set_link(&mut self, iface: &Iface) -> Answer {
        let link_up = match iface.link_state {
            0 => false,
            1 => true,
            other => return Err(format!("link_state[{other}] invalid")),
        };
        if iface.references != 0 {
            return Err(format!("references[{}] should be 0", iface.references));
        }
        let interface = self.table.interfaces.get_mut(&iface.name.0);
        let interface = interface.ok_or("no public address can be on this interface")?;
        if interface.link_up != link_up {
            let name = |up| if up { "up" } else { "down" };
            error!(
                "iface[{}] has changed it's link status {} => {}",
                interface.name,
                name(interface.link_up),
                name(link_up)
            );
            interface.link_up = link_up;
        }
        Ok(Vec::new())
    }

    fn add_address(&mut self, new: &AddrInfo, system: &dyn System) -> Answer {
        info!("Add IP {}", new.addr);
        let names = new.iface.as_deref().unwrap_or_default().split(',');
        let address = ip_of(&new.addr)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let mask = u8::try_from(new.mask).ok().filter(|&mask| mask <= longest);
        let configured = Configured {
            address,
            mask: mask.ok_or_else(|| format!("{} is no mask for {address}", new.mask))?,
            interfaces: names
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        };
        self.table.add(configured, system).map_err(|why| {
            error!("Failed to add public address: {why}");
            why.to_string()
        })?;
        Ok(Vec::new())
    }

    fn delete_address(&mut self, old: &AddrInfo) -> Answer {
        info!("Delete IP {}", old.addr);
        let ip = ip_of(&old.addr)?;
        if self.delete(ip) {
            return Ok(Vec::new());
        }
        error!("Delete IP of unknown public IP address {}", old.addr);
        Err("not a public address".to_owned())
    }

    /// An address that is here is deleted when the next take-over run has it released. False if there is no
    /// such address.
    pub(crate) fn delete(&mut self, ip: IpAddr) -> bool {
        let me = self.me;
        let Some(address) = self.table.get_mut(ip) else {
            return false;
        };
        if address.node == me || address.state.is_updating() {
            address.deleted = true;
        } else {
            self.table.remove(ip);
        }
        true
    }

    fn send_arp(&mut self, what: &AddrInfo) -> Answer {
        let ip = ip_of(&what.addr)?;
        let interface = what.iface.as_deref().ok_or("no interface")?;
        debug!("Gratuitous ARP for {ip} on {interface} asked for");
        self.announce_on(ip, interface);
        Ok(Vec::new())
    }
}

fn shown(address: &Address) -> PublicIp {
    PublicIp {
        pnn: address.node,
        addr: address.wire(),
    }
}

fn ip_of(addr: &SockAddr) -> Result<IpAddr, String> {
    let ip = addr.canonical().ip();
    ip.ok_or_else(|| "no address".to_owned())
}
