//! What ctdbd and a worker say to each other over their socket pair.
//!
//! ```text
//! +--------+-----+------------------+
//! | length | tag | the tag's fields |      length: u32, of tag and fields; numbers in host byte order
//! +--------+-----+------------------+
//! ```
//!
//! A marshall buffer of a recovery is all the fields that its tag has, so it is written from where it is and read to where
//! it stays.
//!
//! Both ends are ours and of one version; lengths are checked all the same, and a frame takes no more memory than what
//! of it has arrived, and a MiB.

use std::io::{self, Read, Write};

use database::frozen::{Order, Pull};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wire::Pnn;
use wire::coding::{Decode, DecodeError, Encode, Reader, put_length};

use super::{Job, Records};

/// The longest frame, in bytes: a marshall buffer as large as a packet may be, and room for what is around it.
pub const MAX_FRAME: usize = (1 << 30) + (64 << 10);
/// Length and tag.
const HEAD: usize = 5;
/// The most room that there is for a frame before anything of it has come: a marshall buffer of the usual size.
const ROOM: usize = 1 << 20;

/// What ctdbd tells a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Do this; only one job at a time.
    Start(Job),
    /// Do this with the database that is held.
    Order(Order),
    /// Let go of the lock.
    Unlock,
    /// One more batch of records may be sent.
    Credit,
}

/// What a worker tells ctdbd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The lock is held.
    Locked,
    /// It is held no longer.
    Unlocked,
    /// The job could not be done.
    Failed {
        /// Why.
        reason: String,
    },
    /// The database could not be opened: the worker ends.
    Unusable {
        /// Why.
        reason: String,
    },
    /// The commit is over.
    Committed {
        /// 0: done; otherwise nothing was changed.
        status: i32,
        /// Why not.
        reason: String,
    },
    /// Some keys and values.
    Records(Records),
    /// The traverse is over.
    Traversed {
        /// How many records were sent.
        count: u64,
    },
    /// Records that were ordered, as a marshall buffer.
    Pulled(Vec<u8>),
    /// The order is carried out, or is not.
    Ordered(Result<u32, String>),
    /// The file was looked at.
    Repacked {
        /// How many free pieces it had.
        free: u64,
        /// Whether records were moved for that.
        repacked: bool,
    },
}

/// What a frame has in it.
pub trait Message: Encode + Decode {
    /// The tag of the one that is nothing but a marshall buffer.
    const RECORDS: u8;
    /// That one.
    fn of_records(records: Vec<u8>) -> Self;
    /// Its marshall buffer, if it is that one.
    fn records(&self) -> Option<&[u8]>;
}

impl Message for Request {
    const RECORDS: u8 = 12;

    fn of_records(records: Vec<u8>) -> Self {
        Self::Order(Order::Push(records))
    }

    fn records(&self) -> Option<&[u8]> {
        match self {
            Self::Order(Order::Push(records)) => Some(records),
            _ => None,
        }
    }
}

impl Message for Reply {
    const RECORDS: u8 = 8;

    fn of_records(records: Vec<u8>) -> Self {
        Self::Pulled(records)
    }

    fn records(&self) -> Option<&[u8]> {
        match self {
            Self::Pulled(records) => Some(records),
            _ => None,
        }
    }
}

