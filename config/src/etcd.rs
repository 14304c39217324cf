//! `manager = etcd`: where etcd is, and how it is spoken to.
//!
//! ctdbd reads the options and hands them down to `ctdb-clusterd` and `ctdb-etcd` as words of a command line.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// Least `etcd lease`, in seconds: etcd itself takes some to elect a leader.
pub const SHORTEST_LEASE: u32 = 5;
/// The port of etcd's clients.
const PORT: u16 = 2379;

/// Who finds out who is a member and who leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Manager {
    /// The nodes among themselves, by elections or a cluster lock.
    #[default]
    Native,
    /// etcd.
    Etcd,
}

/// One member of the etcd cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// https instead of http.
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// Port of its clients.
    pub port: u16,
}

/// What is no [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no etcd endpoint: http://HOST:PORT or https://HOST:PORT")]
pub struct NoEndpoint(pub String);

/// The options of ctdb.conf that begin with `etcd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etcd {
    /// The members of the etcd cluster, in the order in which they are tried.
    pub endpoints: Vec<Endpoint>,
    /// What the keys of this cluster begin with.
    pub prefix: String,
    /// How long a membership lives without being renewed.
    pub lease: Duration,
    /// PEM file of the certificates that etcd's are signed by.
    pub ca_file: Option<PathBuf>,
    /// PEM file of this node's certificate.
    pub certificate_file: Option<PathBuf>,
    /// PEM file of its key.
    pub key_file: Option<PathBuf>,
}

impl Default for Etcd {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            prefix: "/ctdb/".to_owned(),
            lease: Duration::from_secs(10),
            ca_file: None,
            certificate_file: None,
            key_file: None,
        }
    }
}

impl FromStr for Endpoint {
    type Err = NoEndpoint;

    fn from_str(text: &str) -> Result<Self, NoEndpoint> {
        let parse = || {
            let (tls, rest) = match text.strip_prefix("https://") {
                Some(rest) => (true, rest),
                None => (false, text.strip_prefix("http://")?),
            };
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            let (host, port) = match rest.strip_prefix('[') {
                Some(v6) => v6.split_once(']')?,
                None => rest.split_at(rest.find(':').unwrap_or(rest.len())),
            };
            let port = match port.strip_prefix(':') {
                Some(port) => port.parse().ok()?,
                None if port.is_empty() => PORT,
                None => return None,
            };
            let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
            let good = !host.is_empty() && host.chars().all(is_host);
            let host = host.to_owned();
            good.then_some(Self { tls, host, port })
        };
        parse().ok_or_else(|| NoEndpoint(text.to_owned()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// Reads a list of endpoints, separated by commas or blanks.
///
/// # Errors
/// [`NoEndpoint`], also for an empty list.
pub fn endpoints(text: &str) -> Result<Vec<Endpoint>, NoEndpoint> {
    let words = text.split([',', ' ', '\t']).filter(|word| !word.is_empty());
    let endpoints: Vec<Endpoint> = words.map(str::parse).collect::<Result<_, _>>()?;
    if endpoints.is_empty() {
        return Err(NoEndpoint(text.to_owned()));
    }
    Ok(endpoints)
}

impl Etcd {
    /// What all nodes must have in common, as `ctdb getreclock` shows it and as nodes introduce themselves.
    #[must_use]
    pub fn setting(&self) -> String {
        format!("etcd:{}", self.prefix)
    }

    /// Why these options do not work together, if they do not.
    #[must_use]
    pub fn complaint(&self) -> Option<&'static str> {
        let any_tls = self.endpoints.iter().any(|endpoint| endpoint.tls);
        if self.endpoints.is_empty() {
            Some("\"etcd endpoints\" is missing")
        } else if self.certificate_file.is_some() != self.key_file.is_some() {
            Some("\"etcd certificate file\" and \"etcd key file\" belong together")
        } else if any_tls && self.ca_file.is_none() {
            Some("an https endpoint needs \"etcd ca file\"")
        } else if !any_tls && (self.ca_file.is_some() || self.key_file.is_some()) {
            Some("there are certificates, and no endpoint has https")
        } else {
            None
        }
    }

    /// As words of a command line, for [`Etcd::take`].
    #[must_use]
    pub fn words(&self) -> Vec<OsString> {
        let endpoints: Vec<String> = self.endpoints.iter().map(ToString::to_string).collect();
        let mut words: Vec<OsString> = vec![
            "--etcd-endpoints".into(),
            endpoints.join(",").into(),
            "--etcd-prefix".into(),
            self.prefix.clone().into(),
            "--etcd-lease".into(),
            self.lease.as_secs().to_string().into(),
        ];
        let files = [
            ("--etcd-ca-file", &self.ca_file),
            ("--etcd-certificate-file", &self.certificate_file),
            ("--etcd-key-file", &self.key_file),
        ];
        for (option, file) in files {
            if let Some(file) = file {
                words.extend([option.into(), file.clone().into_os_string()]);
            }
        }
        words
    }

    /// Takes one option and its value; false if it is none of these, or the value is wrong.
    pub fn take(&mut self, option: &str, value: &OsStr) -> bool {
        let path = || Some(Path::new(value).to_owned());
        match option {
            "--etcd-endpoints" => match value.to_str().map(endpoints) {
                Some(Ok(endpoints)) => self.endpoints = endpoints,
                _ => return false,
            },
            "--etcd-prefix" => match value.to_str() {
                Some(prefix) => self.prefix = prefix.to_owned(),
                None => return false,
            },
            "--etcd-lease" => match value.to_str().and_then(|text| text.parse().ok()) {
                Some(seconds) => self.lease = Duration::from_secs(seconds),
                None => return false,
            },
            "--etcd-ca-file" => self.ca_file = path(),
            "--etcd-certificate-file" => self.certificate_file = path(),
            "--etcd-key-file" => self.key_file = path(),
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_and_shown() {
        let list = endpoints("http://10.0.0.1:2379, https://localhost\thttp://[::1]:99/").unwrap();
        let shown: Vec<String> = list.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "http://10.0.0.1:2379",
                "https://localhost:2379",
                "http://[::1]:99"
            ]
        );
        for wrong in [
            "",
            ",",
            "10.0.0.1:2379",
            "http://",
            "http://a:b",
            "http://a/x",
            "http://[::1]x",
        ] {
            assert!(endpoints(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_handed_down_arrives() {
        let etcd = Etcd {
            endpoints: endpoints("https://a:1 https://b:2").unwrap(),
            prefix: "/x y/".into(),
            lease: Duration::from_secs(7),
            ca_file: Some("/ca.pem".into()),
            certificate_file: None,
            key_file: Some("/key.pem".into()),
        };
        let mut read = Etcd::default();
        for pair in etcd.words().chunks(2) {
            assert!(read.take(pair[0].to_str().unwrap(), &pair[1]), "{pair:?}");
        }
        assert_eq!(read, etcd);
        assert!(!read.take("--etcd-lease", OsStr::new("x")));
        assert!(!read.take("--etcd-nothing", OsStr::new("x")));
        assert!(
            read.complaint()
                .is_some_and(|text| text.contains("belong together"))
        );
    }
}
