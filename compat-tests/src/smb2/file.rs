//! Calls on files: open, close, read, write, lock, notify, and the answers to breaks.

use std::time::Duration;

use anyhow::{Context, Result};

use super::fields::{Fields, array_at, u32_at, utf16};
use super::{Command, Connection, HEADER, Pending, Status};

/// The server's name for an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId(pub(super) [u8; 16]);

/// What an open may do ([MS-SMB2] 2.2.13.1).
#[derive(Debug, Clone, Copy)]
pub enum Access {
    /// Read data and attributes.
    Read = 0x0012_0089,
    /// Read and write.
    ReadWrite = 0x0012_019F,
    /// Delete.
    Delete = 0x0001_0000,
    /// List a directory and wait for its changes.
    List = 0x0010_0081,
}

/// What others may do meanwhile.
#[derive(Debug, Clone, Copy)]
pub enum Share {
    /// Nothing.
    None = 0,
    /// Read.
    Read = 1,
    /// Read, write and delete.
    All = 7,
}

/// What to do when the file is there, or is not.
#[derive(Debug, Clone, Copy)]
pub enum Disposition {
    /// It has to be there.
    Existing = 1,
    /// Create it if it is not there.
    OpenOrCreate = 3,
    /// Create it or empty it.
    Overwrite = 5,
}

/// What the client asks leave to cache.
#[derive(Debug, Clone, Copy)]
pub enum Caching {
    /// Nothing.
    None,
    /// A batch oplock.
    Batch,
    /// A lease by its key: 1 read, 2 handle, 4 write.
    Lease([u8; 16], u32),
}

/// An open to be asked for.
#[derive(Debug, Clone, Copy)]
pub struct Open<'a> {
    name: &'a str,
    access: Access,
    share: Share,
    disposition: Disposition,
    caching: Caching,
    options: u32,
}

impl<'a> Open<'a> {
    /// Opens an existing file for reading, or creates it; sharing everything, caching nothing.
    #[must_use]
    pub fn reading(name: &'a str) -> Self {
        Self {
            name,
            access: Access::Read,
            share: Share::All,
            disposition: Disposition::OpenOrCreate,
            caching: Caching::None,
            options: 0,
        }
    }

    /// The same for reading and writing.
    #[must_use]
    pub fn writing(name: &'a str) -> Self {
        Self {
            access: Access::ReadWrite,
            ..Self::reading(name)
        }
    }

    /// The same with an empty new file.
    #[must_use]
    pub fn creating(name: &'a str) -> Self {
        Self {
            disposition: Disposition::Overwrite,
            ..Self::writing(name)
        }
    }

    /// With another share mode.
    #[must_use]
    pub fn share(self, share: Share) -> Self {
        Self { share, ..self }
    }

    /// With another disposition.
    #[must_use]
    pub fn disposition(self, disposition: Disposition) -> Self {
        Self {
            disposition,
            ..self
        }
    }

    /// With an oplock or a lease.
    #[must_use]
    pub fn caching(self, caching: Caching) -> Self {
        Self { caching, ..self }
    }

    /// Opens a directory to list it, or makes it.
    #[must_use]
    pub fn directory(name: &'a str) -> Self {
        Self {
            access: Access::List,
            options: 1,
            ..Self::reading(name)
        }
    }

    /// Opens an existing file or directory to give it another name, or none.
    #[must_use]
    pub fn renaming(name: &'a str) -> Self {
        Self {
            access: Access::Delete,
            ..Self::reading(name).disposition(Disposition::Existing)
        }
    }

    fn encode(&self) -> Fields {
        let name = utf16(self.name);
        let (oplock, context) = match self.caching {
            Caching::None => (0, Vec::new()),
            Caching::Batch => (9, Vec::new()),
            Caching::Lease(key, state) => (0xFF, lease_context(&key, state)),
        };
        let padded = name.len().next_multiple_of(8);
        let context_at = if context.is_empty() { 0 } else { 120 + padded };
        let body = Fields::default()
            .u16(57)
            .u8(0)
            .u8(oplock)
            .u32(2)
            .u64(0)
            .u64(0);
        let body = body
            .u32(self.access as u32)
            .u32(0x80)
            .u32(self.share as u32);
        let body = body.u32(self.disposition as u32).u32(self.options);
        let body = body
            .u16(120)
            .len16(name.len())
            .len32(context_at)
            .len32(context.len());
        let body = body
            .bytes(&name)
            .bytes(&vec![0; padded - name.len()])
            .bytes(&context);
        // the variable part must not be empty
        if padded == 0 { body.u8(0) } else { body }
    }
}

