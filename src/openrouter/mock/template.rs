//! The bytes of a streamed answer, built once and stamped for each request: fast enough to measure
//! others against.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::catalogue::MockModel;

/// Digits of the time stamp and of the whole id, both of fixed width so that they can be stamped in
/// place.
const CREATED_WIDTH: usize = 10;
const ID_WIDTH: usize = 31;
const ID_MARK: &str = "gen-0000000000-0000000000000000";
const CREATED_MARK: u64 = 1_000_000_001;

/// A stream's chunks with room for id and time.
#[derive(Debug)]
pub(super) struct Template {
    bytes: Vec<u8>,
    /// The end of each chunk.
    cuts: Arc<[usize]>,
    ids: Vec<usize>,
    stamps: Vec<usize>,
    /// The number of chunks with text.
    pub(super) texts: usize,
}

/// A stream's bytes for one request.
#[derive(Debug)]
pub(super) struct Stamped {
    bytes: Bytes,
    cuts: Arc<[usize]>,
}

impl Stamped {
    /// The nth chunk, blank line included.
    pub(super) fn chunk(&self, n: usize) -> Option<Bytes> {
        let end = *self.cuts.get(n)?;
        let start = n.checked_sub(1).and_then(|before| self.cuts.get(before)).copied().unwrap_or(0);
        Some(self.bytes.slice(start..end))
    }
}

impl Template {
    /// Chunks for these texts, then one with the reason of the end.
    pub(super) fn build(model: &MockModel, texts: &[String]) -> Self {
        let mut template =
            Self { bytes: Vec::new(), cuts: Arc::new([]), ids: Vec::new(), stamps: Vec::new(), texts: texts.len() };
        let mut cuts = Vec::with_capacity(texts.len() + 1);
        let ended = String::new();
        for (n, text) in texts.iter().chain([&ended]).enumerate() {
            let reason = (n == texts.len()).then_some("stop");
            let chunk = json!({
                "id": ID_MARK,
                "provider": model.provider,
                "model": model.id,
                "object": "chat.completion.chunk",
                "created": CREATED_MARK,
                "choices": [{
                    "index": 0,
                    "delta": {"role": "assistant", "content": text},
                    "finish_reason": reason,
                    "native_finish_reason": reason,
                    "logprobs": null
                }]
            });
            let start = template.bytes.len();
            template.bytes.extend_from_slice(format!("data: {chunk}\n\n").as_bytes());
            cuts.push(template.bytes.len());
            // Both stand before anything a person wrote, so the first find is the right one.
            let find =
                |mark: &str| memchr::memmem::find(&template.bytes[start..], mark.as_bytes()).map(|at| start + at);
            template.ids.extend(find(ID_MARK));
            template.stamps.extend(find(&CREATED_MARK.to_string()));
        }
        template.cuts = cuts.into();
        template
    }

    /// The chunks with this id and time.
    pub(super) fn stamp(&self, id: &str, created: u64) -> Stamped {
        let mut bytes = self.bytes.clone();
        let created = format!("{created:0CREATED_WIDTH$}");
        for (spots, value, width) in [(&self.ids, id, ID_WIDTH), (&self.stamps, created.as_str(), CREATED_WIDTH)] {
            if value.len() == width {
                for &spot in spots {
                    bytes[spot..spot + width].copy_from_slice(value.as_bytes());
                }
            }
        }
        Stamped { bytes: bytes.into(), cuts: Arc::clone(&self.cuts) }
    }
}

/// A generation id of the width the template has room for.
pub(super) fn generation_id(created: u64, serial: u64) -> String {
    format!("gen-{created:0CREATED_WIDTH$}-{serial:016x}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::catalogue::OPENROUTER;
    use super::*;

    #[test]
    fn every_chunk_is_stamped_with_id_and_time() {
        let texts = [ID_MARK.to_owned(), "\"quoted\"\n".to_owned()];
        let template = Template::build(&OPENROUTER[0], &texts);
        let id = generation_id(1_795_499_639, 0xabc);
        let stamped = template.stamp(&id, 1_795_499_639);
        for n in 0..3 {
            let chunk = stamped.chunk(n).unwrap();
            let data = chunk.strip_prefix(b"data: ").unwrap();
            let chunk: serde_json::Value = serde_json::from_slice(data).unwrap();
            assert_eq!((chunk["id"].as_str(), chunk["created"].as_u64()), (Some(id.as_str()), Some(1_795_499_639)));
            let text = texts.get(n).map_or("", String::as_str);
            assert_eq!(chunk["choices"][0]["delta"]["content"], text);
        }
        assert!(stamped.chunk(3).is_none());
    }
}
