//! Parses the text of a file to its documents, with all problems and their positions. Pure.

use std::sync::Arc;

use serde_json::Value;

use super::encryption::Encryption;
use super::line_map::{LineMap, Place};
use super::secret_document::SecretDocument;
use super::split::{Chunk, split};
use crate::api::{Finding, GROUP};
use crate::state::Problem;

/// Namespace and name.
pub(crate) type Key = (String, String);

/// Contents of a file.
#[derive(Debug)]
pub(crate) struct ParsedFile {
    /// Its documents in order; those of a List stand in its place.
    pub documents: Vec<Document>,
    /// Nothing but white space: a file that was emptied, or is about to be written.
    pub blank: bool,
}

/// One document and where its fields stand.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// Position in its file, from 0.
    pub index: usize,
    /// Path of the document inside its List (`items[2]`); empty when it stands alone.
    within: String,
    lines: Arc<LineMap>,
    /// Its content.
    pub content: Content,
}

/// Content of a document.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Says that it is a MaiInstance; not checked yet. The key is absent when it names none.
    Instance { key: Option<Key>, value: Value },
    /// A Secret.
    Secret(SecretDocument),
    /// Somebody else's kind, left alone.
    Foreign { kind: String },
    /// Not a document of any kind: one that was cut off (ours, if it names our group), or something
    /// else that is YAML.
    Unrecognised { message: String, ours: bool },
    /// Not YAML, or still encrypted. The key is what its text looks like; what looks like a Secret is not to be quoted.
    Broken { place: Place, message: String, guess: Option<Key>, secret: bool, encrypted: bool },
}

impl Document {
    /// Returns a finding as a problem of `file`.
    pub(crate) fn problem(&self, file: &str, finding: &Finding) -> Problem {
        let place = self.place(&finding.path);
        let instance = match &self.content {
            Content::Instance { key, .. } => key.clone(),
            Content::Broken { guess, .. } => guess.clone(),
            _ => None,
        };
        Problem {
            file: file.to_owned(),
            line: place.line,
            column: place.column,
            document: Some(self.index),
            instance,
            field: finding.path.clone(),
            message: finding.message.clone(),
            refused: false,
        }
    }

    /// Returns the position of a field, or of the error in a broken document.
    pub(crate) fn place(&self, path: &str) -> Place {
        match &self.content {
            Content::Broken { place, .. } => *place,
            _ if self.within.is_empty() => self.lines.place(path),
            _ if path.is_empty() => self.lines.place(&self.within),
            _ => self.lines.place(&format!("{}.{path}", self.within)),
        }
    }
}

/// Reads the documents of a text.
pub(crate) fn parse(text: &str) -> ParsedFile {
    if let Some(encryption) = Encryption::of_bytes(text.as_bytes()) {
        return encrypted(encryption);
    }
    let mut documents = Vec::new();
    for (index, chunk) in split(text).into_iter().enumerate() {
        let lines = Arc::new(LineMap::new(chunk));
        match serde_saphyr::from_str::<Value>(chunk.text) {
            Ok(value) => recognise(index, String::new(), &lines, value, &mut documents),
            Err(error) => {
                let content = broken(chunk, &error);
                documents.push(Document { index, within: String::new(), lines, content });
            }
        }
    }
    ParsedFile { documents, blank: text.trim_start_matches('\u{feff}').trim().is_empty() }
}

/// A file that is not text at all.
pub(crate) fn not_text(bytes: &[u8]) -> ParsedFile {
    match Encryption::of_bytes(bytes) {
        Some(encryption) => encrypted(encryption),
        None => opaque("is not UTF-8 text; save it as UTF-8".to_owned(), false),
    }
}

fn encrypted(encryption: Encryption) -> ParsedFile {
    opaque(encryption.message(), true)
}

fn opaque(message: String, encrypted: bool) -> ParsedFile {
    let chunk = Chunk { first_line: 1, text: "" };
    let place = Place { line: 1, column: 1 };
    let content = Content::Broken { place, message, guess: None, secret: true, encrypted };
    let document = Document { index: 0, within: String::new(), lines: Arc::new(LineMap::new(chunk)), content };
    ParsedFile { documents: vec![document], blank: false }
}

