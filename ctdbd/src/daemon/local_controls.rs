//! Controls that the daemon answers itself: clients and their addresses, settings, counters.

use std::net::IpAddr;

use cluster::membership::Membership;
use database::Engine;
use tracing::{debug, info, warn};
use wire::coding::Encode;
use wire::control::Request;
use wire::tunables::{Set, TunableNames, Tunables};
use wire::types::{Connection, SrvidBits, Statistics};
use wire::{ClientId, DbId, MemoryReport, Srvid, TunnelId};

use super::asking::{Asked, Asker};
use super::clients::Client;
use super::controls::Question;
use super::io::{Output, ReadFor};
use super::{Daemon, Local};

/// Last words (REGISTER_NOTIFY) that a client may leave, and their bytes: smbd leaves one of a few.
const LAST_WORDS: usize = 1000;
/// Together, in bytes.
const LAST_BYTES: usize = 1 << 20;

/// What a control is answered with.
type Answer = Result<(i32, Vec<u8>), &'static str>;

/// Success, without data.
const DONE: Answer = Ok((0, Vec::new()));

fn data(value: &impl Encode) -> Answer {
    Ok((0, value.to_bytes()))
}

fn status(value: i32) -> Answer {
    Ok((value, Vec::new()))
}

impl Daemon {
    /// Answers at once.
    pub(super) fn answer_here(
        &mut self,
        question: &Question,
        request: &Request,
        out: &mut Vec<Output>,
    ) {
        if *request == Request::GetNodesFile {
            let token = self.ask_part(question.asker);
            return out.push(Output::ReadNodes(ReadFor::Question(token)));
        }
        match self.local_answer(question, request, out) {
            Ok((status, data)) => self.answer(question.asker, self.me, status, &data, "", out),
            Err(why) => {
                info!(control = %request.opcode(), why, "a control failed");
                self.answer(question.asker, self.me, -1, &[], why, out);
            }
        }
    }

    fn local_answer(
        &mut self,
        question: &Question,
        request: &Request,
        out: &mut Vec<Output>,
    ) -> Answer {
        use Request as R;
        match request {
            R::Ping => status(i32::try_from(self.clients.len()).unwrap_or(i32::MAX)),
            R::GetPid => status(self.pid),
            R::GetPnn => status(self.me.0.cast_signed()),
            R::GetDebug => data(&self.log_level),
            R::SetDebug(level) => {
                self.log_level = *level;
                out.push(Output::LogLevel(*level));
                DONE
            }
            R::Statistics => data(&self.current_statistics()),
            R::StatisticsReset => {
                self.reset_statistics();
                DONE
            }
            R::GetStatHistory => data(&self.history.list()),
            R::DumpMemory => Ok((0, self.memory_report().to_string().into_bytes())),
            R::EchoData(echo) => data(echo),
            R::GetTunable(_) | R::SetTunable(_) | R::ListTunables | R::GetAllTunables => {
                self.tunable(request, out)
            }
            _ => self.client_answer(question, request, out),
        }
    }

    fn tunable(&mut self, request: &Request, out: &mut Vec<Output>) -> Answer {
        const EINVAL: i32 = 22;
        match request {
            Request::GetAllTunables => data(&self.tunables),
            Request::ListTunables => data(&TunableNames::all()),
            Request::GetTunable(name) => self
                .tunables
                .get(&name.0)
                .map_or(status(-EINVAL), |value| data(&value)),
            Request::SetTunable(tunable) => match self.tunables.set(&tunable.name, tunable.value) {
                Ok(set) => {
                    self.tunables_changed(out);
                    if set == Set::Obsolete {
                        warn!("Setting obsolete tunable \"{}\"", tunable.name);
                    }
                    status(i32::from(set == Set::Obsolete))
                }
                Err(_) => Err("no such tunable"),
            },
            _ => Err("not a control about tunables"),
        }
    }

    fn tunables_changed(&mut self, out: &mut Vec<Output>) {
        out.push(Output::Tunables(Box::new(self.tunables.clone())));
        self.tell_engine(
            database::io::Input::Tunables(Box::new(self.tunables.clone())),
            out,
        );
        self.tell_membership(
            cluster::membership::Input::Tunables(self.tunables.clone()),
            out,
        );
        self.tell_failover(
            failover::Input::Tunables(Box::new(self.tunables.clone())),
            out,
        );
        let limits = service::Limits::from(&self.tunables);
        self.tell_service(service::Input::Limits(limits), out);
    }

