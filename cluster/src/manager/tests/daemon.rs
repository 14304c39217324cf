//! A daemon that is just good enough for a manager: nodes, modes and databases in memory.

use std::collections::BTreeMap;

use wire::coding::{Decode, Encode};
use wire::control::Request;
use wire::packet::ControlFlags;
use wire::tunables::Tunables;
use wire::types::{
    Capabilities, DbFlags, DbIdFlags, DbMap, NodeAndFlags, NodeFlagChange, NodeFlags, NodeMap,
    PullDbExt, RecBuffer, RecordFlags, RecordHeader, RecoveryMode, RunState, SockAddr, TransDb,
    VnnMap,
};
use wire::{DbId, Generation, Pnn, ReqId, Srvid, db_id};

use super::addresses::Addresses;
use crate::manager::ControlAnswer;

/// Records by key.
pub(super) type Records = BTreeMap<Vec<u8>, (RecordHeader, Vec<u8>)>;

#[derive(Clone, Debug, Default)]
pub(super) struct Db {
    pub(super) name: String,
    pub(super) flags: DbFlags,
    pub(super) frozen: bool,
    pub(super) transaction: Option<Generation>,
    pub(super) seqnum: u64,
    pub(super) records: Records,
    staged: Option<Records>,
    push_to: Option<Srvid>,
    pushed: u32,
}

/// What a control leads to besides its answer: records for the asking node.
pub(super) type Pulled = Option<(Srvid, Vec<u8>)>;

#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) pnn: Pnn,
    pub(super) flags: Vec<NodeFlags>,
    pub(super) recmode: RecoveryMode,
    pub(super) vnnmap: VnnMap,
    pub(super) capabilities: Capabilities,
    pub(super) tunables: Tunables,
    pub(super) dbs: BTreeMap<DbId, Db>,
    /// All databases, as FREEZE leaves them.
    pub(super) frozen: bool,
    pub(super) recoveries: u32,
    pub(super) reallocations: u32,
    pub(super) addresses: Addresses,
}

impl Daemon {
    pub(super) fn new(pnn: Pnn, nodes: usize) -> Self {
        Self {
            pnn,
            flags: vec![NodeFlags::empty(); nodes],
            recmode: RecoveryMode::Active,
            vnnmap: VnnMap {
                generation: Generation::INVALID,
                map: Vec::new(),
            },
            capabilities: Capabilities::DEFAULT,
            tunables: Tunables {
                rerecovery_timeout: 2,
                ..Tunables::default()
            },
            dbs: BTreeMap::new(),
            frozen: true,
            recoveries: 0,
            reallocations: 0,
            addresses: Addresses::default(),
        }
    }

    pub(super) fn attach(&mut self, name: &str, flags: DbFlags) -> DbId {
        let id = db_id(name);
        let db = Db {
            name: name.to_owned(),
            flags,
            ..Db::default()
        };
        self.dbs.entry(id).or_insert(db);
        id
    }

    pub(super) fn put(&mut self, name: &str, key: &str, value: &str, rsn: u64, dmaster: Pnn) {
        let header = RecordHeader {
            rsn,
            dmaster,
            ..RecordHeader::default()
        };
        let db = self.dbs.get_mut(&db_id(name)).unwrap();
        db.records.insert(key.into(), (header, value.into()));
    }

    pub(super) fn value(&self, name: &str, key: &str) -> Option<String> {
        let (_, value) = self.dbs.get(&db_id(name))?.records.get(key.as_bytes())?;
        Some(String::from_utf8(value.clone()).unwrap())
    }

    pub(super) fn nodemap(&self) -> NodeMap {
        let node = |(n, &flags): (u32, &NodeFlags)| {
            let addr = SockAddr::from(std::net::SocketAddr::from(([10, 0, 0, 1], 4379)));
            NodeAndFlags {
                pnn: Pnn(n),
                flags,
                addr,
            }
        };
        NodeMap {
            nodes: (0..).zip(&self.flags).map(node).collect(),
        }
    }

    /// Records that were pushed.
    pub(super) fn handle_message(&mut self, srvid: Srvid, data: &[u8]) {
        let Some(db) = self.dbs.values_mut().find(|db| db.push_to == Some(srvid)) else {
            return;
        };
        let buffer = RecBuffer::from_bytes(data).unwrap();
        let staged = db.staged.as_mut().expect("wiped before pushed");
        for record in buffer.records_with_header() {
            let record = record.unwrap();
            let mut header = record.header.unwrap();
            header.flags -= RecordFlags::RO_FLAGS;
            // The server's store: the data master's copy is newer than all others.
            if header.dmaster == self.pnn && !db.flags.contains(DbFlags::PERSISTENT) {
                header.rsn += 1;
            }
            staged.insert(record.key.to_vec(), (header, record.data.to_vec()));
            db.pushed += 1;
        }
    }

    pub(super) fn handle(
        &mut self,
        request: Request,
        flags: ControlFlags,
    ) -> (Result<ControlAnswer, String>, Pulled) {
        let healthy = self.flags[self.pnn.0 as usize].is_empty();
        let answer = self.addresses.answer(self.pnn, healthy, &request, flags);
        if let Some(answer) = answer {
            return (Ok(answer), None);
        }
        let mut pulled = None;
        let result = match request {
            Request::DbPull(pull) => self.pull(pull).map(|(count, records)| {
                pulled = Some(records);
                data(&count)
            }),
            request => self.answer(request),
        };
        (result, pulled)
    }