/// The create context "RqLs" ([MS-SMB2] 2.2.13.2.8).
fn lease_context(key: &[u8; 16], state: u32) -> Vec<u8> {
    let head = Fields::default()
        .u32(0)
        .u16(16)
        .u16(4)
        .u16(0)
        .u16(24)
        .u32(32);
    head.bytes(b"RqLs\0\0\0\0")
        .bytes(key)
        .u32(state)
        .u32(0)
        .u64(0)
        .0
}

/// A granted open.
#[derive(Debug, Clone, Copy)]
pub struct Opened {
    /// The handle.
    pub file: FileId,
    /// The oplock level granted: 0 none, 1 level 2, 9 batch, 0xFF a lease.
    pub oplock: u8,
    /// The lease granted.
    pub lease: Option<u32>,
}

impl Opened {
    fn decode(packet: &[u8]) -> Result<Self> {
        let tail = packet.get(HEADER + 88..).unwrap_or_default();
        let lease = tail
            .windows(4)
            .position(|w| w == b"RqLs")
            .map(|at| u32_at(tail, at + 24));
        Ok(Self {
            file: FileId(array_at(packet, HEADER + 64)?),
            oplock: array_at::<1>(packet, HEADER + 2)?[0],
            lease: lease.transpose()?,
        })
    }
}

/// The server asks for something back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// An oplock goes down to a level.
    Oplock {
        /// The new level.
        level: u8,
        /// The open that has it.
        file: FileId,
    },
    /// A lease changes.
    Lease {
        /// Its key.
        key: [u8; 16],
        /// What it was.
        from: u32,
        /// What is left of it.
        to: u32,
    },
}

impl Connection {
    /// Opens a file.
    ///
    /// # Errors
    /// No answer; a refusal is the inner error, by its status.
    pub fn open(&mut self, open: &Open<'_>) -> Result<Result<Opened, Status>> {
        let request = self.start_open(open)?;
        self.opened(request, self.patience)?
            .context("no answer to an open")
    }