    /// Controls of a local client about itself, or about another one.
    fn client_answer(
        &mut self,
        question: &Question,
        request: &Request,
        out: &mut Vec<Output>,
    ) -> Answer {
        use Request as R;
        match request {
            R::RegisterSrvid(srvid) => {
                let registered = self.router.register(*srvid, local(question)?);
                debug!(%srvid, client = question.client.map(display), registered, "Registered message handler");
                check(registered, "too many addresses are registered")
            }
            R::DeregisterSrvid(srvid) => check(
                self.router.deregister(*srvid, local(question)?),
                "SRVID not registered",
            ),
            R::TunnelRegister(tunnel) => check(
                self.router.register_tunnel(*tunnel, local(question)?),
                "Tunnel id already registered",
            ),
            R::TunnelDeregister(tunnel) => check(
                self.router.deregister_tunnel(*tunnel, local(question)?),
                "Tunnel id not registered",
            ),
            R::RegisterNotify(notify) => {
                self.register_notify(local(question)?, notify.srvid, &notify.data)
            }
            R::DeregisterNotify(srvid) => {
                let client = self
                    .clients
                    .get_mut(local(question)?)
                    .ok_or("no such client")?;
                check(
                    client.notify.remove(srvid).is_some(),
                    "no notification for this SRVID",
                )
            }
            R::CheckPidSrvid(which) => {
                let found = self
                    .clients
                    .of_process(which.pid)
                    .any(|id| self.router.is_registered(which.srvid, id));
                status(if found { 0 } else { -1 })
            }
            // C has not had it since 4.8; programs with libctdb ask it
            R::CheckSrvids(srvids) => {
                let heard = |srvid: &Srvid| self.router.is_heard(*srvid);
                data(&srvids.0.iter().map(heard).collect::<SrvidBits>())
            }
            R::ProcessExists(pid) => self.process_exists(*pid, out),
            // kept by no one since the transactions became TRANS3
            R::StartPersistentUpdate(_) | R::CancelPersistentUpdate(_) => local(question).and(DONE),
            _ => Err("this control is not there yet"),
        }
    }

    fn register_notify(&mut self, client: ClientId, srvid: Srvid, what: &[u8]) -> Answer {
        let client = self.clients.get_mut(client).ok_or("no such client")?;
        if client.notify.contains_key(&srvid) {
            return Err("a notification for this SRVID exists already");
        }
        let bytes: usize = client.notify.values().map(Vec::len).sum();
        if client.notify.len() >= LAST_WORDS || bytes + what.len() > LAST_BYTES {
            return Err("too many notifications are registered");
        }
        client.notify.insert(srvid, what.to_vec());
        DONE
    }

    /// PROCESS_EXISTS: a client of an inactive node counts as gone, and is made to go.
    fn process_exists(&mut self, pid: i32, out: &mut Vec<Output>) -> Answer {
        let clients: Vec<ClientId> = self.clients.of_process(pid).collect();
        if clients.is_empty() {
            return status(-1);
        }
        if self.membership.own_flags().is_inactive() {
            for client in clients {
                out.push(Output::CloseClient {
                    client,
                    reason: "the node is banned or stopped".to_owned(),
                });
                self.client_gone(client, out);
            }
            return status(-1);
        }
        status(if sys::process::process_exists(pid) {
            0
        } else {
            -1
        })
    }

    /// DUMP_MEMORY: what the daemon keeps count of.
    /// Every client by name if VerboseMemoryNames is set.
    pub(super) fn memory_report(&self) -> MemoryReport {
        let clients = self.clients.iter().map(|(id, client)| {
            let name = format!("client {id} of process {}", client.pid);
            (name, client.notify.len())
        });
        let named =
            |report: MemoryReport, (name, count)| report.part::<(Srvid, Vec<u8>)>(name, count);
        let verbose = self.tunables.verbose_memory_names != 0;
        let report = MemoryReport::new(format!("ctdbd of node {}", self.me))
            .part::<Client>("clients", self.clients.len())
            .part::<(Srvid, ClientId)>("srvid registrations", self.router.srvid_count())
            .part::<(TunnelId, ClientId)>("tunnel registrations", self.router.tunnel_count())
            .part::<Asked>("controls sent to nodes", self.asking.len())
            .part::<(u64, Asker)>("controls to be answered", self.questions.len())
            .part::<Local>("packets to this node", self.local.len())
            .part::<DbId>("databases", self.engine.database_count())
            .part::<Engine>("database engine", 1)
            .part::<Membership>("cluster membership", 1)
            .part::<IpAddr>("public addresses", self.failover.address_count())
            .part::<Connection>("connections to them", self.failover.connection_count())
            .part::<Tunables>("tunables", 1)
            .part::<Statistics>("statistics", 1)
            .part::<Statistics>("statistics history", self.history.len());
        clients.filter(|_| verbose).fold(report, named)
    }
}

/// The client, of a control that only a local one can send.
fn local(question: &Question) -> Result<ClientId, &'static str> {
    question.client.ok_or("only a local client can ask this")
}

fn check(ok: bool, why: &'static str) -> Answer {
    if ok { DONE } else { Err(why) }
}