/// Why no frame could be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The socket failed, or ended inside a frame.
    #[error("worker socket: {0}")]
    Io(#[from] io::Error),
    /// No frame has so many bytes: none, or more than [`MAX_FRAME`].
    #[error("a worker frame cannot have {0} bytes")]
    Length(usize),
    /// Its bytes make no sense.
    #[error("worker frame: {0}")]
    Decode(#[from] DecodeError),
}

/// The whole frame of a request or reply, in two parts: the second is its marshall buffer, mostly empty.
fn frame<T: Message>(message: &T) -> Result<(Vec<u8>, &[u8]), FrameError> {
    let mut head = vec![0; 4];
    let records = if let Some(records) = message.records() {
        head.push(T::RECORDS);
        records
    } else {
        message.encode(&mut head);
        &[]
    };
    let length = head.len() - 4 + records.len();
    let wrong = FrameError::Length(length);
    let length = u32::try_from(length)
        .ok()
        .filter(|l| *l as usize <= MAX_FRAME)
        .ok_or(wrong)?;
    head[..4].copy_from_slice(&length.to_ne_bytes());
    Ok((head, records))
}

/// Writes a frame to a blocking socket.
///
/// # Errors
/// Those of the socket, [`FrameError::Length`].
pub fn write_frame(to: &mut impl Write, message: &impl Message) -> Result<(), FrameError> {
    let (head, records) = frame(message)?;
    to.write_all(&head)?;
    Ok(to.write_all(records)?)
}

/// Writes a frame to a socket of the runtime.
///
/// # Errors
/// Those of the socket, [`FrameError::Length`].
pub async fn write_frame_async(
    to: &mut (impl AsyncWrite + Unpin),
    message: &impl Message,
) -> Result<(), FrameError> {
    let (head, records) = frame(message)?;
    to.write_all(&head).await?;
    Ok(to.write_all(records).await?)
}

/// Reads a frame from a blocking socket; `None` at its end.
///
/// # Errors
/// Those of the socket, and of a frame that is none.
pub fn read_frame<T: Message>(from: &mut impl Read) -> Result<Option<T>, FrameError> {
    let mut head = Vec::with_capacity(HEAD);
    from.take(HEAD as u64).read_to_end(&mut head)?;
    let Some(mut body) = Body::after::<T>(&head)? else {
        return Ok(None);
    };
    from.take(body.missing as u64)
        .read_to_end(&mut body.bytes)?;
    body.message().map(Some)
}

/// Reads a frame from a socket of the runtime; `None` at its end.
///
/// # Errors
/// Those of the socket, and of a frame that is none.
pub async fn read_frame_async<T: Message>(
    from: &mut (impl AsyncRead + Unpin),
) -> Result<Option<T>, FrameError> {
    let mut head = Vec::with_capacity(HEAD);
    from.take(HEAD as u64).read_to_end(&mut head).await?;
    let Some(mut body) = Body::after::<T>(&head)? else {
        return Ok(None);
    };
    let mut rest = from.take(body.missing as u64);
    rest.read_to_end(&mut body.bytes).await?;
    body.message().map(Some)
}

/// A frame without its length, of which `missing` bytes are still to come. Where it is a marshall buffer it has no tag
/// either.
struct Body {
    is_records: bool,
    bytes: Vec<u8>,
    missing: usize,
}

impl Body {
    /// What comes after a length and a tag; none after the end.
    fn after<T: Message>(head: &[u8]) -> Result<Option<Self>, FrameError> {
        let (length, tag) = match head {
            [] => return Ok(None),
            &[a, b, c, d, tag] => (u32::from_ne_bytes([a, b, c, d]) as usize, tag),
            _ => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        };
        if !(1..=MAX_FRAME).contains(&length) {
            return Err(FrameError::Length(length));
        }
        let mut bytes = Vec::with_capacity(length.min(ROOM));
        let is_records = tag == T::RECORDS;
        if !is_records {
            bytes.push(tag);
        }
        Ok(Some(Self {
            is_records,
            missing: length - 1,
            bytes,
        }))
    }

    fn message<T: Message>(self) -> Result<T, FrameError> {
        let tag = usize::from(!self.is_records);
        if self.bytes.len() < tag + self.missing {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match self.is_records {
            true => Ok(T::of_records(self.bytes)),
            false => Ok(T::from_bytes(&self.bytes)?),
        }
    }
}

// C's own way to write bytes with their length in front; the generic list of u8 goes byte by byte
fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn text(r: &mut Reader<'_>) -> Result<String, DecodeError> {
    r.counted()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

impl Encode for Request {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Unlock => out.push(0),
            Self::Credit => out.push(1),
            Self::Start(Job::LockRecord { key }) => {
                out.push(2);
                put_bytes(out, key);
            }
            Self::Start(Job::LockAll) => out.push(3),
            Self::Start(Job::Commit { records, kind }) => {
                out.push(4);
                kind.encode(out);
                put_bytes(out, records);
            }
            Self::Start(Job::Traverse {
                only_dmaster,
                with_empty,
            }) => {
                out.push(5);
                with_empty.encode(out);
                only_dmaster.is_some().encode(out);
                only_dmaster.map_or(0, |pnn| pnn.0).encode(out);
            }
            Self::Start(Job::Repack { limit }) => {
                out.push(6);
                limit.encode(out);
            }
            Self::Order(order) => put_order(out, order),
        }
    }
}

/// Orders have tags from 7 on.
fn put_order(out: &mut Vec<u8>, order: &Order) {
    match order {
        Order::Begin => out.push(7),
        Order::Cancel => out.push(8),
        Order::Wipe => out.push(9),
        Order::Confirm => out.push(10),
        Order::Commit => out.push(11),
        Order::Push(records) => {
            out.push(Request::RECORDS);
            out.extend_from_slice(records);
        }
        Order::Pull(pull) => {
            out.push(13);
            pull.db.encode(out);
            put_bytes(out, pull.name.as_bytes());
            let limits = [
                pull.buffer_limit,
                pull.count_warn,
                pull.record_size_warn,
                pull.size_warn,
            ];
            limits.into_iter().for_each(|limit| limit.encode(out));
        }
    }
}

fn pull(r: &mut Reader<'_>) -> Result<Pull, DecodeError> {
    Ok(Pull {
        db: r.get()?,
        name: text(r)?,
        buffer_limit: r.u32()?,
        count_warn: r.u32()?,
        record_size_warn: r.u32()?,
        size_warn: r.u32()?,
    })
}

impl Decode for Request {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let job = match r.at("workers::Request", "tag").get::<u8>()? {
            0 => return Ok(Self::Unlock),
            1 => return Ok(Self::Credit),
            2 => Job::LockRecord {
                key: r.counted()?.to_vec(),
            },
            3 => Job::LockAll,
            4 => {
                let kind = r.get()?;
                Job::Commit {
                    records: r.counted()?.to_vec(),
                    kind,
                }
            }
            5 => {
                let with_empty = r.get()?;
                let (some, pnn) = (r.get::<bool>()?, r.u32()?);
                Job::Traverse {
                    only_dmaster: some.then_some(Pnn(pnn)),
                    with_empty,
                }
            }
            6 => Job::Repack { limit: r.u32()? },
            7 => return Ok(Self::Order(Order::Begin)),
            8 => return Ok(Self::Order(Order::Cancel)),
            9 => return Ok(Self::Order(Order::Wipe)),
            10 => return Ok(Self::Order(Order::Confirm)),
            11 => return Ok(Self::Order(Order::Commit)),
            Self::RECORDS => return Ok(Self::of_records(r.rest().to_vec())),
            13 => return Ok(Self::Order(Order::Pull(pull(r)?))),
            tag => return Err(r.invalid("a tag from 0 to 13", tag)),
        };
        Ok(Self::Start(job))
    }
}

