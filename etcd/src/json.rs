//! Values as the JSON gateway writes them: 64-bit numbers as text, bytes in base64, and nothing at all for zero.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A 64-bit number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Int(pub i64);

impl Serialize for Int {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Number(i64),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(Self(number)),
            Either::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

impl Int {
    /// As a revision, which is never negative.
    #[must_use]
    pub fn revision(self) -> u64 {
        u64::try_from(self.0).unwrap_or_default()
    }
}

/// Bytes that are text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text(pub String);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        String::from_utf8(bytes)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// What is in the head of each answer.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Head {
    /// Of the whole store, when it answered.
    pub revision: Int,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct KeyValue {
    /// The key.
    pub key: Text,
    /// Its value; empty in the news of its end.
    pub value: Text,
    /// When it was made.
    pub create_revision: Int,
    /// When it was changed, or ended.
    pub mod_revision: Int,
    /// The lease that it ends with; 0: none.
    pub lease: Int,
}

/// A change of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Change {
    /// `DELETE`, or nothing.
    #[serde(rename = "type")]
    pub kind: String,
    /// The key as it is now.
    pub kv: KeyValue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_as_etcd_shows_it() {
        let text = r#"{"key":"Y3RkYi9h","create_revision":"2","version":"1","value":"dg==","lease":"7587899104346499845"}"#;
        let kv: KeyValue = serde_json::from_str(text).unwrap();
        assert_eq!((kv.key, kv.value), ("ctdb/a".into(), "v".into()));
        assert_eq!(
            (kv.create_revision, kv.lease.0),
            (Int(2), 7_587_899_104_346_499_845)
        );
        assert_eq!(kv.mod_revision.revision(), 0);
        assert_eq!(serde_json::to_string(&Int(-5)).unwrap(), r#""-5""#);
        assert!(serde_json::from_str::<Text>(r#""?""#).is_err());
        assert!(serde_json::from_str::<Int>(r#""x""#).is_err());
    }
}