    /// Opens a file that has to open.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn must_open(&mut self, open: &Open<'_>) -> Result<Opened> {
        let name = open.name;
        self.open(open)?
            .map_err(|s| anyhow::anyhow!("open of {name:?}: status {:#010x}", s.0))
    }

    /// The status of an open; what was opened is closed again.
    ///
    /// # Errors
    /// No answer.
    pub fn try_open(&mut self, open: &Open<'_>) -> Result<Status> {
        match self.open(open)? {
            Ok(opened) => self.close(opened.file),
            Err(status) => Ok(status),
        }
    }

    /// Sends an open without waiting for its answer.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn start_open(&mut self, open: &Open<'_>) -> Result<Pending> {
        self.send(Command::Create, open.encode())
    }

    /// The answer to an open, or `None` when it is still pending after `patience`.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn opened(
        &mut self,
        request: Pending,
        patience: Duration,
    ) -> Result<Option<Result<Opened, Status>>> {
        let Some(reply) = self.reply(request, patience)? else {
            return Ok(None);
        };
        Ok(Some(match reply.status {
            Status::OK => Ok(Opened::decode(&reply.packet)?),
            refused => Err(refused),
        }))
    }

    /// Closes a handle.
    ///
    /// # Errors
    /// No answer.
    pub fn close(&mut self, file: FileId) -> Result<Status> {
        let body = Fields::default().u16(24).u16(0).u32(0).bytes(&file.0);
        Ok(self.call(Command::Close, body)?.status)
    }

    /// Deletes a file by the option to delete it on close.
    ///
    /// # Errors
    /// No answer.
    pub fn delete(&mut self, name: &str) -> Result<Status> {
        let open = Open {
            options: 0x1000,
            ..Open::renaming(name)
        };
        self.try_open(&open)
    }

    /// Writes at the start of a file.
    ///
    /// # Errors
    /// No answer.
    pub fn write(&mut self, file: FileId, data: &[u8]) -> Result<Status> {
        let body = Fields::default()
            .u16(49)
            .u16(112)
            .len32(data.len())
            .u64(0)
            .bytes(&file.0);
        let body = body.u32(0).u32(0).u16(0).u16(0).u32(0).bytes(data);
        Ok(self.call(Command::Write, body)?.status)
    }

    /// Reads at the start of a file.
    ///
    /// # Errors
    /// No answer; a refusal is the inner error, by its status.
    pub fn read(&mut self, file: FileId, count: u32) -> Result<Result<Vec<u8>, Status>> {
        let body = Fields::default()
            .u16(49)
            .u8(80)
            .u8(0)
            .u32(count)
            .u64(0)
            .bytes(&file.0);
        let body = body.u32(0).u32(0).u32(0).u16(0).u16(0).u8(0);
        let reply = self.call(Command::Read, body)?;
        if reply.status != Status::OK {
            return Ok(Err(reply.status));
        }
        let start = array_at::<1>(&reply.packet, HEADER + 2)?[0] as usize;
        let length = u32_at(&reply.packet, HEADER + 4)? as usize;
        let data = start
            .checked_add(length)
            .and_then(|end| reply.packet.get(start..end));
        Ok(Ok(data.context("SMB2 read answer is too short")?.to_vec()))
    }

    /// Locks bytes exclusively, or fails at once.
    ///
    /// # Errors
    /// No answer.
    pub fn lock(&mut self, file: FileId, offset: u64, length: u64) -> Result<Status> {
        self.lock_call(file, offset, length, 0x12)
    }

    /// Unlocks bytes.
    ///
    /// # Errors
    /// No answer.
    pub fn unlock(&mut self, file: FileId, offset: u64, length: u64) -> Result<Status> {
        self.lock_call(file, offset, length, 4)
    }

    /// Asks for an exclusive lock that may wait.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn start_lock(&mut self, file: FileId, offset: u64, length: u64) -> Result<Pending> {
        self.send(Command::Lock, lock_body(file, offset, length, 2))
    }

    fn lock_call(&mut self, file: FileId, offset: u64, length: u64, flags: u32) -> Result<Status> {
        Ok(self
            .call(Command::Lock, lock_body(file, offset, length, flags))?
            .status)
    }

    /// Gives an oplock up, down to a level.
    ///
    /// # Errors
    /// No answer.
    pub fn acknowledge_oplock(&mut self, file: FileId, level: u8) -> Result<Status> {
        let body = Fields::default()
            .u16(24)
            .u8(level)
            .u8(0)
            .u32(0)
            .bytes(&file.0);
        Ok(self.call(Command::OplockBreak, body)?.status)
    }

    /// Gives a part of a lease up.
    ///
    /// # Errors
    /// No answer.
    pub fn acknowledge_lease(&mut self, key: &[u8; 16], state: u32) -> Result<Status> {
        let body = Fields::default()
            .u16(36)
            .u16(0)
            .u32(0)
            .bytes(key)
            .u32(state)
            .u64(0);
        Ok(self.call(Command::OplockBreak, body)?.status)
    }

    /// Asks to be told of changes in the share's root directory.
    ///
    /// # Errors
    /// The directory does not open, or the connection is gone.
    pub fn start_notify(&mut self) -> Result<Pending> {
        let root = Open::directory("").disposition(Disposition::Existing);
        let root = self.must_open(&root)?.file;
        let body = Fields::default()
            .u16(32)
            .u16(0)
            .u32(4096)
            .bytes(&root.0)
            .u32(0x17)
            .u32(0);
        self.send(Command::ChangeNotify, body)
    }
}

fn lock_body(file: FileId, offset: u64, length: u64, flags: u32) -> Fields {
    let body = Fields::default().u16(48).u16(1).u32(0).bytes(&file.0);
    body.u64(offset).u64(length).u32(flags).u32(0)
}
