//! The bounded cursor and the two traits of everything that crosses the wire.
//!
//! A [`Reader`] never looks behind the bytes it was given, and no count or length that it reads is
//! believed before the bytes it speaks of are there: an allocation is never larger than what was
//! received. An error says which field of which type went wrong, where, and why.

mod macros;
mod values;

pub(crate) use macros::{doc_text, wire_enum, wire_flags, wire_struct};
pub use values::{put_counted_text, put_length, put_pad, put_text};

use std::fmt;

/// The place of a field: which type, which field, and how many bytes into the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The Rust type that was being read.
    pub type_name: &'static str,
    /// Its field.
    pub field: &'static str,
    /// Offset of the field in the outermost payload, in bytes.
    pub offset: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{} at offset {}",
            self.type_name, self.field, self.offset
        )
    }
}

/// Why bytes could not be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("{place}: expected {expected} bytes, found {found}")]
    Truncated {
        /// Where.
        place: Place,
        /// Bytes the field needs.
        expected: usize,
        /// Bytes that were left.
        found: usize,
    },
    /// Bytes are left over behind the last field.
    #[error("{place}: expected the end, found {extra} more bytes")]
    Trailing {
        /// Where the value ended.
        place: Place,
        /// Bytes left over.
        extra: usize,
    },
    /// A count that the bytes behind it cannot hold.
    #[error("{place}: {count} items of at least {size} bytes, but {found} bytes are left")]
    Count {
        /// Where.
        place: Place,
        /// The count on the wire.
        count: u32,
        /// The least size of an item, in bytes.
        size: usize,
        /// Bytes that were left.
        found: usize,
    },
    /// A value outside those that the field can have.
    #[error("{place}: expected {expected}, found {found:#x}")]
    Invalid {
        /// Where.
        place: Place,
        /// What would have been good.
        expected: &'static str,
        /// What was there.
        found: u64,
    },
    /// A string without its NUL.
    #[error("{place}: expected a NUL within {found} bytes, found none")]
    Unterminated {
        /// Where.
        place: Place,
        /// Bytes that were searched.
        found: usize,
    },
    /// A string that is not UTF-8.
    #[error("{place}: expected UTF-8")]
    NotUtf8 {
        /// Where.
        place: Place,
    },
    /// A packet whose length cannot be right.
    #[error("packet length: expected {expected}, found {found}")]
    Length {
        /// The rule that is broken.
        expected: &'static str,
        /// The length.
        found: usize,
    },
    /// A control number that no version ever had.
    #[error("unknown control opcode {0}")]
    UnknownOpcode(u32),
}

/// A cursor over received bytes that cannot leave them.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    type_name: &'static str,
    field: &'static str,
}

