//! The macro behind the table.

/// `()` unless there is a type.
macro_rules! or_unit {
    () => {
        ()
    };
    ($ty:ty) => {
        $ty
    };
}

/// A binding for each payload that there is.
macro_rules! bind {
    ($ty:ty, $name:pat) => {
        $name
    };
}

/// One of two texts, or none.
macro_rules! text {
    () => {
        None
    };
    ($text:expr) => {
        Some($text)
    };
}

/// A line is `number Name "UPSTREAM" (request) [srvid] -> (reply) "status";`, each part from
/// the request on only if there is such a thing; retired ones name what to use instead.
macro_rules! controls {
    (
        live { $(
            $number:literal $name:ident $upstream:literal
            $( ($request:ty) )? $( [$via:ty] )? $( -> ($reply:ty) )? $( status $status:literal )? ;
        )* }
        retired { $(
            $old_number:literal $old_name:ident $old_upstream:literal $( use $instead:literal )? ;
        )* }
    ) => {
        /// All controls by name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[repr(u32)]
        #[expect(missing_docs, reason = "the names are upstream's, TABLE says the rest")]
        pub enum Opcode { $( $name = $number, )* $( $old_name = $old_number, )* }

        impl Opcode {
            /// The control with this number.
            pub fn from_u32(number: u32) -> Option<Self> {
                match number {
                    $( $number => Some(Self::$name), )*
                    $( $old_number => Some(Self::$old_name), )*
                    _ => None,
                }
            }
        }

        /// A control's request, whichever it is.
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[expect(missing_docs, reason = "the names are upstream's, TABLE says the rest")]
        pub enum Request {
            $( $name $( ($request) )? $( ($via) )?, )*
            /// A control that is not answered any more.
            Retired(Opcode),
        }

        impl Request {
            /// Reads the request of a control packet.
            ///
            /// # Errors
            /// If no version had such a control, or its data has the wrong length or content.
            pub fn decode(opcode: u32, srvid: Srvid, data: &[u8]) -> Result<Self, DecodeError> {
                let opcode = Opcode::from_u32(opcode).ok_or(DecodeError::UnknownOpcode(opcode))?;
                Ok(match opcode {
                    $( Opcode::$name => {
                        let decoded = whole::<or_unit!($($request)?)>(data)?;
                        controls!(@make $name decoded srvid $( ($request) )? $( [$via] )?)
                    } )*
                    $( Opcode::$old_name )|* => Self::Retired(opcode),
                })
            }

            /// Which control it is.
            pub fn opcode(&self) -> Opcode {
                match self {
                    $( Self::$name { .. } => Opcode::$name, )*
                    Self::Retired(opcode) => *opcode,
                }
            }

            /// What goes into the packet's `srvid`; 0 for most.
            pub fn srvid(&self) -> Srvid {
                match self {
                    $( $( Self::$name(bind!($via, via)) => Srvid(via.0), )? )*
                    _ => Srvid(0),
                }
            }

            /// Appends the request's data.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $( $( Self::$name(bind!($request, request)) => request.encode(out), )? )*
                    _ => {}
                }
            }
        }

        /// A control's reply, whichever it is.
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[expect(missing_docs, reason = "the names are upstream's, TABLE says the rest")]
        #[expect(clippy::large_enum_variant, reason = "read one at a time, never kept in numbers")]
        pub enum Reply { $( $name $( ($reply) )?, )* }

        impl Reply {
            /// Reads the data of a reply to such a control; bytes behind it are ignored.
            ///
            /// # Errors
            /// If there is no such control any more, or the data is not its reply.
            pub fn decode(opcode: Opcode, data: &[u8]) -> Result<Self, DecodeError> {
                match opcode {
                    $( Opcode::$name => {
                        let decoded = $name::decode_reply(data)?;
                        Ok(controls!(@make $name decoded opcode $( ($reply) )?))
                    } )*
                    retired => Err(DecodeError::UnknownOpcode(retired.number())),
                }
            }

            /// Appends the reply's data.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $( $( Self::$name(bind!($reply, reply)) => reply.encode(out), )? )*
                    _ => {}
                }
            }
        }

        $(
            #[doc = concat!("CTDB_CONTROL_", $upstream, ".")]
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl Control for $name {
                const OPCODE: u32 = $number;
                const NAME: &'static str = $upstream;
                type Request = or_unit!($($request)?);
                type Reply = or_unit!($($reply)?);
            }
        )*

        /// All controls, in order of their numbers.
        pub static TABLE: &[ControlInfo] = &sorted([
            $( ControlInfo {
                opcode: $number,
                name: $upstream,
                rust_name: stringify!($name),
                request: stringify!($($request)?),
                reply: stringify!($($reply)?),
                status: text!($($status)?),
                srvid: text!($( stringify!($via) )?),
                life: Life::Live,
            }, )*
            $( ControlInfo {
                opcode: $old_number,
                name: $old_upstream,
                rust_name: stringify!($old_name),
                request: "",
                reply: "",
                status: None,
                srvid: None,
                life: Life::Retired { instead: text!($($instead)?) },
            }, )*
        ]);
    };

    (@make $name:ident $decoded:ident $srvid:ident) => {
        { let () = $decoded; Self::$name }
    };
    (@make $name:ident $decoded:ident $srvid:ident ($request:ty)) => {
        Self::$name($decoded)
    };
    (@make $name:ident $decoded:ident $srvid:ident [$via:ty]) => {
        { let () = $decoded; Self::$name(<$via>::from($srvid.0)) }
    };
}

pub(super) use {bind, controls, or_unit, text};
