//! What makes structures, bit sets and enumerations cross the wire, and describe themselves
//! ([`crate::layout`]).

/// The text of a `///` line; nothing for other attributes.
macro_rules! doc_text {
    (doc = $text:literal) => {
        $text
    };
    ($($other:tt)*) => {
        ""
    };
}

/// Structures whose fields travel one behind the other; `=> pad N` is padding behind a field.
macro_rules! wire_struct {
    ($(
        $(#[$($meta:tt)*])*
        pub struct $name:ident {
            $( $(#[$($fmeta:tt)*])* pub $field:ident : $ty:ty $(=> pad $pad:literal)? ),* $(,)?
        }
    )*) => {$(
        $(#[$($meta)*])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $name { $( $(#[$($fmeta)*])* pub $field: $ty, )* }

        impl $crate::layout::Described for $name {
            const LAYOUT: $crate::layout::Layout = $crate::layout::Layout {
                name: stringify!($name),
                about: concat!($( $crate::coding::doc_text!($($meta)*) ),*),
                fields: &[$( $crate::layout::Field {
                    name: stringify!($field),
                    about: concat!($( $crate::coding::doc_text!($($fmeta)*) ),*),
                    ty: stringify!($ty),
                    size: <$ty as $crate::coding::Decode>::MIN_SIZE,
                    fixed: <$ty as $crate::coding::Decode>::FIXED,
                    pad: 0 $( + $pad )?,
                } ),*],
            };
        }

        impl $crate::coding::Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                $(
                    self.$field.encode(out);
                    $( $crate::coding::put_pad(out, $pad); )?
                )*
            }
        }

        impl $crate::coding::Decode for $name {
            const MIN_SIZE: usize = 0
                $( + <$ty as $crate::coding::Decode>::MIN_SIZE $( + $pad )? )*;
            const FIXED: bool = true $( && <$ty as $crate::coding::Decode>::FIXED )*;
            fn decode(
                r: &mut $crate::coding::Reader<'_>,
            ) -> Result<Self, $crate::coding::DecodeError> {
                $(
                    let $field = r.at(stringify!($name), stringify!($field)).get()?;
                    $( r.at(stringify!($name), "padding").pad($pad)?; )?
                )*
                Ok(Self { $($field),* })
            }
        }
    )*};
}

/// Bit sets of a fixed width; bits that we do not know are kept.
macro_rules! wire_flags {
    ($(
        $(#[$($meta:tt)*])*
        pub struct $name:ident : $int:ty {
            $( $(#[$($fmeta:tt)*])* const $flag:ident = $value:expr; )*
        }
    )*) => {$(
        bitflags::bitflags! {
            $(#[$($meta)*])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
            pub struct $name: $int {
                $( $(#[$($fmeta)*])* const $flag = $value; )*
                const _ = !0;
            }
        }

        impl $crate::layout::Numbered for $name {
            const NUMBERS: $crate::layout::Numbers = $crate::layout::Numbers {
                name: stringify!($name),
                about: concat!($( $crate::coding::doc_text!($($meta)*) ),*),
                size: size_of::<$int>(),
                values: &[$( $crate::layout::Value {
                    name: stringify!($flag),
                    value: $value as u64,
                    about: concat!($( $crate::coding::doc_text!($($fmeta)*) ),*),
                } ),*],
                flags: true,
            };
        }

        impl $crate::coding::Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                self.bits().encode(out);
            }
        }

        impl $crate::coding::Decode for $name {
            const MIN_SIZE: usize = size_of::<$int>();
            fn decode(
                r: &mut $crate::coding::Reader<'_>,
            ) -> Result<Self, $crate::coding::DecodeError> {
                r.get().map(Self::from_bits_retain)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                self.bits().serialize(s)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                <$int>::deserialize(d).map(Self::from_bits_retain)
            }
        }
    )*};
}

/// Enumerations of a few 32-bit values.
macro_rules! wire_enum {
    ($(
        $(#[$($meta:tt)*])*
        pub enum $name:ident: $expected:literal {
            $( $(#[$($vmeta:tt)*])* $variant:ident = $value:literal ),* $(,)?
        }
    )*) => {$(
        $(#[$($meta)*])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[repr(u32)]
        pub enum $name { $( $(#[$($vmeta)*])* $variant = $value, )* }

        impl $crate::layout::Numbered for $name {
            const NUMBERS: $crate::layout::Numbers = $crate::layout::Numbers {
                name: stringify!($name),
                about: concat!($( $crate::coding::doc_text!($($meta)*) ),*),
                size: 4,
                values: &[$( $crate::layout::Value {
                    name: stringify!($variant),
                    value: $value,
                    about: concat!($( $crate::coding::doc_text!($($vmeta)*) ),*),
                } ),*],
                flags: false,
            };
        }

        impl $name {
            /// The value with this number.
            pub fn from_u32(number: u32) -> Option<Self> {
                match number {
                    $( $value => Some(Self::$variant), )*
                    _ => None,
                }
            }
        }

        impl $crate::coding::Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                (*self as u32).encode(out);
            }
        }

        impl $crate::coding::Decode for $name {
            const MIN_SIZE: usize = 4;
            fn decode(
                r: &mut $crate::coding::Reader<'_>,
            ) -> Result<Self, $crate::coding::DecodeError> {
                let number = r.clone().u32()?;
                let value = Self::from_u32(number).ok_or_else(|| r.invalid($expected, number))?;
                r.pad(4)?;
                Ok(value)
            }
        }
    )*};
}

pub(crate) use {doc_text, wire_enum, wire_flags, wire_struct};
