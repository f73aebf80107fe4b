//! The files of a directory as they are, for a backup of them and for what comes back from it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretSlice};
use serde_json::Value;

use super::parse::{Content, Key, parse};
use super::scan::read;
use super::split::split;
use crate::source::SourceError;

/// A YAML file below a directory.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Its path below the directory.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// Its content, in which there may be secrets.
    pub content: SecretSlice<u8>,
}

/// A part of a file: the text of some of its documents.
pub type Part = Option<String>;

/// Documents of one piece of text.
struct Piece {
    text: String,
    keys: Vec<Key>,
    /// Its kind and name, where it may hold a secret.
    secret: Option<String>,
}

/// Reads all files that [`super::Directory`] reads, also those with problems. Fails unless each
/// could be read, since what is missing would be taken for removed.
pub fn read_files(directory: &Path) -> Result<Vec<SourceFile>, SourceError> {
    let root = std::path::absolute(directory).map_err(|error| SourceError::Incomplete(error.to_string()))?;
    let tree = read(&root);
    if let Some(why) = tree.removes_nothing() {
        return Err(SourceError::Incomplete(why));
    }
    if let Some((path, why)) = tree.unreadable.iter().next() {
        return Err(SourceError::Incomplete(format!("{} cannot be read: {why}", path.display())));
    }
    let mut files = Vec::new();
    for (path, file) in tree.files.iter().filter(|(_, file)| !file.is_conflict_copy) {
        let unreadable = |why: &str| SourceError::Incomplete(format!("{} cannot be read: {why}", path.display()));
        if let Err(why) = &file.content {
            return Err(unreadable(why));
        }
        let content = fs::read(path).map_err(|error| unreadable(&error.to_string()))?;
        let below = path.strip_prefix(&root).map_err(|error| unreadable(&error.to_string()))?;
        files.push(SourceFile { path: below.to_owned(), mode: file.mode, content: content.into() });
    }
    Ok(files)
}

impl SourceFile {
    /// Returns what is left without all that is or may be a Secret, and the names of what is not.
    pub fn without_secrets(&self) -> (Part, Vec<String>) {
        let Ok(text) = std::str::from_utf8(self.content.expose_secret()) else {
            return (None, vec![format!("{} (not text)", self.path.display())]);
        };
        let pieces = pieces(text);
        let left_out: Vec<String> = pieces
            .iter()
            .filter_map(|piece| piece.secret.as_ref())
            .map(|what| format!("{what} in {}", self.path.display()))
            .collect();
        if left_out.is_empty() {
            return (Some(text.to_owned()), left_out);
        }
        (join(pieces.iter().filter(|piece| piece.secret.is_none())), left_out)
    }

    /// Returns the file without the documents of some instances, and those documents.
    pub fn split_off(&self, keys: &BTreeSet<Key>) -> (Part, Part) {
        let Ok(text) = std::str::from_utf8(self.content.expose_secret()) else { return (None, None) };
        let pieces = pieces(text);
        let is_of = |piece: &&Piece| piece.keys.iter().any(|key| keys.contains(key));
        if !pieces.iter().any(|piece| is_of(&piece)) {
            return (Some(text.to_owned()), None);
        }
        (join(pieces.iter().filter(|piece| !is_of(piece))), join(pieces.iter().filter(is_of)))
    }
}

