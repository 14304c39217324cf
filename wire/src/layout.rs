//! The fields of every type that crosses the wire, as data: what `docs/wire.md` is made of, and
//! what a tool can print. The macros that write a type's code write its layout too, so the two
//! cannot differ.

mod table;

pub use table::{NUMBERS, TYPES};

/// A field of a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub about: &'static str,
    /// Its Rust type, or `bytes`.
    pub ty: &'static str,
    /// How many bytes it takes at least.
    pub size: usize,
    /// Whether it always takes that many.
    pub fixed: bool,
    /// Bytes of padding behind it.
    pub pad: usize,
}

/// A structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Its Rust name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Its fields, in order.
    pub fields: &'static [Field],
}

/// One value of a number, or one bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// Its name.
    pub name: &'static str,
    /// The number.
    pub value: u64,
    /// What it means.
    pub about: &'static str,
}

/// A number whose values have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Its Rust name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Its size in bytes.
    pub size: usize,
    /// Its values.
    pub values: &'static [Value],
    /// Whether the values are bits that can be set together.
    pub flags: bool,
}

/// A type with a layout.
pub trait Described {
    /// Its fields.
    const LAYOUT: Layout;
}

/// A number whose values have names.
pub trait Numbered {
    /// Its values.
    const NUMBERS: Numbers;
}

impl Layout {
    /// The fewest bytes such a value takes.
    pub fn size(&self) -> usize {
        self.fields.iter().map(|field| field.size + field.pad).sum()
    }

    /// Whether every value takes that many.
    pub fn is_fixed(&self) -> bool {
        self.fields.iter().all(|field| field.fixed)
    }

    /// The fields with their offsets; `None` behind a field whose length differs.
    pub fn offsets(&self) -> impl Iterator<Item = (Option<usize>, &'static Field)> {
        let mut next = Some(0);
        self.fields.iter().map(move |field| {
            let offset = next;
            next = next
                .filter(|_| field.fixed)
                .map(|at| at + field.size + field.pad);
            (offset, field)
        })
    }
}

/// The layouts of types whose code is written by hand:
/// `Name "about" { field: Type => pad N, "about"; }`, the type being `bytes` where only the content
/// says how many.
macro_rules! layout {
    ($( $name:ident $(<$lt:lifetime>)? $about:literal { $( $field:ident : $ty:tt $(=> pad $pad:literal)?, $fabout:literal; )* } )*) => {$(
        impl $crate::layout::Described for $name $(<$lt>)? {
            const LAYOUT: $crate::layout::Layout = $crate::layout::Layout {
                name: stringify!($name),
                about: $about,
                fields: &[$( $crate::layout::Field {
                    name: stringify!($field),
                    about: $fabout,
                    ty: stringify!($ty),
                    size: $crate::layout::layout!(@size $ty),
                    fixed: $crate::layout::layout!(@fixed $ty),
                    pad: 0 $( + $pad )?,
                } ),*],
            };
        }
    )*};
    (@size bytes) => { 0 };
    (@size $ty:ty) => { <$ty as $crate::coding::Decode>::MIN_SIZE };
    (@fixed bytes) => { false };
    (@fixed $ty:ty) => { <$ty as $crate::coding::Decode>::FIXED };
}

pub(crate) use layout;
