//! Positions of the fields of a document in its file.

use std::collections::BTreeMap;

use serde_saphyr::granit_parser::{Event, Marker, Parser};

use super::split::Chunk;

/// A line and a column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Line of the file.
    pub line: u32,
    /// Column in characters.
    pub column: u32,
}

/// The places of all fields of a document, by path (`spec.server.env[0].name`). A field stands
/// where its key does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineMap {
    places: BTreeMap<String, Place>,
    start: Place,
}

enum Frame {
    /// The key is absent while the next node is one.
    Mapping {
        path: String,
        key: Option<String>,
    },
    Sequence {
        path: String,
        index: usize,
    },
}

impl LineMap {
    /// Maps as much of a document as can be parsed.
    pub(crate) fn new(chunk: Chunk<'_>) -> Self {
        let place = |marker: Marker| Place {
            line: chunk.first_line + u32::try_from(marker.line()).unwrap_or(1).saturating_sub(1),
            column: u32::try_from(marker.col()).unwrap_or(0) + 1,
        };
        let mut places = BTreeMap::new();
        let mut start = None;
        let mut frames: Vec<Frame> = Vec::new();
        for (event, span) in Parser::new_from_str(chunk.text).map_while(Result::ok) {
            let ends = matches!(event, Event::MappingEnd | Event::SequenceEnd);
            if !ends && !event.is_node() {
                continue;
            }
            if ends {
                frames.pop();
                complete(&mut frames, None);
                continue;
            }
            start.get_or_insert(place(span.start));
            let path = match frames.last() {
                None => String::new(),
                Some(Frame::Mapping { key: Some(key), path }) => join(path, key),
                Some(Frame::Sequence { path, index }) => {
                    let path = format!("{path}[{index}]");
                    places.entry(path.clone()).or_insert(place(span.start));
                    path
                }
                Some(Frame::Mapping { key: None, path }) => match &event {
                    Event::Scalar(key, ..) => {
                        let path = join(path, key);
                        places.entry(path.clone()).or_insert(place(span.start));
                        path
                    }
                    _ => join(path, "?"),
                },
            };
            match event {
                Event::MappingStart(..) => frames.push(Frame::Mapping { path, key: None }),
                Event::SequenceStart(..) => frames.push(Frame::Sequence { path, index: 0 }),
                Event::Scalar(text, ..) => complete(&mut frames, Some(&text)),
                _ => complete(&mut frames, None),
            }
        }
        Self { places, start: start.unwrap_or(Place { line: chunk.first_line, column: 1 }) }
    }

    /// Returns the position of a field, or of its parent when it is absent or from an anchor.
    pub(crate) fn place(&self, path: &str) -> Place {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return *place;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return self.start,
            }
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A node is complete: a key waits for its value, a value makes room for the next key, an item for
/// the next item.
fn complete(frames: &mut [Frame], text: Option<&str>) {
    match frames.last_mut() {
        Some(Frame::Mapping { key, .. }) => {
            *key = if key.is_some() { None } else { Some(text.unwrap_or("?").to_owned()) };
        }
        Some(Frame::Sequence { index, .. }) => *index += 1,
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_where_their_keys_do() {
        let text = "---\n# who\nkind: MaiInstance\nspec:\n  expose:\n    labels: {a.b: 1, c: 2}\n  server:\n    env:\n      - name: A\n        value: x\n      - {name: B}\n";
        let map = LineMap::new(Chunk { first_line: 11, text });
        for (path, line, column) in [
            ("", 13, 1),
            ("kind", 13, 1),
            ("spec", 14, 1),
            ("spec.displayName", 14, 1),
            ("spec.expose", 15, 3),
            ("spec.expose.port", 15, 3),
            ("spec.expose.labels.a.b", 16, 14),
            ("spec.expose.labels.c", 16, 22),
            ("spec.server.env[0].value", 20, 9),
            ("spec.server.env[1]", 21, 9),
            ("spec.server.env[1].name", 21, 10),
            ("spec.server.env[7].name", 18, 5),
            ("nowhere.at.all", 13, 1),
        ] {
            assert_eq!(map.place(path), Place { line, column }, "{path}");
        }
    }

    #[test]
    fn anchors_merge_keys_and_odd_keys_do_not_shift_what_follows() {
        let text = "a: &x {b: 1}\nc: *x\n? [d, e]\n: f\ng:\n  <<: *x\n  h: 1\n";
        let map = LineMap::new(Chunk { first_line: 1, text });
        for (path, line, column) in [("c.b", 2, 1), ("g", 5, 1), ("g.b", 5, 1), ("g.h", 7, 3)] {
            assert_eq!(map.place(path), Place { line, column }, "{path}");
        }
    }

    #[test]
    fn a_broken_document_is_mapped_up_to_where_it_breaks() {
        let map = LineMap::new(Chunk { first_line: 1, text: "a: 1\nb:\n  - c\n d: [\n" });
        assert_eq!(map.place("b[0]"), Place { line: 3, column: 5 });
    }
}
