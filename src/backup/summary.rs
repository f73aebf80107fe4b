//! The small objects beside an archive. They are not encrypted, so no file of the client is named.

use jiff::Timestamp;
use mai_contract::is_unprintable;
use mai_contract::job::{BackupId, Subject};
use serde::{Deserialize, Serialize};

/// Version of this format and of the archive.
pub const FORMAT: u32 = 1;
/// Longest text in a summary beside the image, in characters.
pub(crate) const MAX_TEXT: usize = 256;
const SUMMARY: &str = ".json";
const VERIFICATION: &str = ".verified.json";
const PLAIN: &str = ".tar.gz";
const ENCRYPTED: &str = ".tar.gz.age";

/// A backup, in short. Written after its archive: what has none is not a backup.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// [`FORMAT`].
    pub format: u32,
    /// Its id.
    pub id: BackupId,
    /// The instance of the data.
    pub instance: Subject,
    /// Moment of the data in it.
    pub taken_at: Timestamp,
    /// Reason of the backup, as a sentence for people.
    pub reason: String,
    /// Image of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Version of mai that made it.
    pub mai_version: String,
    /// The archive.
    pub archive: ArchiveInfo,
    /// SHA-256 of `manifest.json` in it, in hex.
    pub manifest_sha256: String,
    /// Bytes of all files of the data in it.
    pub data_bytes: u64,
    /// Number of files of the data in it.
    pub files: u64,
    /// Number of databases among them.
    pub databases: u64,
    /// Public keys whose identities open the archive; none where it is not encrypted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// Names of secrets that a restore elsewhere needs and that are not in the archive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_secrets: Vec<String>,
}

impl Summary {
    /// Returns true if the archive is encrypted.
    pub fn is_encrypted(&self) -> bool {
        !self.recipients.is_empty()
    }
}

/// Returns a reason as a summary may have it: without control characters, and not longer than
/// [`MAX_TEXT`].
pub(crate) fn reason(text: &str) -> String {
    text.chars().take(MAX_TEXT).map(|character| if is_unprintable(character) { ' ' } else { character }).collect()
}

/// An archive as it is stored.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveInfo {
    /// Name of the object.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 of them, in hex.
    pub sha256: String,
}

/// Verification of a backup in one destination.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// [`FORMAT`].
    pub format: u32,
    /// The backup.
    pub id: BackupId,
    /// Time of the verification.
    pub verified_at: Timestamp,
    /// Extent of the verification.
    pub extent: Extent,
}

/// Extent of a verification.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Extent {
    /// It was read back, unpacked, and each file and database in it was checked.
    Content,
    /// It was read back and is the archive that was written; no identity was there to open it with.
    Checksum,
}

/// Kind of an object of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// The archive.
    Archive {
        /// It is encrypted.
        encrypted: bool,
    },
    /// Its [`Summary`].
    Summary,
    /// Its [`Verification`].
    Verification,
}

impl ObjectKind {
    const ALL: [Self; 4] =
        [Self::Archive { encrypted: false }, Self::Archive { encrypted: true }, Self::Verification, Self::Summary];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Archive { encrypted: false } => PLAIN,
            Self::Archive { encrypted: true } => ENCRYPTED,
            Self::Summary => SUMMARY,
            Self::Verification => VERIFICATION,
        }
    }

    /// Returns the name of the object of a backup.
    pub fn name(self, id: &BackupId) -> String {
        format!("{id}{}", self.suffix())
    }

    /// Returns the backup and the kind of an object; None for an object that is not ours.
    pub fn parse(name: &str) -> Option<(BackupId, Self)> {
        let (kind, id) = Self::ALL.into_iter().find_map(|kind| Some((kind, name.strip_suffix(kind.suffix())?)))?;
        Some((id.parse().ok()?, kind))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reason_of_an_order_becomes_one_short_line() {
        assert_eq!(reason("before the move"), "before the move");
        assert_eq!(reason("two\nlines\u{1b}[2J"), "two lines [2J");
        assert_eq!(reason(&"\u{17c}".repeat(300)).chars().count(), MAX_TEXT);
    }

    #[test]
    fn object_names_are_read_back_and_others_ignored() {
        let id = BackupId::new("2026-11-30T02:00:00Z".parse().unwrap(), 7);
        for (kind, name) in [
            (ObjectKind::Archive { encrypted: false }, "20261130-020000-000007.tar.gz"),
            (ObjectKind::Archive { encrypted: true }, "20261130-020000-000007.tar.gz.age"),
            (ObjectKind::Summary, "20261130-020000-000007.json"),
            (ObjectKind::Verification, "20261130-020000-000007.verified.json"),
        ] {
            assert_eq!(kind.name(&id), name);
            assert_eq!(ObjectKind::parse(name), Some((id.clone(), kind)));
        }
        for name in ["notes.json", ".mai-job.lock", "20261130-020000-000007", "20261130-020000-000007.tar.gz.part"] {
            assert_eq!(ObjectKind::parse(name), None, "{name}");
        }
    }
}