impl Encode for Reply {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Locked => out.push(0),
            Self::Unlocked => out.push(1),
            Self::Failed { reason } => {
                out.push(2);
                put_bytes(out, reason.as_bytes());
            }
            Self::Committed { status, reason } => {
                out.push(3);
                status.encode(out);
                put_bytes(out, reason.as_bytes());
            }
            Self::Records(records) => {
                out.push(4);
                put_length(out, records.len());
                for (key, data) in records {
                    put_bytes(out, key);
                    put_bytes(out, data);
                }
            }
            Self::Traversed { count } => {
                out.push(5);
                count.encode(out);
            }
            Self::Unusable { reason } => {
                out.push(6);
                put_bytes(out, reason.as_bytes());
            }
            Self::Repacked { free, repacked } => {
                out.push(7);
                free.encode(out);
                repacked.encode(out);
            }
            Self::Pulled(records) => {
                out.push(Self::RECORDS);
                out.extend_from_slice(records);
            }
            Self::Ordered(Ok(number)) => {
                out.push(9);
                number.encode(out);
            }
            Self::Ordered(Err(reason)) => {
                out.push(10);
                put_bytes(out, reason.as_bytes());
            }
        }
    }
}

impl Decode for Reply {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match r.at("workers::Reply", "tag").get::<u8>()? {
            0 => Self::Locked,
            1 => Self::Unlocked,
            2 => Self::Failed { reason: text(r)? },
            3 => Self::Committed {
                status: r.get()?,
                reason: text(r)?,
            },
            4 => Self::Records(records(r)?),
            5 => Self::Traversed { count: r.u64()? },
            6 => Self::Unusable { reason: text(r)? },
            7 => Self::Repacked {
                free: r.u64()?,
                repacked: r.get()?,
            },
            Self::RECORDS => Self::of_records(r.rest().to_vec()),
            9 => Self::Ordered(Ok(r.u32()?)),
            10 => Self::Ordered(Err(text(r)?)),
            tag => return Err(r.invalid("a tag from 0 to 10", tag)),
        })
    }
}

fn records(r: &mut Reader<'_>) -> Result<Records, DecodeError> {
    let count = r.count(8)?;
    (0..count)
        .map(|_| Ok((r.counted()?.to_vec(), r.counted()?.to_vec())))
        .collect()
}

