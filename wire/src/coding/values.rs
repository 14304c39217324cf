//! Numbers, strings, arrays and lists, and what writes their parts.

use super::{Decode, DecodeError, Encode, Reader};

macro_rules! primitives {
    ($($ty:ty)*) => {$(
        impl Encode for $ty {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_ne_bytes());
            }
        }
        impl Decode for $ty {
            const MIN_SIZE: usize = size_of::<$ty>();
            #[inline]
            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                r.array().map(<$ty>::from_ne_bytes)
            }
        }
    )*};
}
primitives!(u8 u16 u32 u64 i32 i64 f64);

/// No data at all.
impl Encode for () {
    fn encode(&self, _: &mut Vec<u8>) {}
}

impl Decode for () {
    fn decode(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }
}

/// One byte, 0 or 1; C refuses anything else (protocol_basic.c, 4.17.12).
impl Encode for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl Decode for bool {
    const MIN_SIZE: usize = 1;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.clone().get::<u8>()? {
            byte @ 0..=1 => r.pad(1).map(|()| byte == 1),
            byte => Err(r.invalid("0 or 1", byte)),
        }
    }
}

/// A NUL-terminated string that ends its payload; bytes behind the NUL are ignored, as C does.
impl Encode for String {
    fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, self);
    }
}

impl Decode for String {
    const MIN_SIZE: usize = 1;
    const FIXED: bool = false;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes = r.rest();
        r.text(bytes)
    }
}

/// A string that C has as NULL when there is no data.
impl Encode for Option<String> {
    fn encode(&self, out: &mut Vec<u8>) {
        if let Some(text) = self {
            text.encode(out);
        }
    }
}

impl Decode for Option<String> {
    const FIXED: bool = false;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.remaining() {
            0 => Ok(None),
            _ => r.get().map(Some),
        }
    }
}

impl<T: Encode, const N: usize> Encode for [T; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|item| item.encode(out));
    }
}

impl<T: Decode + Copy + Default, const N: usize> Decode for [T; N] {
    const MIN_SIZE: usize = N * T::MIN_SIZE;
    const FIXED: bool = T::FIXED;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut array = [T::default(); N];
        for item in &mut array {
            *item = r.get()?;
        }
        Ok(array)
    }
}

/// A list with a `u32` count in front. For `u8` that is counted bytes (upstream's "tdb_datan").
impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        put_length(out, self.len());
        self.iter().for_each(|item| item.encode(out));
    }
}

impl<T: Decode> Decode for Vec<T> {
    const MIN_SIZE: usize = 4;
    const FIXED: bool = false;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = r.count(T::MIN_SIZE)?;
        (0..count).map(|_| r.get()).collect()
    }
}

/// Appends a length or count.
///
/// # Panics
/// At 4 GiB: nothing of ours gets near, and a wrapped length must never go out.
pub fn put_length(out: &mut Vec<u8>, length: usize) {
    u32::try_from(length)
        .expect("a length fits the wire's 32 bits")
        .encode(out);
}

/// Appends a string and its NUL. C reads up to the first NUL, so one inside ends the text.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().take_while(|&b| b != 0));
    out.push(0);
}

/// Appends a string and its NUL, with their length in front.
pub fn put_counted_text(out: &mut Vec<u8>, text: &str) {
    let start = out.len();
    0u32.encode(out);
    put_text(out, text);
    let length = u32::try_from(out.len() - start - 4).expect("a name fits the wire's 32 bits");
    out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

/// Appends `n` zeros.
pub fn put_pad(out: &mut Vec<u8>, n: usize) {
    out.resize(out.len() + n, 0);
}
