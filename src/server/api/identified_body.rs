//! A request's body with our id of its user in it, and no other byte changed.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use mai_openrouter::RequestBody;

/// A smaller body is spliced by copying it, which is cheaper than sending it in pieces.
const COPY_LIMIT: usize = 64 * 1024;

/// Returns the body with `id` in place of the values at `spans`, and as a new first `field` where
/// one is named. The body is a JSON object.
pub(super) fn identified(body: &Bytes, spans: &[Range<usize>], field: Option<&str>, id: &str) -> RequestBody {
    let mut pieces = Vec::with_capacity(2 * spans.len() + 3);
    let mut rest = 0;
    if let Some(field) = field {
        let inside = body.iter().position(|byte| *byte == b'{').map_or(0, |brace| brace + 1);
        let is_empty = body.iter().skip(inside).find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
        let comma = if is_empty { "" } else { "," };
        pieces.push(body.slice(..inside));
        pieces.push(format!("\"{field}\":\"{id}\"{comma}").into());
        rest = inside;
    }
    for span in spans {
        pieces.push(body.slice(rest..span.start));
        pieces.push(format!("\"{id}\"").into());
        rest = span.end;
    }
    pieces.push(body.slice(rest..));
    if body.len() > COPY_LIMIT
        && let [before, inserted, after] = pieces.as_slice()
    {
        return RequestBody::new([before.clone(), inserted.clone(), after.clone()]);
    }
    let mut copy = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.into_iter().for_each(|piece| copy.put(piece));
    copy.freeze().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures::FutureExt;
    use http_body_util::BodyExt;

    use super::super::request_fields::RequestFields;
    use super::*;

    fn with_id(bytes: &Bytes, field: &'static str) -> RequestBody {
        let fields = RequestFields::read(bytes).unwrap();
        let (spans, present) = fields.identity_spans(bytes, field);
        identified(bytes, &spans, (!present).then_some(field), "ME")
    }

    fn sent(body: &str, field: &'static str) -> String {
        let sent = with_id(&Bytes::from(body.to_owned()), field).collect().now_or_never().unwrap().unwrap();
        String::from_utf8(sent.to_bytes().into()).unwrap()
    }

    #[test]
    fn only_the_identity_is_changed() {
        for (body, expected) in [
            (r#"{"model":"a"}"#, r#"{"user":"ME","model":"a"}"#),
            ("{ }", r#"{"user":"ME" }"#),
            (
                " {\n \"model\" : \"a\", \"x\":[1.0e5, {\"user\":1}] }\n",
                " {\"user\":\"ME\",\n \"model\" : \"a\", \"x\":[1.0e5, {\"user\":1}] }\n",
            ),
            (r#"{"user":"mail@example.org","model":"a"}"#, r#"{"user":"ME","model":"a"}"#),
            (r#"{"model":"a", "user" : null }"#, r#"{"model":"a", "user" : "ME" }"#),
            (r#"{"model":"a","user":{"deep":["x"]},"b":"\u00e9"}"#, r#"{"model":"a","user":"ME","b":"\u00e9"}"#),
            (r#"{"user":1,"safety_identifier":"x","b":1}"#, r#"{"user":"ME","safety_identifier":"ME","b":1}"#),
        ] {
            assert_eq!(sent(body, "user"), expected);
        }
        assert_eq!(sent(r#"{"user":1,"a":2}"#, "safety_identifier"), r#"{"safety_identifier":"ME","user":"ME","a":2}"#);
    }

    #[test]
    fn large_body_is_spliced_without_a_copy() {
        let text = "x".repeat(2 * COPY_LIMIT);
        let body = format!(r#"{{"messages":"{text}","user":"other","model":"a"}}"#);
        assert_eq!(sent(&body, "user"), body.replace("other", "ME"));
        let bytes = Bytes::from(body);
        let mut pieces = with_id(&bytes, "user");
        let first = pieces.frame().now_or_never().unwrap().unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.as_ptr(), bytes.as_ptr());
    }
}
