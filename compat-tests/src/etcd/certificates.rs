//! A certificate for etcd's servers and for whom they let in, and the authority that it is from; made for one run, by openssl.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::ADDRESS;
use crate::host::output;

/// Where a key is made.
const NEW_KEY: [&str; 6] = [
    "req",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
];

/// The files.
#[derive(Debug, Clone)]
pub(crate) struct Certificates {
    /// The authority's certificate.
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificates {
    /// Where they are in a directory.
    pub(crate) fn of(dir: &Path) -> Self {
        Self {
            ca: dir.join("ca.pem"),
            certificate: dir.join("certificate.pem"),
            key: dir.join("key.pem"),
        }
    }

    /// Makes them there.
    pub(crate) fn make(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        // etcd's own gateway asks its server with the server's certificate
        let uses =
            format!("subjectAltName = IP:{ADDRESS}\nextendedKeyUsage = serverAuth, clientAuth\n");
        fs::write(dir.join("uses"), uses)?;
        let openssl = |first: &[&str], rest: &str| {
            let mut command = Command::new("openssl");
            command.current_dir(dir).args(first);
            output(command.args(rest.split(' ')))
        };
        openssl(
            &NEW_KEY,
            "-x509 -subj /CN=authority -days 2 -keyout ca-key.pem -out ca.pem",
        )?;
        openssl(&NEW_KEY, "-subj /CN=etcd -keyout key.pem -out request.pem")?;
        openssl(
            &["x509", "-req", "-days", "2", "-extfile", "uses"],
            "-in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -out certificate.pem",
        )?;
        Ok(Self::of(dir))
    }
}
