//! Paths of the members of an archive, which need not be text.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use mai_contract::is_unprintable;
use serde::{Deserialize, Serialize};

/// Path in an archive or target of a link. In JSON a string; where it is not UTF-8, an object with
/// its bytes in hex.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct MemberPath(PathBuf);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Text(String),
    Bytes { hex: String },
}

impl MemberPath {
    /// Returns the path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// Returns its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_os_str().as_bytes()
    }
}

impl From<PathBuf> for MemberPath {
    fn from(path: PathBuf) -> Self {
        Self(path)
    }
}

/// Shows it in one line, whatever is in it.
impl fmt::Display for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.to_string_lossy().chars() {
            if is_unprintable(part) { write!(f, "{}", part.escape_default())? } else { write!(f, "{part}")? }
        }
        Ok(())
    }
}

impl TryFrom<Stored> for MemberPath {
    type Error = hex::FromHexError;

    fn try_from(stored: Stored) -> Result<Self, hex::FromHexError> {
        Ok(match stored {
            Stored::Text(text) => Self(text.into()),
            Stored::Bytes { hex } => Self(OsString::from_vec(hex::decode(hex)?).into()),
        })
    }
}

impl From<MemberPath> for Stored {
    fn from(MemberPath(path): MemberPath) -> Self {
        match path.into_os_string().into_string() {
            Ok(text) => Self::Text(text),
            Err(other) => Self::Bytes { hex: hex::encode(other.into_vec()) },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_json_and_show_in_one_line() {
        for (bytes, json, shown) in [
            (&b"data/a b"[..], r#""data/a b""#, "data/a b"),
            (b"data/a\nb", r#""data/a\nb""#, "data/a\\nb"),
            (b"data/\xff", r#"{"hex":"646174612fff"}"#, "data/\u{fffd}"),
        ] {
            let path = MemberPath(OsString::from_vec(bytes.to_vec()).into());
            assert_eq!(serde_json::to_string(&path).unwrap(), json);
            assert_eq!(serde_json::from_str::<MemberPath>(json).unwrap(), path);
            assert_eq!(path.to_string(), shown);
        }
    }
}