/// Returns the documents of a text. Those of a List stand alone.
fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for chunk in split(text) {
        let parsed = parse(chunk.text);
        let items = match serde_saphyr::from_str::<Value>(chunk.text) {
            Ok(mut value) if value["kind"] == "List" => match value["items"].take() {
                Value::Array(items) => items,
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        if items.is_empty() {
            let contents = parsed.documents.iter().map(|document| &document.content);
            pieces.push(Piece {
                text: chunk.text.to_owned(),
                keys: contents.clone().filter_map(key).collect(),
                secret: contents.clone().find_map(secret),
            });
            continue;
        }
        for item in items {
            let Ok(text) = serde_saphyr::to_string(&item) else { continue };
            pieces.extend(self::pieces(&text));
        }
    }
    pieces
}

fn key(content: &Content) -> Option<Key> {
    match content {
        Content::Instance { key, .. } => key.clone(),
        Content::Broken { guess, .. } => guess.clone(),
        Content::Secret(_) | Content::Foreign { .. } | Content::Unrecognised { .. } => None,
    }
}

/// Returns what a document is, if it may hold a secret.
fn secret(content: &Content) -> Option<String> {
    match content {
        Content::Instance { .. } => None,
        Content::Secret(secret) => Some(format!("Secret {}/{}", secret.namespace, secret.name)),
        Content::Foreign { kind } if kind.to_ascii_lowercase().contains("secret") => Some(format!("a {kind}")),
        Content::Foreign { .. } => None,
        Content::Broken { guess: Some(_), secret: false, .. } => None,
        Content::Broken { .. } | Content::Unrecognised { .. } => Some("a document that is not understood".to_owned()),
    }
}

fn join<'a>(pieces: impl Iterator<Item = &'a Piece>) -> Part {
    let mut text = String::new();
    for piece in pieces {
        if !text.is_empty() && !piece.text.starts_with("---") {
            text.push_str("---\n");
        }
        text.push_str(&piece.text);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const INSTANCE: &str = "# of the client\nkind: MaiInstance\nmetadata: {name: a}\n";
    const OTHER: &str = "kind: MaiInstance\nmetadata:\n  name: b\n  namespace: team\nspec: [\n";
    const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: sesame}\n";

    fn file(text: &str) -> SourceFile {
        SourceFile { path: "clients.yaml".into(), mode: 0o600, content: text.as_bytes().to_vec().into() }
    }

    #[test]
    fn unencrypted_copy_holds_no_secret_and_names_it() {
        for (text, kept, left_out) in [
            (INSTANCE.to_owned(), vec!["name: a", "# of the client"], vec![]),
            (format!("{SECRET}---\n{INSTANCE}"), vec!["name: a"], vec!["Secret default/s"]),
            (format!("{INSTANCE}---\n{OTHER}"), vec!["name: a", "name: b"], vec![]),
            (SECRET.to_owned(), vec![], vec!["Secret default/s"]),
            ("kind: Secret\nstringData: {key: \"sesame\n".to_owned(), vec![], vec!["not understood"]),
            ("data: sesame\n".to_owned(), vec![], vec!["not understood"]),
            ("kind: SealedSecret\nspec: sesame\n".to_owned(), vec![], vec!["SealedSecret"]),
            ("kind: Kustomization\nnamespace: a\n".to_owned(), vec!["Kustomization"], vec![]),
            (
                "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: t}\n  stringData: {a: sesame}\n- kind: MaiInstance\n  metadata: {name: c}\n".to_owned(),
                vec!["name: c"],
                vec!["Secret default/t"],
            ),
        ] {
            let (part, names) = file(&text).without_secrets();
            let part = part.unwrap_or_default();
            assert!(!part.contains("sesame"), "{part}");
            assert!(kept.iter().all(|wanted| part.contains(wanted)), "{text}: {part}");
            assert_eq!(names.len(), left_out.len(), "{names:?}");
            assert!(names.iter().zip(left_out).all(|(name, wanted)| name.contains(wanted)), "{names:?}");
        }
        let (part, names) = SourceFile { content: vec![0xff].into(), ..file("") }.without_secrets();
        assert_eq!((part, names.len()), (None, 1));
    }

    #[test]
    fn documents_of_some_instances_are_split_off() {
        let keys = BTreeSet::from([("team".to_owned(), "b".to_owned())]);
        let (rest, off) = file(&format!("{INSTANCE}---\n{OTHER}---\n{SECRET}")).split_off(&keys);
        let (rest, off) = (rest.unwrap(), off.unwrap());
        assert_eq!(off, format!("---\n{OTHER}"));
        assert_eq!(rest, format!("{INSTANCE}---\n{SECRET}"));
        assert_eq!(file(INSTANCE).split_off(&keys), (Some(INSTANCE.to_owned()), None));
        assert_eq!(file(OTHER).split_off(&keys), (None, Some(OTHER.to_owned())));
        let list = "apiVersion: v1\nkind: List\nitems:\n- kind: MaiInstance\n  metadata: {name: a}\n- kind: MaiInstance\n  metadata: {name: b, namespace: team}\n";
        let (rest, off) = file(list).split_off(&keys);
        let keys_of = |part: Part| pieces(&part.unwrap()).into_iter().flat_map(|piece| piece.keys).collect::<Vec<_>>();
        assert_eq!(keys_of(rest), [("default".to_owned(), "a".to_owned())]);
        assert_eq!(keys_of(off), [("team".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn directory_is_read_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let incomplete = || read_files(root.path()).unwrap_err().to_string();
        assert!(incomplete().contains("no YAML file"), "{}", incomplete());
        fs::create_dir(root.path().join("secrets")).unwrap();
        fs::write(root.path().join("a.yaml"), INSTANCE).unwrap();
        fs::write(root.path().join("secrets/s.yaml"), SECRET).unwrap();
        let files = read_files(root.path()).unwrap();
        let paths: Vec<_> = files.iter().map(|file| file.path.to_str().unwrap()).collect();
        assert_eq!(paths, ["a.yaml", "secrets/s.yaml"]);
        assert_eq!(files[0].content.expose_secret(), INSTANCE.as_bytes());
        std::os::unix::fs::symlink("nowhere", root.path().join("b.yaml")).unwrap();
        assert!(incomplete().contains("b.yaml cannot be read"), "{}", incomplete());
    }
}
