//! Requests to whichever endpoint answers: the one that answered last is asked first.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use config::etcd::Endpoint;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longest answer, and longest piece of news, in bytes. The keys of a cluster take a few hundred each.
const LONGEST: usize = 8 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No endpoint could be asked, or none has a leader; this is what the last of them said.
    #[error("{endpoint}: {reason}")]
    Unreachable {
        /// The last.
        endpoint: Endpoint,
        /// What went wrong.
        reason: String,
    },
    /// etcd does not do it.
    #[error("{endpoint}: {message} (code {code})")]
    Refused {
        /// Who said so.
        endpoint: Endpoint,
        /// A code of gRPC.
        code: i64,
        /// etcd's words.
        message: String,
    },
}

/// gRPC's code for what is not there: a lease that has ended.
pub const NOT_FOUND: i64 = 5;
/// The same for a time-out, a lack of resources, an abortion, a server's trouble, a server that is not there: another
/// endpoint may know better.
const PASSING: [i64; 6] = [4, 8, 10, 13, 14, 2];

/// What etcd answers in place of an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: String,
    code: i64,
}

/// The endpoints, and how to reach them.
pub struct Client {
    endpoints: Vec<Endpoint>,
    /// The one to ask first.
    first: Cell<usize>,
    tls: Option<Arc<ClientConfig>>,
    /// How long one endpoint may take.
    patience: Duration,
}

/// An answer that goes on: a JSON value a line.
#[derive(Debug)]
pub struct Stream {
    body: Incoming,
    buffer: BytesMut,
}

impl Client {
    /// `patience` is how long one endpoint may take; there must be at least one.
    #[must_use]
    pub fn new(
        endpoints: Vec<Endpoint>,
        tls: Option<Arc<ClientConfig>>,
        patience: Duration,
    ) -> Self {
        Self {
            endpoints,
            first: Cell::new(0),
            tls,
            patience,
        }
    }

    /// Asks one endpoint after the other until one answers.
    ///
    /// # Errors
    /// [`Error`]: a refusal of the first that is no passing trouble, or the last one's trouble.
    pub async fn post(&self, path: &str, body: &str) -> Result<Bytes, Error> {
        let ask = async |endpoint: &Endpoint| {
            let response = self.send(endpoint, path, body).await?;
            let status = response.status();
            let bytes = Limited::new(response.into_body(), LONGEST).collect().await;
            let bytes = bytes.map_err(|error| error.to_string())?.to_bytes();
            Ok((status.is_success(), bytes))
        };
        self.try_all(async |endpoint| {
            let asked = tokio::time::timeout(self.patience, ask(endpoint)).await;
            match asked.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
                Ok((true, bytes)) => Ok(bytes),
                Ok((false, bytes)) => Err(refused(endpoint, &bytes)),
                Err(reason) => Err(unreachable(endpoint, reason)),
            }
        })
        .await
    }

    /// The same for an answer that goes on.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub async fn stream(&self, path: &str, body: &str) -> Result<Stream, Error> {
        self.try_all(async |endpoint| {
            let sent = tokio::time::timeout(self.patience, self.send(endpoint, path, body)).await;
            match sent.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
                Ok(response) if response.status().is_success() => Ok(Stream {
                    body: response.into_body(),
                    buffer: BytesMut::new(),
                }),
                Ok(response) => Err(unreachable(endpoint, response.status().to_string())),
                Err(reason) => Err(unreachable(endpoint, reason)),
            }
        })
        .await
    }

    /// An answer that cannot be read.
    #[must_use]
    pub fn malformed(&self, path: &str, error: &serde_json::Error) -> Error {
        unreachable(
            &self.endpoints[self.first.get()],
            format!("{path}: {error}"),
        )
    }

    /// The next time another endpoint is asked first.
    pub fn turn(&self) {
        self.first
            .set((self.first.get() + 1) % self.endpoints.len());
    }

    async fn try_all<T>(
        &self,
        ask: impl AsyncFn(&Endpoint) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (count, first) = (self.endpoints.len(), self.first.get());
        let mut tried = 0;
        loop {
            let index = (first + tried) % count;
            let result = ask(&self.endpoints[index]).await;
            tried += 1;
            match result {
                Err(Error::Unreachable { .. }) if tried < count => {}
                result => {
                    if result.is_ok() {
                        self.first.set(index);
                    }
                    return result;
                }
            }
        }
    }

    async fn send(
        &self,
        endpoint: &Endpoint,
        path: &str,
        body: &str,
    ) -> Result<Response<Incoming>, String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await;
        let tcp = tcp.map_err(|error| text(&error))?;
        tcp.set_nodelay(true).map_err(|error| text(&error))?;
        if !endpoint.tls {
            return request(tcp, endpoint, path, body).await;
        }
        let tls = self.tls.clone().ok_or("no etcd ca file")?;
        let name = ServerName::try_from(endpoint.host.clone()).map_err(|error| text(&error))?;
        let stream = TlsConnector::from(tls).connect(name, tcp).await;
        request(stream.map_err(|error| text(&error))?, endpoint, path, body).await
    }
}

async fn request<S>(
    stream: S,
    endpoint: &Endpoint,
    path: &str,
    body: &str,
) -> Result<Response<Incoming>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let text = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    // it ends with the request's sender and the answer's body
    tokio::task::spawn_local(connection);
    let request = Request::post(path)
        .header(HOST, format!("{}:{}", endpoint.host, endpoint.port))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .map_err(|error| error.to_string())?;
    sender.send_request(request).await.map_err(text)
}

fn unreachable(endpoint: &Endpoint, reason: String) -> Error {
    let endpoint = endpoint.clone();
    Error::Unreachable { endpoint, reason }
}

fn refused(endpoint: &Endpoint, bytes: &[u8]) -> Error {
    let refusal: Refusal = serde_json::from_slice(bytes).unwrap_or_default();
    let (code, message) = (refusal.code, refusal.error);
    if code == 0 || PASSING.contains(&code) {
        let reason = if message.is_empty() {
            "an answer that is none of etcd's".to_owned()
        } else {
            message
        };
        return unreachable(endpoint, reason);
    }
    let endpoint = endpoint.clone();
    Error::Refused {
        endpoint,
        code,
        message,
    }
}

impl Stream {
    /// The next line; none at the end, orderly or not. May be cancelled.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                return Some(self.buffer.split_to(end + 1).freeze());
            }
            if self.buffer.len() > LONGEST {
                return None;
            }
            let frame = self.body.frame().await?.ok()?;
            if let Some(data) = frame.data_ref() {
                self.buffer.extend_from_slice(data);
            }
        }
    }
}
