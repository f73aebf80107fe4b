//! Record of the notices that webhooks took. It survives a restart, so that none is sent twice or lost.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{InstanceId, RecordError};

/// Record of what each webhook was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Notified {
    /// By the id of the webhook.
    pub webhooks: BTreeMap<String, NotifiedWebhook>,
}

/// Record of what one webhook was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NotifiedWebhook {
    /// Conditions that were told to be bad, by instance.
    pub bad: BTreeMap<NotifiedInstance, BTreeSet<String>>,
    /// The part of its month's limit that was told last, by instance.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<NotifiedInstance, NotifiedLimit>,
    /// Time of the last list of everything that is bad.
    pub reminded_at: Option<Timestamp>,
}

/// A part of a month's limit that was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifiedLimit {
    /// The month.
    pub month: String,
    /// Percent of the limit that were reached.
    pub level: i32,
}

/// An instance about which a notice was sent: `namespace/name/uid`, none of which holds a slash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NotifiedInstance(pub InstanceId);

impl From<NotifiedInstance> for String {
    fn from(NotifiedInstance(id): NotifiedInstance) -> Self {
        format!("{}/{}/{}", id.namespace, id.name, id.uid)
    }
}

impl TryFrom<String> for NotifiedInstance {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.split('/').collect::<Vec<_>>()[..] {
            [namespace, name, uid] => {
                Ok(Self(InstanceId { namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.to_owned() }))
            }
            _ => Err(format!("{text:?} does not name an instance as namespace/name/uid")),
        }
    }
}

/// Storage of what was told.
pub trait NotificationRecord: Send + Sync + 'static {
    /// Returns what is stored; nothing before the first notification.
    fn load_notified(&self) -> impl Future<Output = Result<Notified, RecordError>> + Send;

    /// Stores what was told, in place of what is stored.
    fn put_notified(&self, notified: &Notified) -> impl Future<Output = Result<(), RecordError>> + Send;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn stored_text_is_read_as_it_was_written() {
        let id = InstanceId { namespace: "default".into(), name: "abc".into(), uid: "1-2".into() };
        let webhook = NotifiedWebhook {
            bad: [(NotifiedInstance(id), BTreeSet::from(["Ready".to_owned()]))].into(),
            limits: BTreeMap::new(),
            reminded_at: Some(Timestamp::UNIX_EPOCH),
        };
        let notified = Notified { webhooks: [("a1".to_owned(), webhook)].into() };
        let text = serde_json::to_string(&notified).unwrap();
        assert_eq!(text, r#"{"a1":{"bad":{"default/abc/1-2":["Ready"]},"remindedAt":"1970-01-01T00:00:00Z"}}"#);
        assert_eq!(serde_json::from_str::<Notified>(&text).unwrap(), notified);
        assert!(serde_json::from_str::<NotifiedInstance>(r#""default/abc""#).is_err());
    }
}
