//! What can be said against a configuration file: one [`Diagnostic`] for each complaint.
//!
//! The words are those of 4.17's ctdbd and `ctdb-config`, which people search for, with file and
//! line in front.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::options::{OPTIONS, SECTIONS};

/// One complaint about one line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as it was named to the reader.
    pub file: PathBuf,
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong.
    pub kind: Kind,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// A section that no version of CTDB knows. ctdbd ignores it and what is in it.
    #[error("conf: unknown section [{0}]")]
    UnknownSection(String),
    /// An option before the first section, or in an unknown one. ctdbd ignores it.
    #[error("conf: unknown section for option \"{0}\"")]
    OutsideSection(String),
    /// ctdbd ignores an option that it does not know.
    #[error("conf: unknown option [{section}] -> \"{name}\"")]
    UnknownOption {
        /// The section's proper name.
        section: &'static str,
        /// The option as written.
        name: String,
    },
    /// Nothing behind the `=`.
    #[error("conf: empty value [{section}] -> \"{name}\"")]
    EmptyValue {
        /// The section's proper name.
        section: &'static str,
        /// The option's name.
        name: &'static str,
    },
    /// Not a number, not a boolean, or out of range.
    #[error("conf: invalid value [{section}] -> \"{name}\" = \"{value}\"")]
    InvalidValue {
        /// The section's proper name.
        section: &'static str,
        /// The option's name.
        name: &'static str,
        /// The value as written.
        value: String,
    },
    /// The value has the right type, and the option still cannot take it.
    #[error("{reason}")]
    Rejected {
        /// The section's proper name.
        section: &'static str,
        /// The option's name.
        name: &'static str,
        /// Why, in one line.
        reason: String,
        /// Whether ctdbd 4.17 gives the reason too, and not only the failure.
        known_to_c: bool,
    },
    /// No closing bracket, nothing before the `=`, a NUL, or not UTF-8. ctdbd 4.17 silently
    /// drops the *whole* file here, cluster lock and all; that is an error with us.
    #[error("syntax error")]
    Malformed,
    /// A line without `=`; ctdbd ignores it in silence.
    #[error("line without \"=\" ignored: \"{0}\"")]
    NoValue(String),
    /// An option stands twice in the file; the later line counts.
    #[error("option [{section}] -> \"{name}\" is set again; this line counts")]
    Repeated {
        /// The section's proper name.
        section: &'static str,
        /// The option's name.
        name: &'static str,
    },
    /// Text behind a number, which ctdbd ignores in silence.
    #[error("ignoring \"{rest}\" behind the number of [{section}] -> \"{name}\"")]
    TrailingText {
        /// The section's proper name.
        section: &'static str,
        /// The option's name.
        name: &'static str,
        /// What is ignored.
        rest: String,
    },
    /// The option still works, and will go.
    #[error("Configuration option [{section}] -> {name} is deprecated")]
    Deprecated {
        /// The section's proper name.
        section: &'static str,
        /// The option's name.
        name: &'static str,
    },
    /// A tunables file has no sections.
    #[error("Invalid line for section [{0}] - sections not supported")]
    TunableSection(String),
    /// Nothing before the `=`, a NUL, or not UTF-8; what stands behind it is not read.
    #[error("Syntax error")]
    TunableSyntax,
    /// A tunable without a value.
    #[error("Invalid line containing \"{0}\"")]
    TunableWithoutValue(String),
    /// A tunable's value that is not a number.
    #[error("Invalid value \"{value}\" for tunable \"{name}\"")]
    TunableValue {
        /// The tunable as written.
        name: String,
        /// The value as written.
        value: String,
    },
    /// No such tunable.
    #[error("Unknown tunable \"{0}\"")]
    UnknownTunable(String),
    /// The tunable has no effect any more.
    #[error("Obsolete tunable \"{0}\"")]
    ObsoleteTunable(String),
}

impl Kind {
    /// Whether a daemon must not start with this. `strict` is what `ctdb-config validate` asks
    /// for: unknown names are errors there.
    #[must_use]
    pub fn is_error(&self, strict: bool) -> bool {
        match self {
            Self::UnknownSection(_) | Self::OutsideSection(_) | Self::UnknownOption { .. } => {
                strict
            }
            Self::NoValue(_)
            | Self::Repeated { .. }
            | Self::TrailingText { .. }
            | Self::Deprecated { .. } => false,
            _ => true,
        }
    }

    /// What would be right.
    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownSection(_) => Some(format!("sections: {}", SECTIONS.join(", "))),
            Self::OutsideSection(_) => Some("an option belongs below its [section]".to_owned()),
            Self::UnknownOption { section, .. } => {
                let here = OPTIONS.iter().filter(|spec| spec.section == *section);
                let names: Vec<_> = here.map(|spec| spec.name).collect();
                Some(format!("options of [{section}]: {}", names.join(", ")))
            }
            Self::EmptyValue { section, name }
            | Self::InvalidValue { section, name, .. }
            | Self::Rejected { section, name, .. } => OPTIONS
                .iter()
                .find(|spec| spec.section == *section && spec.name == *name)
                .map(|spec| format!("right is: {}", spec.takes)),
            Self::Malformed => Some("a line is [section], name = value, or # comment".to_owned()),
            Self::TunableValue { .. } => Some("right is: 0 to 4294967295".to_owned()),
            Self::TunableWithoutValue(_) | Self::TunableSyntax => {
                Some("a line is Name = number".to_owned())
            }
            _ => None,
        }
    }
}

impl Diagnostic {
    pub(crate) fn new(file: &Path, line: usize, kind: Kind) -> Self {
        let file = file.to_owned();
        Self { file, line, kind }
    }

    /// The lines that 4.17's `ctdb-config validate` prints for this, in order; upstream's own
    /// tests compare them. Empty where C says nothing.
    #[must_use]
    pub fn c_lines(&self) -> Vec<String> {
        match &self.kind {
            Kind::Rejected {
                name,
                reason,
                known_to_c,
                ..
            } => {
                let verdict = format!("conf: validation for option \"{name}\" failed");
                let reason = known_to_c.then(|| reason.clone());
                reason.into_iter().chain([verdict]).collect()
            }
            Kind::Malformed
            | Kind::NoValue(_)
            | Kind::Repeated { .. }
            | Kind::TrailingText { .. } => Vec::new(),
            kind => vec![kind.to_string()],
        }
    }
}

/// File, line, what is wrong with which section and option, and what would be right.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file.display(), self.line)?;
        if let Kind::Rejected {
            section,
            name,
            known_to_c: false,
            ..
        } = self.kind
        {
            write!(f, "[{section}] -> {name}: ")?;
        }
        write!(f, "{}", self.kind)?;
        match self.kind.hint() {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}
