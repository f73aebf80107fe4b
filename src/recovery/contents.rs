//! Contents of a backup of a server: the files of its directory of documents, and what its state
//! database holds that is needed elsewhere.

use std::path::{Path, PathBuf};

use mai_contract::is_unprintable;
use secrecy::{ExposeSecret, SecretSlice};
use sha2::{Digest, Sha256};

use super::RecoveryError;
use super::atomic_file::{make_directory, remove_directory, write};
use super::server_state::ServerState;
use crate::source::directory::{SourceFile, read_files};
use crate::state::State;

/// Folder of the documents in the data of an archive.
pub(super) const DOCUMENTS: &str = "documents";
/// The state in the data of an archive.
pub(super) const STATE: &str = "state.json";
/// Most secrets that are named as missing, and the longest name. A summary has them all.
const MAX_MISSING: usize = 100;
const MAX_NAME: usize = 200;

/// Contents of a backup of a server.
pub(super) struct Contents {
    files: Vec<ContentFile>,
    state: ServerState,
    /// Names of what an archive that is not encrypted leaves out.
    pub(super) missing: Vec<String>,
}

struct ContentFile {
    path: PathBuf,
    mode: u32,
    content: SecretSlice<u8>,
}

impl Contents {
    /// Collects the contents. `with_secrets` says that the archive is encrypted.
    pub(super) async fn collect(
        documents: &Path,
        state: &State,
        runtime: &str,
        with_secrets: bool,
    ) -> Result<Self, RecoveryError> {
        let directory = documents.to_owned();
        let read = tokio::task::spawn_blocking(move || read_files(&directory)).await;
        let read = read.map_err(mai_backup::BackupError::from)??;
        let instances = state.instances().await?;
        let mut contents =
            Self { files: Vec::new(), state: ServerState::new(runtime, &instances, with_secrets), missing: Vec::new() };
        for file in read {
            contents.add(file, with_secrets);
        }
        if !with_secrets {
            let with_key = instances.iter().filter(|instance| instance.session_key.is_some());
            let name =
                |of: &crate::state::KnownInstance| format!("session key of {}/{}", of.known.namespace, of.known.name);
            contents.missing.extend(with_key.map(name));
        }
        contents.missing = named(contents.missing);
        Ok(contents)
    }

    fn add(&mut self, file: SourceFile, with_secrets: bool) {
        let SourceFile { path, mode, .. } = file.clone();
        if with_secrets {
            self.files.push(ContentFile { path, mode, content: file.content });
            return;
        }
        let (left, missing) = file.without_secrets();
        self.missing.extend(missing);
        if let Some(text) = left {
            self.files.push(ContentFile { path, mode, content: text.into_bytes().into() });
        }
    }

    /// Returns a text that differs where anything but a status does.
    pub(super) fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        let mut add = |part: &[u8]| {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        };
        for file in &self.files {
            add(file.path.as_os_str().as_encoded_bytes());
            add(&file.mode.to_le_bytes());
            add(file.content.expose_secret());
        }
        // A state that cannot be serialised fails when it is written.
        add(&serde_json::to_vec(&self.state.without_statuses()).unwrap_or_default());
        hex::encode(hasher.finalize())
    }

    /// Writes them into the directory that an archive is made of, in place of what is there.
    pub(super) fn write(&self, data: &Path) -> Result<(), RecoveryError> {
        remove_directory(data)?;
        let documents = data.join(DOCUMENTS);
        make_directory(&documents)?;
        for file in &self.files {
            let path = documents.join(&file.path);
            make_directory(path.parent().unwrap_or(&documents))?;
            write(&path, file.content.expose_secret(), file.mode & 0o777)?;
        }
        let path = data.join(STATE);
        let text = serde_json::to_vec_pretty(&self.state)
            .map_err(|error| RecoveryError::io("written", &path)(error.into()))?;
        write(&path, &text, 0o600)
    }
}

/// Returns names as a summary may have them.
fn named(mut names: Vec<String>) -> Vec<String> {
    let more = names.len().saturating_sub(MAX_MISSING);
    names.truncate(MAX_MISSING);
    let mut names: Vec<String> = names
        .into_iter()
        .map(|name| name.chars().filter(|letter| !is_unprintable(*letter)).take(MAX_NAME).collect())
        .collect();
    if more > 0 {
        names.push(format!("{more} more"));
    }
    names
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn collect(documents: &Path, state: &State, with_secrets: bool) -> Contents {
        Contents::collect(documents, state, "process", with_secrets).await.unwrap()
    }

    #[tokio::test]
    async fn contents_differ_with_documents_and_hold_no_open_secret() {
        let top = tempfile::tempdir().unwrap();
        let (documents, data) = (top.path().join("documents"), top.path().join("data"));
        std::fs::create_dir_all(documents.join("secrets")).unwrap();
        std::fs::write(documents.join("a.yaml"), "kind: MaiInstance\nmetadata: {name: a}\n").unwrap();
        let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: sesame}\n";
        std::fs::write(documents.join("secrets/s.yaml"), secret).unwrap();
        let state = State::open(&top.path().join("state")).await.unwrap();
        let row = state.accept("default", "a", &json!({"spec": {}}), Some("a.yaml")).await.unwrap();
        let without_key = collect(&documents, &state, true).await.digest();
        let key = state.generated_secret(&row.uid, "session-key").await.unwrap();
        let contents = collect(&documents, &state, true).await;
        assert_ne!(contents.digest(), without_key);
        let status = crate::api::MaiInstanceStatus { backup: Some(Default::default()), ..Default::default() };
        state.put_status(&row.uid, &status).await.unwrap();
        assert_eq!(collect(&documents, &state, true).await.digest(), contents.digest());

        contents.write(&data).unwrap();
        let text = std::fs::read_to_string(data.join("state.json")).unwrap();
        assert!(text.contains(key.expose_secret()), "{text}");
        assert_eq!(std::fs::read_to_string(data.join("documents/secrets/s.yaml")).unwrap(), secret);

        let plain = collect(&documents, &state, false).await;
        plain.write(&data).unwrap();
        let text = std::fs::read_to_string(data.join("state.json")).unwrap();
        assert!(!text.contains(key.expose_secret()) && text.contains(&row.uid), "{text}");
        assert!(data.join("documents/a.yaml").exists() && !data.join("documents/secrets").exists());
        assert_eq!(plain.missing, ["Secret default/s in secrets/s.yaml", "session key of default/a"]);
    }

    #[test]
    fn names_fit_into_a_summary() {
        let names = named((0..150).map(|number| format!("{number}\n{}", "x".repeat(300))).collect());
        assert_eq!(names.len(), 101);
        assert!(names.iter().all(|name| name.chars().count() <= 200 && !name.contains('\n')));
        assert_eq!(names[100], "50 more");
    }
}
