//! A chat request of the API: the fields that decide its route, and its body with our `user` in it.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

use mai_openrouter::RequestBody;

/// A smaller body is spliced by copying it, which is cheaper than sending it in pieces.
const COPY_LIMIT: usize = 64 * 1024;

/// The fields of a chat request that decide its route. The rest is only checked to be JSON.
///
/// A duplicate field is refused: two readers could disagree about which one counts.
#[derive(Debug, Deserialize)]
pub(super) struct ChatRequest<'a> {
    /// The model requested; absent counts as unknown.
    #[serde(borrow, default)]
    pub(super) model: Option<Cow<'a, str>>,
    /// OpenRouter's fallbacks, which must be allowed just like the first.
    #[serde(default)]
    pub(super) models: Option<Vec<String>>,
    /// True for a streamed answer.
    #[serde(default)]
    pub(super) stream: Option<bool>,
    #[serde(borrow, default)]
    user: Option<&'a RawValue>,
}

impl<'a> ChatRequest<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, serde_json::Error> {
        // serde would take an array too, by position.
        if body.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|first| *first != b'{') {
            return Err(serde::de::Error::custom("a JSON object is expected"));
        }
        serde_json::from_slice(body)
    }

    /// Returns the position of the caller's own `user` value in the body; ours replaces it.
    pub(super) fn user_span(&self, body: &[u8]) -> Option<std::ops::Range<usize>> {
        let value = self.user?.get();
        let start = value.as_ptr().addr().checked_sub(body.as_ptr().addr())?;
        Some(start..start + value.len())
    }
}

/// Returns the body with `user` set to this id.
pub(super) fn with_user(body: &Bytes, user_span: Option<std::ops::Range<usize>>, id: &str) -> RequestBody {
    let (before, inserted, after) = match user_span {
        Some(span) => (body.slice(..span.start), format!("\"{id}\""), body.slice(span.end..)),
        None => {
            // The body is an object with at least a model in it, so a comma fits.
            let inside = body.iter().position(|byte| *byte == b'{').map_or(0, |brace| brace + 1);
            (body.slice(..inside), format!("\"user\":\"{id}\","), body.slice(inside..))
        }
    };
    if body.len() > COPY_LIMIT {
        return RequestBody::new([before, inserted.into(), after]);
    }
    let mut copy = BytesMut::with_capacity(before.len() + inserted.len() + after.len());
    copy.put(before);
    copy.put(inserted.as_bytes());
    copy.put(after);
    copy.freeze().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures::FutureExt;
    use http_body_util::BodyExt;
    use proptest::prelude::*;

    use super::*;

    fn spliced(body: &str) -> String {
        let bytes = Bytes::from(body.to_owned());
        let question = ChatRequest::read(&bytes).unwrap();
        let pieces = with_user(&bytes, question.user_span(&bytes), "ME");
        let sent = pieces.collect().now_or_never().unwrap().unwrap().to_bytes();
        String::from_utf8(sent.into()).unwrap()
    }

    #[test]
    fn splice_changes_only_the_user() {
        for (body, sent) in [
            (r#"{"model":"a"}"#, r#"{"user":"ME","model":"a"}"#),
            (
                " {\n \"model\" : \"a\", \"x\":[1.0e5, {\"user\":1}] }\n",
                " {\"user\":\"ME\",\n \"model\" : \"a\", \"x\":[1.0e5, {\"user\":1}] }\n",
            ),
            (r#"{"user":"mail@example.org","model":"a"}"#, r#"{"user":"ME","model":"a"}"#),
            (r#"{"model":"a", "user" : null }"#, r#"{"user":"ME","model":"a", "user" : null }"#),
            (r#"{"model":"a","user":{"deep":["x"]},"b":"\u00e9"}"#, r#"{"model":"a","user":"ME","b":"\u00e9"}"#),
        ] {
            assert_eq!(spliced(body), sent);
        }
    }

    #[test]
    fn large_body_is_spliced_without_a_copy() {
        let text = "x".repeat(2 * COPY_LIMIT);
        let body = format!(r#"{{"messages":"{text}","user":"other","model":"a"}}"#);
        assert_eq!(spliced(&body), body.replace("other", "ME"));
        let bytes = Bytes::from(body);
        let question = ChatRequest::read(&bytes).unwrap();
        let mut pieces = with_user(&bytes, question.user_span(&bytes), "ME");
        let first = pieces.frame().now_or_never().unwrap().unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn duplicate_routing_fields_are_refused() {
        for body in [
            r#"{"model":"a","model":"b"}"#,
            r#"{"model":"a","user":"1","user":"2"}"#,
            r#"{"model":"a","models":[],"models":["b"]}"#,
            r#"{"model":1}"#,
            r#"["model"]"#,
            r#" ["model",null,false,"user"]"#,
            r#"{"model":"a"} x"#,
            r#"{"a":"#,
            "",
        ] {
            assert!(ChatRequest::read(body.as_bytes()).is_err(), "{body}");
        }
        assert_eq!(ChatRequest::read(br#"{"mod\u0065l":"a\/b"}"#).unwrap().model.unwrap(), "a/b");
    }

    proptest! {
        #[test]
        fn reading_never_panics(body in "\\PC{0,60}") {
            let bytes = Bytes::from(body);
            if let Ok(question) = ChatRequest::read(&bytes) {
                let _ = with_user(&bytes, question.user_span(&bytes), "ME");
            }
        }
    }
}
