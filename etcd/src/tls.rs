//! TLS for https endpoints: etcd's certificate is checked against the file of ctdb.conf alone, not against the system's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::Etcd;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Why a file of ctdb.conf is of no use.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", file.display())]
pub struct BadFile {
    /// Which.
    pub file: PathBuf,
    /// Why.
    pub reason: String,
}

impl BadFile {
    fn new(file: &Path, reason: impl ToString) -> Self {
        let (file, reason) = (file.to_owned(), reason.to_string());
        Self { file, reason }
    }
}

/// Reads the files; none if no endpoint needs them.
///
/// # Errors
/// [`BadFile`] for one that cannot be read or is not what it should be.
pub fn client_config(etcd: &Etcd) -> Result<Option<Arc<ClientConfig>>, BadFile> {
    let Some(ca_file) = &etcd.ca_file else {
        return Ok(None);
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_file)? {
        roots
            .add(certificate)
            .map_err(|error| BadFile::new(ca_file, error))?;
    }
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let config = match (&etcd.certificate_file, &etcd.key_file) {
        (Some(file), Some(key_file)) => {
            let key = PrivateKeyDer::from_pem_file(key_file)
                .map_err(|error| BadFile::new(key_file, error))?;
            builder
                .with_client_auth_cert(certificates(file)?, key)
                .map_err(|error| BadFile::new(file, error))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Some(Arc::new(config)))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    let bad = |error| BadFile::new(file, error);
    let all = CertificateDer::pem_file_iter(file).map_err(bad)?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(bad)?;
    if all.is_empty() {
        return Err(BadFile::new(file, "there is no certificate in it"));
    }
    Ok(all)
}
