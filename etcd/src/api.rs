//! The requests that this program has for etcd, and their answers.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::http::{Client, Error, NOT_FOUND, Stream};
use crate::json::{Change, Head, Int, KeyValue, Text};

/// All keys of a cluster at one revision, or the answer of a question for one key.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Keys {
    /// With the store's revision.
    pub header: Head,
    /// The keys.
    pub kvs: Vec<KeyValue>,
}

/// News of a watch.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct News {
    /// etcd ends the watch, for instance because it no longer knows that far back.
    pub canceled: bool,
    /// What has changed.
    pub events: Vec<Change>,
}

/// An answer within a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Streamed<T> {
    result: T,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lease {
    #[serde(rename = "ID")]
    id: Int,
    #[serde(rename = "TTL")]
    ttl: Int,
}

/// What came of a transaction.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Done {
    header: Head,
    succeeded: bool,
    responses: Vec<Response>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Response {
    response_range: Keys,
}

/// What came of making a key that must not be there.
#[derive(Debug)]
pub enum Made {
    /// It is there now, since this revision.
    Since(u64),
    /// It was there, as this; nothing: something else stood against it.
    Not(Option<KeyValue>),
}

/// etcd.
pub struct Api {
    client: Client,
}

impl Api {
    /// By way of these endpoints.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client }
    }

    /// A new lease of so many seconds: its number, and how long it really is.
    ///
    /// # Errors
    /// As [`Client::post`], as for everything here.
    pub async fn grant(&self, seconds: u32) -> Result<(Int, u32), Error> {
        let request = json!({"TTL": seconds.to_string(), "ID": "0"});
        let lease: Lease = self.ask("/v3/lease/grant", &request).await?;
        Ok((lease.id, u32::try_from(lease.ttl.0).unwrap_or_default()))
    }

    /// Renews a lease: for how many seconds; 0 if it is not there any more.
    ///
    /// # Errors
    /// As for everything here.
    pub async fn keep_alive(&self, id: Int) -> Result<u32, Error> {
        let lease: Streamed<Lease> = self.ask("/v3/lease/keepalive", &json!({"ID": id})).await?;
        Ok(u32::try_from(lease.result.ttl.0).unwrap_or_default())
    }

    /// Ends a lease and its keys; one that is not there is as good.
    ///
    /// # Errors
    /// As for everything here.
    pub async fn revoke(&self, id: Int) -> Result<(), Error> {
        let ended: Result<Value, Error> = self.ask("/v3/lease/revoke", &json!({"ID": id})).await;
        match ended {
            Ok(_)
            | Err(Error::Refused {
                code: NOT_FOUND, ..
            }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// One key.
    ///
    /// # Errors
    /// As for everything here.
    pub async fn get(&self, key: &str) -> Result<Option<KeyValue>, Error> {
        let keys: Keys = self
            .ask("/v3/kv/range", &json!({"key": Text::from(key)}))
            .await?;
        Ok(keys.kvs.into_iter().next())
    }

    /// All keys that begin so.
    ///
    /// # Errors
    /// As for everything here.
    pub async fn list(&self, prefix: &str) -> Result<Keys, Error> {
        let range = json!({"key": Text::from(prefix), "range_end": Text(end_of(prefix))});
        self.ask("/v3/kv/range", &range).await
    }

    /// Makes a key that is not there, if the other one, if any, has been there since that revision.
    ///
    /// # Errors
    /// As for everything here.
    pub async fn make(
        &self,
        key: &str,
        value: &str,
        lease: Int,
        beside: Option<(&str, u64)>,
    ) -> Result<Made, Error> {
        let key = Text::from(key);
        let mut compare = vec![created(&key, 0)];
        if let Some((other, revision)) = beside {
            compare.push(created(&other.into(), revision));
        }
        let done: Done = self
            .ask(
                "/v3/kv/txn",
                &json!({
                    "compare": compare,
                    "success": [{"request_put": {"key": key, "value": Text::from(value), "lease": lease}}],
                    "failure": [{"request_range": {"key": key}}],
                }),
            )
            .await?;
        if done.succeeded {
            return Ok(Made::Since(done.header.revision.revision()));
        }
        let found = done.responses.into_iter().next();
        Ok(Made::Not(
            found.and_then(|r| r.response_range.kvs.into_iter().next()),
        ))
    }

    /// Removes a key if it has this value.
    ///
    /// # Errors
    /// As for everything here.
    pub async fn remove(&self, key: &str, value: &str) -> Result<(), Error> {
        let (key, value) = (Text::from(key), Text::from(value));
        let request = json!({
            "compare": [{"key": key, "target": "VALUE", "result": "EQUAL", "value": value}],
            "success": [{"request_delete_range": {"key": key}}],
        });
        self.ask::<Done>("/v3/kv/txn", &request).await.map(|_| ())
    }

    /// All changes of keys that begin so, from that revision on.
    ///
    /// # Errors
    /// As for everything here.
    pub async fn watch(&self, prefix: &str, from: u64) -> Result<Stream, Error> {
        let request = json!({"create_request": {
            "key": Text::from(prefix),
            "range_end": Text(end_of(prefix)),
            "start_revision": from.to_string(),
        }});
        self.client.stream("/v3/watch", &request.to_string()).await
    }

    /// The next time another endpoint is asked first.
    pub fn turn(&self) {
        self.client.turn();
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str, request: &Value) -> Result<T, Error> {
        let bytes = self.client.post(path, &request.to_string()).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.client.malformed(path, &error))
    }
}

fn created(key: &Text, revision: u64) -> Value {
    let revision = revision.to_string();
    json!({"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": revision})
}

/// One line of a watch.
///
/// # Errors
/// What is no news.
pub fn news(line: &[u8]) -> Result<News, serde_json::Error> {
    serde_json::from_slice::<Streamed<News>>(line).map(|streamed| streamed.result)
}

/// The first key behind all that begin so. A prefix ends with `/`.
fn end_of(prefix: &str) -> String {
    let mut end = prefix.strip_suffix('/').unwrap_or(prefix).to_owned();
    end.push('0');
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_etcd_writes_them() {
        let gone = br#"{"result":{"header":{"revision":"3"},"events":[{"type":"DELETE","kv":{"key":"Y3RkYi9h","mod_revision":"3"}}]}}"#;
        let news = news(gone).unwrap();
        assert_eq!(news.events[0].kind, "DELETE");
        assert_eq!(news.events[0].kv.mod_revision, Int(3));
        let none = r#"{"header":{"revision":"2"},"responses":[{"response_range":{"kvs":[{"key":"YQ==","lease":"9"}]}}]}"#;
        let done: Done = serde_json::from_str(none).unwrap();
        assert!(!done.succeeded);
        assert_eq!(done.responses[0].response_range.kvs[0].lease, Int(9));
        assert_eq!(end_of("/ctdb/"), "/ctdb0");
    }
}
