//! Attaching and detaching databases.
//!
//! The first client that attaches a database makes it exist on every node. While a recovery runs, clients wait
//! (DeferredAttachTimeout); the recovery itself attaches what a node lacks.

use core::time::Duration;

use tracing::{error, info};
use wire::coding::Encode;
use wire::control::Request;
use wire::packet::ControlFlags;
use wire::types::{DbFlags, DbIdFlags, DbMap, NodeFlags};
use wire::{ClientId, DbId, Pnn};

use crate::database::Database;
use crate::engine::{Ctx, Engine};
use crate::io::{ControlRequest, Output, Token};
use crate::timers::Deadline;

/// A client's attach that waits for the end of a recovery.
#[derive(Debug)]
pub(crate) struct Deferred(ControlRequest);

impl Engine {
    /// DB_ATTACH, DB_ATTACH_PERSISTENT, DB_ATTACH_REPLICATED.
    pub(crate) fn attach_control(
        &mut self,
        ctx: &mut Ctx<'_>,
        control: &ControlRequest,
        name: &str,
        kind: DbFlags,
    ) {
        let token = control.token;
        if ctx.tunables.allow_client_db_attach == 0 {
            error!(name, "DB Attach denied by tunable AllowClientDBAccess == 0");
            return ctx.refuse(token, -1, "AllowClientDBAttach is 0");
        }
        let by_recovery = control.flags.contains(ControlFlags::ATTACH_RECOVERY);
        if control.client.is_some() {
            if ctx.view.flags(ctx.me).intersects(NodeFlags::INACTIVE) {
                return ctx.refuse(token, -1, "node is inactive");
            }
            if by_recovery && !ctx.view.in_recovery {
                return ctx.refuse(token, -1, "recovery is not active");
            }
            if !by_recovery && (ctx.view.in_recovery || !ctx.view.started) {
                return self.defer_attach(ctx, control);
            }
        }
        match self.attach(ctx, name, kind) {
            Ok((id, new)) => {
                ctx.reply(token, 0, id.to_bytes());
                if new {
                    announce(ctx, name, kind);
                }
            }
            Err(why) => {
                error!(name, why, "attach failed");
                ctx.refuse(token, -1, &why);
            }
        }
    }

    /// Opens the database here, unless it is open. Tells whether it is new.
    fn attach(
        &mut self,
        ctx: &mut Ctx<'_>,
        name: &str,
        kind: DbFlags,
    ) -> Result<(DbId, bool), String> {
        let id = wire::db_id(name);
        if let Some(db) = self.databases.get(&id) {
            return if db.name != name {
                Err(format!("the id {id} of {name} is that of {}", db.name))
            } else if db.flags.contains(kind) {
                Ok((id, false))
            } else {
                Err(format!(
                    "{name} is attached with flags {:#x}, not {:#x}",
                    db.flags.bits(),
                    kind.bits()
                ))
            };
        }
        check_name(name)?;
        let opened = ctx
            .store
            .open(id, name, kind)
            .map_err(|why| why.to_string())?;
        info!(path = %opened.path, flags = opened.open_flags, "Attached to database");
        let generation = ctx.view.vnn_map.generation;
        let attached = self.next_id();
        ctx.emit(Output::Attached {
            db: id,
            name: name.to_owned(),
            opened: opened.clone(),
        });
        self.databases.insert(
            id,
            Database::new(id, name.to_owned(), kind, opened, attached, generation),
        );
        self.arm_vacuum(ctx, id);
        if !ctx.view.is_active(ctx.me) && !ctx.view.nodes.is_empty() {
            // on a stopped or banned node everything is frozen, what comes later too
            self.freeze(ctx, id, None);
        }
        Ok((id, true))
    }

    /// Attaches a persistent database that was found at the start, before there are clients.
    ///
    /// # Errors
    /// If its file cannot be used; the daemon does not start then.
    pub fn attach_at_start(
        &mut self,
        name: &str,
        store: &mut dyn crate::store::Store,
        out: &mut Vec<Output>,
    ) -> Result<DbId, String> {
        let mut ctx = self.context(wire::Time::ZERO, store, out);
        self.attach(&mut ctx, name, DbFlags::PERSISTENT)
            .map(|(id, _)| id)
    }