impl<'a> Reader<'a> {
    /// A cursor at the beginning of `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            type_name: "bytes",
            field: "start",
        }
    }

    /// Names what is read next, for errors.
    #[inline]
    pub fn at(&mut self, type_name: &'static str, field: &'static str) -> &mut Self {
        self.type_name = type_name;
        self.field = field;
        self
    }

    /// The current place.
    pub fn place(&self) -> Place {
        Place {
            type_name: self.type_name,
            field: self.field,
            offset: self.position,
        }
    }

    /// Bytes not yet read.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if there are fewer.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let Some(taken) = self.bytes[self.position..].get(..n) else {
            return Err(self.truncated(n));
        };
        self.position += n;
        Ok(taken)
    }

    /// Kept out of the way of what is read well.
    #[cold]
    fn truncated(&self, expected: usize) -> DecodeError {
        DecodeError::Truncated {
            place: self.place(),
            expected,
            found: self.remaining(),
        }
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if there are fewer.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// Everything not yet read.
    #[inline]
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.position..];
        self.position = self.bytes.len();
        rest
    }

    /// Skips `n` bytes of padding, whatever they hold.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if there are fewer.
    #[inline]
    pub fn pad(&mut self, n: usize) -> Result<(), DecodeError> {
        self.take(n).map(drop)
    }

    /// Reads a value, and nothing but a `T`'s bytes.
    ///
    /// # Errors
    /// Those of the type.
    #[inline]
    pub fn get<T: Decode>(&mut self) -> Result<T, DecodeError> {
        T::decode(self)
    }

    /// A `u32`.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`]
    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.get()
    }

    /// A `u64`.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`]
    #[inline]
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.get()
    }

    /// A `u32` count of items that take at least `size` bytes each, checked against what is left.
    ///
    /// # Errors
    /// [`DecodeError::Count`] if the items cannot all be there.
    pub fn count(&mut self, size: usize) -> Result<usize, DecodeError> {
        let place = self.place();
        let count = self.u32()?;
        let found = self.remaining();
        let fits = (count as usize)
            .checked_mul(size.max(1))
            .is_some_and(|n| n <= found);
        fits.then_some(count as usize).ok_or(DecodeError::Count {
            place,
            count,
            size,
            found,
        })
    }

    /// Bytes with a `u32` length in front.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if the length or the bytes are not all there.
    #[inline]
    pub fn counted(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    /// The text in front of the first NUL of `bytes`, which have just been read.
    ///
    /// # Errors
    /// [`DecodeError::Unterminated`] without a NUL, [`DecodeError::NotUtf8`].
    pub fn text(&self, bytes: &[u8]) -> Result<String, DecodeError> {
        let text = std::str::from_utf8(self.before_nul(bytes)?);
        text.map(str::to_owned).map_err(|_| DecodeError::NotUtf8 {
            place: self.place_of(bytes),
        })
    }

    /// The bytes in front of the first NUL of `bytes`, which have just been read.
    ///
    /// # Errors
    /// [`DecodeError::Unterminated`] without a NUL.
    pub fn before_nul<'b>(&self, bytes: &'b [u8]) -> Result<&'b [u8], DecodeError> {
        let end = bytes.iter().position(|&b| b == 0);
        let end = end.ok_or(DecodeError::Unterminated {
            place: self.place_of(bytes),
            found: bytes.len(),
        })?;
        Ok(&bytes[..end])
    }

    /// Where `bytes` began, which have just been read.
    fn place_of(&self, bytes: &[u8]) -> Place {
        Place {
            offset: self.position - bytes.len(),
            ..self.place()
        }
    }

    /// A string with a `u32` length in front, which counts the NUL (upstream's "stringn").
    ///
    /// # Errors
    /// Those of [`Reader::counted`] and [`Reader::text`].
    pub fn counted_text(&mut self) -> Result<String, DecodeError> {
        let bytes = self.counted()?;
        self.text(bytes)
    }

    /// The same, or nothing where the length is 0, which is C's NULL.
    ///
    /// # Errors
    /// Those of [`Reader::counted_text`].
    pub fn optional_counted_text(&mut self) -> Result<Option<String>, DecodeError> {
        match self.counted()? {
            [] => Ok(None),
            bytes => self.text(bytes).map(Some),
        }
    }

    /// An error about `found` at the current place.
    pub fn invalid(&self, expected: &'static str, found: impl Into<u64>) -> DecodeError {
        DecodeError::Invalid {
            place: self.place(),
            expected,
            found: found.into(),
        }
    }

    /// Makes sure that everything was read.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] otherwise.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            extra => Err(DecodeError::Trailing {
                place: self.place(),
                extra,
            }),
        }
    }
}

/// A value that can be written to the wire.
pub trait Encode {
    /// Appends the value's bytes.
    fn encode(&self, out: &mut Vec<u8>);

    /// The value's bytes alone.
    fn to_bytes(&self) -> Vec<u8> {
        // room for a number or a record's header; what is larger reserves what it needs
        let mut out = Vec::with_capacity(32);
        self.encode(&mut out);
        out
    }
}

/// A value that can be read from the wire.
pub trait Decode: Sized {
    /// The fewest bytes such a value takes; a count is checked with it.
    const MIN_SIZE: usize = 0;
    /// Whether every value takes that many bytes.
    const FIXED: bool = true;

    /// Reads one value and leaves the cursor behind it.
    ///
    /// # Errors
    /// If the bytes are not such a value.
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads a value that fills `bytes`.
    ///
    /// # Errors
    /// If the bytes are not such a value, or if some are left over.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}