#[cfg(test)]
mod tests {
    use wire::types::DbFlags;

    use super::*;

    fn requests() -> Vec<Request> {
        vec![
            Request::Unlock,
            Request::Credit,
            Request::Start(Job::LockRecord {
                key: b"key".to_vec(),
            }),
            Request::Start(Job::LockAll),
            Request::Start(Job::Commit {
                records: vec![7; 70_000],
                kind: DbFlags::PERSISTENT,
            }),
            Request::Start(Job::Traverse {
                only_dmaster: Some(Pnn(0)),
                with_empty: true,
            }),
            Request::Start(Job::Traverse {
                only_dmaster: None,
                with_empty: false,
            }),
            Request::Start(Job::Repack { limit: 10_000 }),
            Request::Order(Order::Confirm),
            Request::Order(Order::Push(vec![7; 70_000])),
        ]
    }

    fn replies() -> Vec<Reply> {
        vec![
            Reply::Locked,
            Reply::Unlocked,
            Reply::Failed {
                reason: "because".into(),
            },
            Reply::Committed {
                status: 1,
                reason: String::new(),
            },
            Reply::Records(vec![(b"k".to_vec(), vec![]), (vec![], b"v".to_vec())]),
            Reply::Traversed { count: u64::MAX },
            Reply::Repacked {
                free: 12_345,
                repacked: true,
            },
            Reply::Unusable {
                reason: "no".into(),
            },
            Reply::Pulled(vec![1, 2, 3]),
            Reply::Ordered(Err("no".into())),
        ]
    }

    fn framed(message: &impl Message) -> Result<Vec<u8>, FrameError> {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, message)?;
        Ok(bytes)
    }

    #[test]
    fn a_marshall_buffer_is_framed_as_it_would_be_encoded() -> Result<(), FrameError> {
        let request = Request::Order(Order::Push(vec![1, 2, 3]));
        assert_eq!(framed(&request)?[4..], request.to_bytes());
        assert_eq!(Request::from_bytes(&request.to_bytes())?, request);
        let reply = Reply::Pulled(vec![1, 2, 3]);
        assert_eq!(framed(&reply)?[4..], reply.to_bytes());
        assert_eq!(Reply::from_bytes(&reply.to_bytes())?, reply);
        Ok(())
    }

    #[tokio::test]
    async fn the_runtime_reads_and_writes_the_same_frames() -> Result<(), FrameError> {
        for request in requests() {
            let mut bytes = Vec::new();
            write_frame_async(&mut bytes, &request).await?;
            assert_eq!(bytes, framed(&request)?);
            let read = read_frame_async(&mut bytes.as_slice()).await?;
            assert_eq!(read, Some(request));
        }
        Ok(())
    }

    #[test]
    fn frames_come_back_one_after_another() -> Result<(), FrameError> {
        let mut bytes = Vec::new();
        requests()
            .iter()
            .try_for_each(|request| write_frame(&mut bytes, request))?;
        let mut from = bytes.as_slice();
        for request in requests() {
            assert_eq!(read_frame(&mut from)?, Some(request));
        }
        assert_eq!(read_frame::<Request>(&mut from)?, None);
        for reply in replies() {
            let bytes = framed(&reply)?;
            assert_eq!(read_frame(&mut bytes.as_slice())?, Some(reply));
        }
        Ok(())
    }

    #[test]
    fn a_cut_frame_is_an_error_and_never_a_panic() -> Result<(), FrameError> {
        for reply in replies() {
            let bytes = framed(&reply)?;
            for end in 1..bytes.len() {
                assert!(
                    read_frame::<Reply>(&mut &bytes[..end]).is_err(),
                    "{reply:?} cut at {end}"
                );
            }
            for end in 4..bytes.len() {
                let short = Reply::from_bytes(&bytes[4..end]);
                assert!(
                    short.is_err() || reply.records().is_some(),
                    "{reply:?} short of {end}"
                );
            }
        }
        Ok(())
    }

    #[test]
    fn lengths_and_counts_are_not_believed() {
        let long = [0xff; 64];
        assert!(matches!(
            read_frame::<Reply>(&mut &long[..]),
            Err(FrameError::Length(_))
        ));
        let many = [4, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0];
        assert!(matches!(
            Reply::from_bytes(&many),
            Err(DecodeError::Count { .. })
        ));
        assert!(matches!(
            Request::from_bytes(&[99]),
            Err(DecodeError::Invalid { .. })
        ));
    }
}
