//! Where the log goes, how much of it, and in which format: from ctdb.conf, or handed down by ctdbd.

use std::fmt;
use std::str::FromStr;

use config::conf::Logging;
use config::{Location, LogLevel};
use wire::Pnn;

/// Names the location to ctdbd's children, as 4.17's does.
const LOCATION: &str = "CTDB_LOGGING";
/// Names the level to ctdbd's children, as 4.17's does.
const LEVEL: &str = "CTDB_DEBUGLEVEL";
/// Tells ctdbd's children which node they log for.
const NODE: &str = "CTDB_LOG_NODE";
/// Asks any of our programs for a format. It is no option of ctdb.conf, which a C ctdbd and `ctdb-config validate` read
/// too.
pub const FORMAT: &str = "CTDB_LOG_FORMAT";

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// As 4.17's.
    #[default]
    Text,
    /// A JSON object in each line.
    Json,
}

/// No format has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no log format: text or json")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(UnknownFormat(other.to_owned())),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// What the log of a process is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Where it goes.
    pub location: Location,
    /// How much of it.
    pub level: LogLevel,
    /// What a line looks like.
    pub format: Format,
    /// Which node this is, where that is known from the start.
    pub node: Option<Pnn>,
    /// They are those of the ctdbd that started this process.
    pub handed_down: bool,
}

impl LogSettings {
    /// As ctdb.conf says, in the format that was asked for on the command line, else by `CTDB_LOG_FORMAT`.
    ///
    /// # Errors
    /// [`UnknownFormat`] in the environment.
    pub fn new(
        logging: &Logging,
        asked: Option<Format>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, UnknownFormat> {
        let format = match (asked, variable(FORMAT)) {
            (Some(format), _) => format,
            (None, Some(text)) => text.parse()?,
            (None, None) => Format::Text,
        };
        Ok(Self {
            location: logging.location.clone(),
            level: logging.level_for_daemon(),
            format,
            node: None,
            handed_down: false,
        })
    }

    /// The settings of the ctdbd that started this process, as far as it handed them down; else these.
    #[must_use]
    pub fn or_handed_down(mut self, variable: impl Fn(&str) -> Option<String>) -> Self {
        if let Some(location) = variable(LOCATION).and_then(|text| text.parse().ok()) {
            self.location = location;
            self.handed_down = true;
        }
        if let Some(level) = variable(LEVEL).and_then(|text| text.parse().ok()) {
            self.level = level;
        }
        if let Some(format) = variable(FORMAT).and_then(|text| text.parse().ok()) {
            self.format = format;
        }
        if let Some(node) = variable(NODE).and_then(|text| text.parse().ok()) {
            self.node = Some(Pnn(node));
        }
        self
    }

    /// The variables that hand these settings down.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let level = self.level.rounded();
        let node = self.node.map(|node| (NODE, node.to_string()));
        let others = [
            (LOCATION, self.location.to_string()),
            (LEVEL, level.name().to_owned()),
            (FORMAT, self.format.to_string()),
        ];
        others.into_iter().chain(node).collect()
    }
}

/// Notices as text on standard error.
impl Default for LogSettings {
    fn default() -> Self {
        Self {
            location: Location::Stderr,
            level: LogLevel::NOTICE,
            format: Format::Text,
            node: None,
            handed_down: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_goes_before_the_environment() {
        let logging = Logging::default();
        let new = |asked, text: Option<&str>| {
            let text = text.map(str::to_owned);
            LogSettings::new(&logging, asked, |_| text.clone()).map(|settings| settings.format)
        };
        assert_eq!(new(None, None), Ok(Format::Text));
        assert_eq!(new(None, Some("json")), Ok(Format::Json));
        assert_eq!(new(Some(Format::Text), Some("json")), Ok(Format::Text));
        assert_eq!(new(None, Some("xml")), Err(UnknownFormat("xml".into())));
    }

    #[test]
    fn children_log_as_their_parent() {
        let parent = LogSettings {
            location: Location::File("/var/log/x".into()),
            level: LogLevel(7),
            format: Format::Json,
            node: Some(Pnn(3)),
            handed_down: true,
        };
        let variables = parent.variables();
        let find = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone())
        };
        let child = LogSettings::default().or_handed_down(find);
        let level = LogLevel::INFO;
        assert_eq!(child, LogSettings { level, ..parent });
        let alone = LogSettings::default().or_handed_down(|_| None);
        assert_eq!(alone, LogSettings::default());
        let nonsense = LogSettings::default().or_handed_down(|_| Some("nonsense".into()));
        assert_eq!(nonsense, LogSettings::default());
    }
}
