//! The rules of privacy that the provider declared for the upstream, put into each request.

use axum::body::Bytes;
use mai_openrouter::RequestBody;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::error::CompletionError;
use crate::connection::{Connection, ConnectionSource, OpenRouterHost};

/// Rules for what the upstream does with what people write. They are OpenRouter's fields, so a
/// connection of the admin to another upstream is refused while there are any.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct UpstreamRules {
    /// Only model providers that keep nothing.
    pub(crate) zdr: bool,
    /// Only model providers that do not train on requests.
    pub(crate) no_training: bool,
    /// Only OpenRouter's host in the EU.
    pub(crate) eu: bool,
}

/// The part of a request that the rules change.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default = "absent")]
    provider: &'a RawValue,
}

fn absent() -> &'static RawValue {
    RawValue::NULL
}

impl UpstreamRules {
    /// Refuses a connection of the admin for which the rules cannot be kept. What the provider
    /// declared was checked at the start.
    pub(super) fn check(self, connection: &Connection) -> Result<(), CompletionError> {
        if connection.source != ConnectionSource::Database {
            return Ok(());
        }
        let is_kept = match OpenRouterHost::from_base_url(&connection.base_url) {
            Some(OpenRouterHost::EU) => true,
            Some(_) => !self.eu,
            None => !(self.eu || self.zdr || self.no_training),
        };
        if is_kept { Ok(()) } else { Err(CompletionError::NotPrivate { eu: self.eu }) }
    }

    /// Returns the request with the rules in its `provider` object. The rest of that object, and of the
    /// request, stays as it is.
    pub(super) fn apply(self, body: RequestBody) -> Result<RequestBody, CompletionError> {
        if !self.zdr && !self.no_training {
            return Ok(body);
        }
        let body = body.into_bytes();
        let request: Request = serde_json::from_slice(&body).map_err(CompletionError::Malformed)?;
        let given = request.provider.get();
        let mut provider: Map<String, Value> = match serde_json::from_str(given) {
            Ok(provider) => Option::unwrap_or_default(provider),
            Err(_) => return Err(CompletionError::InvalidField { field: "provider", problem: "has to be an object" }),
        };
        for (name, value, applies) in
            [("zdr", Value::Bool(true), self.zdr), ("data_collection", "deny".into(), self.no_training)]
        {
            if applies {
                provider.retain(|given, _| !given.eq_ignore_ascii_case(name));
                provider.insert(name.to_owned(), value);
            }
        }
        let provider = Value::Object(provider);
        // The value borrows from the body, unless there is none.
        let start = given.as_ptr().addr().checked_sub(body.as_ptr().addr());
        let span = start.map(|start| start..start + given.len()).filter(|span| span.end <= body.len());
        Ok(match span {
            Some(span) => {
                RequestBody::new([body.slice(..span.start), provider.to_string().into(), body.slice(span.end..)])
            }
            None => {
                let inside = memchr::memchr(b'{', &body).map_or(0, |brace| brace + 1);
                let is_empty = body.iter().skip(inside).find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
                let field = format!("\"provider\":{provider}{}", if is_empty { "" } else { "," });
                RequestBody::new([body.slice(..inside), Bytes::from(field), body.slice(inside..)])
            }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn applied(rules: UpstreamRules, body: &str) -> Result<String, CompletionError> {
        let body = rules.apply(Bytes::from(body.to_owned()).into())?;
        Ok(String::from_utf8(body.into_bytes().into()).unwrap())
    }

    const BOTH: UpstreamRules = UpstreamRules { zdr: true, no_training: true, eu: false };

    #[test]
    fn rules_are_put_into_requests_without_a_provider() {
        let rules = r#""provider":{"zdr":true,"data_collection":"deny"}"#;
        assert_eq!(applied(BOTH, "{ }").unwrap(), format!("{{{rules} }}"));
        assert_eq!(applied(BOTH, r#" {"model":"a/b"}"#).unwrap(), format!(r#" {{{rules},"model":"a/b"}}"#));
        let inner = r#"{"messages":[{"provider":{"zdr":false}}]}"#;
        assert_eq!(applied(BOTH, inner).unwrap(), format!("{{{rules},{}", &inner[1..]));
        let none = UpstreamRules::default();
        assert_eq!(applied(none, r#"{"provider":{"zdr":false}}"#).unwrap(), r#"{"provider":{"zdr":false}}"#);
    }

    #[test]
    fn provider_of_a_request_cannot_weaken_the_rules() {
        for given in [
            "null",
            "{}",
            r#"{"zdr":false,"data_collection":"allow"}"#,
            r#"{"zdr":true,"zdr":false,"ZDR":false,"Data_Collection":"allow"}"#,
            r#"{"z\u0064r":false}"#,
        ] {
            let sent = applied(BOTH, &format!(r#"{{"model":"m","provider": {given} ,"n":1}}"#)).unwrap();
            assert_eq!(sent, r#"{"model":"m","provider": {"zdr":true,"data_collection":"deny"} ,"n":1}"#, "{given}");
        }
        let kept = applied(BOTH, r#"{"provid\u0065r":{"only":["azure"],"sort":"price"}}"#).unwrap();
        let rules = r#""zdr":true,"data_collection":"deny""#;
        assert_eq!(kept, format!(r#"{{"provid\u0065r":{{"only":["azure"],"sort":"price",{rules}}}}}"#));
        let zdr = UpstreamRules { zdr: true, ..UpstreamRules::default() };
        let kept = applied(zdr, r#"{"provider":{"data_collection":"deny"}}"#).unwrap();
        assert_eq!(kept, r#"{"provider":{"data_collection":"deny","zdr":true}}"#);
        for bad in [r#"{"provider":"azure"}"#, r#"{"provider":[]}"#] {
            assert!(
                matches!(applied(BOTH, bad), Err(CompletionError::InvalidField { field: "provider", .. })),
                "{bad}"
            );
        }
        let twice = r#"{"provider":{},"provid\u0065r":{"zdr":false}}"#;
        assert!(matches!(applied(BOTH, twice), Err(CompletionError::Malformed(_))));
    }
}