    fn defer_attach(&mut self, ctx: &mut Ctx<'_>, control: &ControlRequest) {
        info!(client = ?control.client, "DB Attach deferred since node is in recovery mode");
        let timeout = Duration::from_secs(u64::from(ctx.tunables.deferred_attach_timeout));
        self.timers
            .set(ctx.now + timeout, Deadline::Attach(control.token));
        self.deferred_attaches.push(Deferred(control.clone()));
    }

    /// Clients that waited for the recovery, or for the first one and the start of this node after it.
    pub(crate) fn retry_attaches(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.view.in_recovery || !ctx.view.started {
            return;
        }
        for Deferred(control) in core::mem::take(&mut self.deferred_attaches) {
            self.control(ctx, control);
        }
    }

    pub(crate) fn attach_waited_too_long(&mut self, ctx: &mut Ctx<'_>, token: Token) {
        let before = self.deferred_attaches.len();
        self.deferred_attaches
            .retain(|deferred| deferred.0.token != token);
        if self.deferred_attaches.len() < before {
            ctx.refuse(
                token,
                -1,
                "the recovery took longer than DeferredAttachTimeout",
            );
        }
    }

    pub(crate) fn drop_attaches_of(&mut self, client: ClientId) {
        self.deferred_attaches
            .retain(|deferred| deferred.0.client != Some(client));
    }

    /// DB_DETACH: a client's is passed on to every node, a node's is carried out.
    pub(crate) fn detach_control(&mut self, ctx: &mut Ctx<'_>, control: &ControlRequest, id: DbId) {
        let token = control.token;
        let refusal = match self.databases.get(&id) {
            None => Some("unknown database"),
            Some(_) if ctx.tunables.allow_client_db_attach == 1 => {
                Some("clients may attach (AllowClientDBAttach is 1)")
            }
            Some(db) if !db.is_volatile() => Some("only volatile databases can be detached"),
            Some(_) if ctx.view.in_recovery => Some("recovery is active"),
            Some(_) => None,
        };
        if let Some(why) = refusal {
            error!(db = %id, why, "DB detach denied");
            return ctx.refuse(token, -1, why);
        }
        if control.client.is_some() {
            broadcast(ctx, Request::DbDetach(id));
        } else {
            self.detach(ctx, id);
        }
        ctx.reply(token, 0, Vec::new());
    }

    fn detach(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        self.thaw(ctx, id);
        self.stop_vacuuming(ctx, id);
        let Some(mut db) = self.databases.remove(&id) else {
            return;
        };
        info!(db = %db.name, "Detached from database");
        self.give_back_parked(ctx, &mut db);
        self.refuse_calls_of_database(ctx, id);
        self.refuse_applies(ctx, core::mem::take(&mut db.applying));
        ctx.store.close(id);
        ctx.emit(Output::Detached(id));
    }

    /// GET_DBMAP: the newest first, as C lists them.
    pub(crate) fn db_map(&self) -> DbMap {
        let mut dbs: Vec<&Database> = self.databases.values().collect();
        dbs.sort_by_key(|db| core::cmp::Reverse(db.attached));
        DbMap {
            dbs: dbs
                .into_iter()
                .map(|db| DbIdFlags {
                    db: db.id,
                    flags: db.flags,
                })
                .collect(),
        }
    }
}

/// The name becomes a part of a file's path.
fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains('/') || name.contains('\0') || name.starts_with('.') {
        return Err(format!(
            "{name:?} is no name of a database: expected a file name without '/'"
        ));
    }
    Ok(())
}

/// Every other node attaches it as well.
fn announce(ctx: &mut Ctx<'_>, name: &str, kind: DbFlags) {
    let name = name.to_owned();
    broadcast(
        ctx,
        match kind {
            DbFlags::PERSISTENT => Request::DbAttachPersistent(name),
            DbFlags::REPLICATED => Request::DbAttachReplicated(name),
            _ => Request::DbAttach(name),
        },
    );
}

fn broadcast(ctx: &mut Ctx<'_>, request: Request) {
    let destination = Pnn::BROADCAST_CONNECTED;
    ctx.emit(Output::Control {
        token: None,
        destination,
        client: ClientId(0),
        request,
        timeout: Duration::ZERO,
    });
}
