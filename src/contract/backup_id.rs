//! Ids of backups, and of other jobs.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Id of a backup: `YYYYMMDD-HHMMSS-xxxxxx`, the time in UTC and a random part. A DNS label, and
/// sorted by time.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(try_from = "String", into = "String")]
pub struct BackupId(String);

/// A text that is no id of a backup.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the id of a backup, such as 20261130-020000-1f2e3d")]
pub struct InvalidBackupId(String);

impl BackupId {
    /// Returns the id of a backup of this moment. `random` makes it differ from another of the same
    /// second.
    pub fn new(at: Timestamp, random: u32) -> Self {
        Self(format!("{}-{:06x}", at.strftime("%Y%m%d-%H%M%S"), random & 0x00ff_ffff))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BackupId {
    type Err = InvalidBackupId;

    fn from_str(text: &str) -> Result<Self, InvalidBackupId> {
        let shape = text.bytes().map(|byte| match byte {
            b'0'..=b'9' => b'9',
            b'a'..=b'f' => b'a',
            other => other,
        });
        let is_date = shape.clone().take(16).eq(*b"99999999-999999-");
        let is_hex = shape.skip(16).all(|byte| matches!(byte, b'9' | b'a'));
        if is_date && is_hex && text.len() == 22 {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidBackupId(text.to_owned()))
        }
    }
}

impl TryFrom<String> for BackupId {
    type Error = InvalidBackupId;

    fn try_from(text: String) -> Result<Self, InvalidBackupId> {
        text.parse()
    }
}

impl From<BackupId> for String {
    fn from(id: BackupId) -> Self {
        id.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_backups_are_sorted_by_time_and_read_back() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let early = BackupId::new(at("2026-11-30T02:00:00Z"), 0xffff_ffff);
        let late = BackupId::new(at("2026-11-30T02:00:01Z"), 1);
        assert_eq!(early.as_str(), "20261130-020000-ffffff");
        assert!(early < late);
        assert_eq!(late.as_str().parse::<BackupId>().unwrap(), late);
        for text in ["", "20261130-020000", "20261130-020000-1", "20261130-020000-00000g", "../20261130-020000-000001"]
        {
            assert!(text.parse::<BackupId>().is_err(), "{text}");
        }
    }
}