fn recognise(index: usize, within: String, lines: &Arc<LineMap>, mut value: Value, documents: &mut Vec<Document>) {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let (api_version, kind) = (text("/apiVersion").unwrap_or_default(), text("/kind").unwrap_or_default());
    let name = text("/metadata/name").filter(|name| !name.is_empty());
    let namespace = text("/metadata/namespace").filter(|name| !name.is_empty()).unwrap_or_else(|| "default".to_owned());
    let ours = api_version.split('/').next() == Some(GROUP);
    if let Some((encryption, names)) = Encryption::of_kind(&value) {
        for name in names {
            let secret = SecretDocument::encrypted(namespace.clone(), name, encryption);
            let content = Content::Secret(secret);
            documents.push(Document { index, within: within.clone(), lines: Arc::clone(lines), content });
        }
        return;
    }
    let is_instance = kind == "MaiInstance";
    let may_be_ours = is_instance || kind.is_empty() || Encryption::of_bytes(kind.as_bytes()).is_some();
    if let Some(encryption) = Encryption::of_document(&value).filter(|_| may_be_ours) {
        let place = lines.place(&within);
        let guess = name.filter(|_| is_instance).map(|name| (namespace, name));
        let message = encryption.message();
        let content = Content::Broken { place, message, guess, secret: !is_instance, encrypted: true };
        documents.push(Document { index, within, lines: Arc::clone(lines), content });
        return;
    }
    let content = match kind.as_str() {
        "MaiInstance" => {
            if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
                metadata.insert("namespace".to_owned(), Value::String(namespace.clone()));
            }
            Content::Instance { key: name.map(|name| (namespace, name)), value }
        }
        "Secret" if api_version == "v1" => Content::Secret(SecretDocument::new(&value, namespace, name)),
        "List" if api_version == "v1" => {
            if let Some(Value::Array(items)) = value.get_mut("items").map(Value::take) {
                for (item, value) in items.into_iter().enumerate() {
                    recognise(index, format!("items[{item}]"), lines, value, documents);
                }
            }
            return;
        }
        "" => Content::Unrecognised {
            message: "kind is missing; write apiVersion: mai.dev/v1alpha1 and kind: MaiInstance".to_owned(),
            ours,
        },
        "MaiBackup" if ours => Content::Unrecognised { message: request_of_cluster(&kind, "mai backup"), ours },
        "MaiRestore" if ours => Content::Unrecognised { message: request_of_cluster(&kind, "mai restore"), ours },
        _ if ours => Content::Unrecognised {
            message: format!("kind {kind:?} is not known in {api_version}; write kind: MaiInstance"),
            ours,
        },
        _ => Content::Foreign { kind },
    };
    documents.push(Document { index, within, lines: Arc::clone(lines), content });
}

fn request_of_cluster(kind: &str, command: &str) -> String {
    format!("kind {kind} is a request to a cluster; create it there with kubectl, and use `{command}` for a directory")
}

fn broken(chunk: Chunk<'_>, error: &serde_saphyr::Error) -> Content {
    let place = error.location().map_or(Place { line: chunk.first_line, column: 1 }, |location| Place {
        line: chunk.first_line + u32::try_from(location.line()).unwrap_or(1).saturating_sub(1),
        column: u32::try_from(location.column()).unwrap_or(1),
    });
    // The parser may quote what it stumbled over, which in a Secret is nobody's business.
    let secret = chunk.text.replace([' ', '"', '\''], "").contains("kind:Secret");
    let message = if secret {
        "is not valid YAML; the line is not shown since it may hold a secret".to_owned()
    } else {
        let message = error.without_snippet().to_string();
        format!("is not valid YAML: {}", message.lines().next().unwrap_or_default().trim())
    };
    Content::Broken { place, message, guess: guess_key(chunk.text), secret, encrypted: false }
}

/// Returns the instance that a broken text seems to be about, read line by line.
fn guess_key(text: &str) -> Option<Key> {
    text.lines().find_map(|line| value_of(line, "kind")).filter(|kind| *kind == "MaiInstance")?;
    let mut lines = text.lines().skip_while(|line| !line.starts_with("metadata:"));
    let inline = lines.next()?.trim_start_matches("metadata:");
    let block: Vec<&str> = if inline.contains('{') {
        inline.split(['{', '}', ',']).collect()
    } else {
        lines.take_while(|line| line.is_empty() || line.starts_with([' ', '\t', '#'])).collect()
    };
    let find = |key: &str| block.iter().find_map(|line| value_of(line.trim(), key)).map(str::to_owned);
    Some((find("namespace").unwrap_or_else(|| "default".to_owned()), find("name")?))
}

