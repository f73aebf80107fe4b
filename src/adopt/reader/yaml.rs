//! YAML as Compose files need it: scalars keep their text (a label of `1.50` is not 1.5), `!reset`
//! and `!override` stay visible, anchors and merge keys are resolved.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle};

/// Key of a mapping that stands for a value tagged `!override`.
pub(super) const OVERRIDE: &str = "!override";
/// Key of a mapping that stands for a value tagged `!reset`.
pub(super) const RESET: &str = "!reset";
/// Most nodes of a file, with those that anchors repeat.
const MOST_NODES: usize = 100_000;

/// A mapping or sequence that is not complete yet.
struct Frame {
    collection: Collection,
    anchor: usize,
    tag: Option<&'static str>,
}

enum Collection {
    Sequence(Vec<Value>),
    Mapping { fields: Map<String, Value>, key: Option<String>, merged: Vec<Value> },
}

/// Returns the documents of a text.
pub(in crate::adopt) fn read(text: &str) -> Result<Vec<Value>, String> {
    let mut documents = Vec::new();
    let mut frames: Vec<Frame> = Vec::new();
    let mut anchors: BTreeMap<usize, (Value, usize)> = BTreeMap::new();
    let mut nodes = 0;
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| error.to_string())?;
        let (value, anchor) = match event {
            Event::SequenceStart(_, anchor, tag) => {
                let collection = Collection::Sequence(Vec::new());
                frames.push(Frame { collection, anchor, tag: compose_tag(tag.as_deref().map(|tag| tag.suffix())) });
                continue;
            }
            Event::MappingStart(_, anchor, tag) => {
                let collection = Collection::Mapping { fields: Map::new(), key: None, merged: Vec::new() };
                frames.push(Frame { collection, anchor, tag: compose_tag(tag.as_deref().map(|tag| tag.suffix())) });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match frames.pop() {
                Some(frame) => (tagged(frame.collection.into_value(), frame.tag), frame.anchor),
                None => continue,
            },
            Event::Scalar(text, style, anchor, tag) => {
                let is_null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let is_key =
                    matches!(frames.last(), Some(Frame { collection: Collection::Mapping { key: None, .. }, .. }));
                let value = if is_null && !is_key { Value::Null } else { Value::String(text.into_owned()) };
                (tagged(value, compose_tag(tag.as_deref().map(|tag| tag.suffix()))), anchor)
            }
            Event::Alias(anchor) => {
                let (value, size) = anchors.get(&anchor).ok_or("an alias has no anchor")?;
                nodes += size;
                (value.clone(), 0)
            }
            _ => continue,
        };
        nodes += 1;
        if nodes > MOST_NODES {
            return Err(format!("it has more than {MOST_NODES} values"));
        }
        if anchor != 0 {
            anchors.insert(anchor, (value.clone(), size(&value)));
        }
        match frames.last_mut() {
            Some(frame) => frame.collection.add(value),
            None => documents.push(value),
        }
    }
    Ok(documents)
}

/// Returns the tag if Compose gives it a meaning.
fn compose_tag(suffix: Option<&str>) -> Option<&'static str> {
    match suffix {
        Some("override") => Some(OVERRIDE),
        Some("reset") => Some(RESET),
        _ => None,
    }
}

fn tagged(value: Value, tag: Option<&'static str>) -> Value {
    match tag {
        Some(tag) => Value::Object(Map::from_iter([(tag.to_owned(), value)])),
        None => value,
    }
}

fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => fields.values().map(size).sum(),
        _ => 0,
    }
}

impl Collection {
    fn add(&mut self, value: Value) {
        match self {
            Self::Sequence(items) => items.push(value),
            Self::Mapping { fields, key, merged } => match key.take() {
                None => {
                    *key = Some(match value {
                        Value::String(text) => text,
                        other => other.to_string(),
                    });
                }
                Some(name) if name == "<<" => match value {
                    Value::Array(items) => merged.extend(items),
                    value => merged.push(value),
                },
                Some(name) => drop(fields.insert(name, value)),
            },
        }
    }

    fn into_value(self) -> Value {
        match self {
            Self::Sequence(items) => Value::Array(items),
            Self::Mapping { mut fields, merged, .. } => {
                for value in merged {
                    let Value::Object(more) = value else { continue };
                    for (name, value) in more {
                        fields.entry(name).or_insert(value);
                    }
                }
                Value::Object(fields)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_keep_their_text_and_anchors_are_resolved() {
        let text = "a: &a {ratio: 1.50, port: 0x1F, on: true, none: , tilde: ~, quoted: \"null\"}\nb: {<<: *a, port: 1}\nc: [*a]\nd: !override [x]\ne: !reset null\nf: !!str 5\nnull: key\n";
        let read = read(text).unwrap();
        let a = json!({"ratio": "1.50", "port": "0x1F", "on": "true", "none": null, "tilde": null, "quoted": "null"});
        let mut b = a.clone();
        b["port"] = json!("1");
        let wanted =
            json!({"a": a, "b": b, "c": [a], "d": {OVERRIDE: ["x"]}, "e": {RESET: null}, "f": "5", "null": "key"});
        assert_eq!(read, [wanted]);
    }

    #[test]
    fn text_that_is_no_yaml_or_too_large_is_refused() {
        assert!(read("a: [").is_err());
        assert!(read("a: *nowhere").is_err());
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let before = format!("*a{}", level - 1);
            let items = vec![before; 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        assert!(read(&bomb).unwrap_err().contains("more than"));
    }
}