    fn answer(&mut self, request: Request) -> Result<ControlAnswer, String> {
        Ok(match request {
            Request::GetAllTunables => data(&self.tunables),
            Request::GetNodemap => data(&self.nodemap()),
            Request::GetRecmode => status(self.recmode as i32),
            Request::GetCapabilities => data(&self.capabilities),
            Request::GetVnnMap => data(&self.vnnmap),
            Request::GetRunstate => data(&RunState::Running),
            Request::Ping => status(7),
            Request::GetDbMap => data(&self.dbmap()),
            Request::SetRecmode(mode) => return self.set_recmode(mode),
            Request::SetVnnMap(map) => {
                self.vnnmap = map;
                status(0)
            }
            Request::ModifyFlags(change) => {
                self.modify_flags(&change);
                status(0)
            }
            Request::SetBanState(ban) => {
                assert_eq!(ban.pnn, self.pnn);
                self.flags[ban.pnn.0 as usize].set(NodeFlags::BANNED, ban.time > 0);
                status(0)
            }
            Request::Freeze => {
                self.frozen = true;
                status(0)
            }
            Request::EndRecovery => {
                self.recoveries += 1;
                status(0)
            }
            Request::Ipreallocated => {
                self.reallocations += 1;
                status(0)
            }
            Request::DbAttach(name) => data(&self.attach(&name, DbFlags::empty())),
            Request::DbAttachPersistent(name) => data(&self.attach(&name, DbFlags::PERSISTENT)),
            Request::DbAttachReplicated(name) => data(&self.attach(&name, DbFlags::REPLICATED)),
            Request::StartRecovery | Request::RecdPing | Request::RecdReclockLatency(_) => {
                status(0)
            }
            request => return self.answer_db(request),
        })
    }

    fn answer_db(&mut self, request: Request) -> Result<ControlAnswer, String> {
        match request {
            Request::GetDbName(id) => Ok(data(&self.db(id)?.name)),
            Request::GetDbSeqnum(seqnum) => Ok(data(&self.db(seqnum.db)?.seqnum)),
            Request::DbFreeze(id) => {
                self.db(id)?.frozen = true;
                Ok(status(0))
            }
            Request::DbTransactionStart(trans) => {
                let db = self.db(trans.db)?;
                if !db.frozen {
                    return Err("not frozen".to_owned());
                }
                db.transaction = Some(trans.transaction);
                db.staged = None;
                Ok(status(0))
            }
            Request::WipeDatabase(trans) => {
                self.in_transaction(&trans)?.staged = Some(Records::new());
                Ok(status(0))
            }
            Request::DbPushStart(push) => {
                let db = self.db(push.db)?;
                db.push_to = Some(push.srvid);
                db.pushed = 0;
                Ok(status(0))
            }
            Request::DbPushConfirm(id) => {
                let db = self.db(id)?;
                db.push_to = None;
                Ok(data(&db.pushed))
            }
            Request::DbTransactionCommit(trans) => {
                let db = self.in_transaction(&trans)?;
                db.records = db.staged.take().ok_or("nothing to commit")?;
                db.transaction = None;
                Ok(status(0))
            }
            Request::DbThaw(id) => {
                self.db(id)?.frozen = false;
                Ok(status(0))
            }
            other => Err(format!("unexpected {other:?}")),
        }
    }

    fn db(&mut self, id: DbId) -> Result<&mut Db, String> {
        self.dbs
            .get_mut(&id)
            .ok_or_else(|| format!("no database {id}"))
    }

    fn in_transaction(&mut self, trans: &TransDb) -> Result<&mut Db, String> {
        let db = self.db(trans.db)?;
        if db.transaction == Some(trans.transaction) {
            Ok(db)
        } else {
            Err(format!("transaction is {:?}", db.transaction))
        }
    }

    fn dbmap(&self) -> DbMap {
        let entry = |(&db, d): (&DbId, &Db)| DbIdFlags { db, flags: d.flags };
        DbMap {
            dbs: self.dbs.iter().map(entry).collect(),
        }
    }

    fn set_recmode(&mut self, mode: RecoveryMode) -> Result<ControlAnswer, String> {
        if mode == RecoveryMode::Normal {
            if self.dbs.values().any(|db| db.frozen) {
                return Err("databases are frozen".to_owned());
            }
            self.frozen = false;
        }
        self.recmode = mode;
        Ok(status(0))
    }

    /// Whether a node is connected is each node's own business.
    fn modify_flags(&mut self, change: &NodeFlagChange) {
        let flags = &mut self.flags[change.pnn.0 as usize];
        let own = *flags & NodeFlags::DISCONNECTED;
        *flags = (change.new_flags - NodeFlags::DISCONNECTED) | own;
    }

    fn pull(&mut self, pull: PullDbExt) -> Result<(u32, (Srvid, Vec<u8>)), String> {
        let db = self.db(pull.db)?;
        let mut buffer = RecBuffer::new(pull.db);
        for (key, (header, value)) in &db.records {
            buffer.push(ReqId(0), Some(*header), key, value);
        }
        Ok((buffer.count, (pull.srvid, buffer.to_bytes())))
    }
}

fn data(value: &impl Encode) -> ControlAnswer {
    ControlAnswer {
        data: value.to_bytes(),
        ..ControlAnswer::default()
    }
}

fn status(status: i32) -> ControlAnswer {
    ControlAnswer {
        status,
        ..ControlAnswer::default()
    }
}