fn value_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let value = line.strip_prefix(key)?.strip_prefix(':')?;
    let value = value.split(" #").next()?.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<String> {
        parse(text)
            .documents
            .iter()
            .map(|document| match &document.content {
                Content::Instance { key, .. } => format!("instance {key:?}"),
                Content::Secret(secret) => format!("secret {} {}", secret.name, secret.values.is_ok()),
                Content::Foreign { kind } => format!("foreign {kind}"),
                Content::Unrecognised { .. } => "unrecognised".to_owned(),
                Content::Broken { place, guess, .. } => format!("broken {}:{} {guess:?}", place.line, place.column),
            })
            .collect()
    }

    #[test]
    fn documents_are_told_apart() {
        for (text, expected) in [
            (
                "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {name: a}\n",
                vec![r#"instance Some(("default", "a"))"#],
            ),
            ("kind: MaiInstance\nmetadata: {name: a, namespace: b}\n", vec![r#"instance Some(("b", "a"))"#]),
            ("apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\n", vec!["instance None"]),
            ("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: v}\n", vec!["secret s true"]),
            ("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n", vec!["secret s false"]),
            ("kind: Kustomization\n", vec!["foreign Kustomization"]),
            ("apiVersion: mai.dev/v1alpha1\nkind: MaiInst\n", vec!["unrecognised"]),
            ("apiVer", vec!["unrecognised"]),
            ("# nothing\n", vec![]),
            (
                "apiVersion: v1\nkind: List\nitems:\n- kind: MaiInstance\n  metadata: {name: a}\n- kind: ConfigMap\n",
                vec![r#"instance Some(("default", "a"))"#, "foreign ConfigMap"],
            ),
            (
                "kind: MaiInstance\nmetadata:\n  name: \"a\" # one\nspec: [\n---\nkind: MaiInstance\nmetadata: {name: b}\n",
                vec![r#"broken 5:1 Some(("default", "a"))"#, r#"instance Some(("default", "b"))"#],
            ),
        ] {
            let found = kinds(text);
            assert_eq!(found.len(), expected.len(), "{text:?}: {found:?}");
            for (found, expected) in found.iter().zip(expected) {
                let expected = expected.strip_prefix("broken 5:1").unwrap_or(expected);
                assert!(found.ends_with(expected), "{text:?}: {found} is not {expected}");
            }
        }
    }

    #[test]
    fn request_to_a_cluster_names_the_command() {
        let parsed = parse("apiVersion: mai.dev/v1alpha1\nkind: MaiRestore\nmetadata: {name: a}\n");
        let Content::Unrecognised { message, ours: true } = &parsed.documents[0].content else {
            panic!("it is recognised")
        };
        assert!(message.contains("kind MaiRestore is a request to a cluster") && message.contains("`mai restore`"));
    }

    #[test]
    fn a_broken_secret_is_not_quoted() {
        let parsed = parse("kind: Secret\napiVersion: v1\nstringData:\n  key: sesame\n  key: sesame\n bad: \"sesame\n");
        let Content::Broken { message, .. } = &parsed.documents[0].content else { panic!("it parses") };
        assert!(!message.contains("sesame"), "{message}");
        assert!(!format!("{parsed:?}").contains("sesame"));
    }

    #[test]
    fn a_field_of_a_list_item_is_found_in_its_file() {
        let parsed = parse("apiVersion: v1\nkind: List\nitems:\n- kind: MaiInstance\n  spec:\n    displayName: A\n");
        let place = parsed.documents[0].place("spec.displayName");
        assert_eq!((place.line, place.column), (6, 5));
    }

    #[test]
    fn anchors_and_merge_keys_are_resolved() {
        let parsed = parse("kind: MaiInstance\nx: &x {a: 1}\nspec:\n  <<: *x\n  b: *x\n");
        let Content::Instance { value, .. } = &parsed.documents[0].content else { panic!("not an instance") };
        assert_eq!(value["spec"], serde_json::json!({"a": 1, "b": {"a": 1}}));
    }
}
