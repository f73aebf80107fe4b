//! The mock's management API: `/keys`, `/activity` and `/credits`, for its management key alone.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::body::MockBody;
use super::catalogue::dollars;
use super::handler::Mock;
use super::keys::{Tally, today};
use super::response;

/// Keys in one page of their list.
const PAGE: usize = 100;
/// Bought by the account of the mock, in 10^-12 USD.
const CREDITS: u64 = 1_000_000_000_000_000;
/// Completed days of which the activity is known.
const DAYS: i64 = 30;

/// Returns whether a path belongs to the management API.
pub(super) fn is_managed(path: &str) -> bool {
    matches!(path, "/keys" | "/activity" | "/credits") || path.starts_with("/keys/")
}

/// Answers a call of the management API.
pub(super) async fn answer(
    mock: &Mock,
    method: &Method,
    path: &str,
    query: &str,
    body: &[u8],
) -> Result<Response<MockBody>, Response<MockBody>> {
    let bad = |message: &str| response::error(StatusCode::BAD_REQUEST, message);
    let gone = || response::error(StatusCode::NOT_FOUND, "Key not found");
    let query: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).collect();
    let parse = || serde_json::from_slice::<Value>(body).map_err(|_| "Invalid request parameters");
    let data = |data: Value| document(StatusCode::OK, &json!({ "data": data }));
    Ok(match (method, path.strip_prefix("/keys/")) {
        (&Method::GET, None) if path == "/keys" => {
            let offset =
                query.get("offset").map_or(Ok(0), |text| text.parse()).map_err(|_| bad("offset is a number"))?;
            let with_disabled = query.get("include_disabled").is_some_and(|text| text == "true");
            data(mock.keys.list(offset, PAGE, with_disabled).into())
        }
        (&Method::POST, None) if path == "/keys" => {
            let (made, value) = parse().and_then(|body| mock.keys.create(&body)).map_err(bad)?;
            // The key is there from now on, whatever becomes of the answer.
            if !mock.made_first_key.swap(true, Ordering::Relaxed) && !mock.options.first_key_delay.is_zero() {
                tokio::time::sleep(mock.options.first_key_delay).await;
            }
            document(StatusCode::CREATED, &json!({"data": made, "key": value}))
        }
        (&Method::GET, Some(hash)) => data(mock.keys.document(hash).ok_or_else(gone)?),
        (&Method::PATCH, Some(hash)) => {
            data(parse().and_then(|body| mock.keys.change(hash, &body)).map_err(bad)?.ok_or_else(gone)?)
        }
        (&Method::DELETE, Some(hash)) if mock.keys.delete(hash) => document(StatusCode::OK, &json!({"deleted": true})),
        (&Method::DELETE, Some(_)) => return Err(gone()),
        (&Method::GET, None) if path == "/activity" => {
            let key = query.get("api_key_hash").map(AsRef::as_ref);
            data(activity(mock, key, query.get("date").map(AsRef::as_ref)))
        }
        (&Method::GET, None) if path == "/credits" => {
            let number = |amount| serde_json::from_str::<Value>(&dollars(amount)).unwrap_or_default();
            data(json!({"total_credits": number(CREDITS), "total_usage": number(mock.records.spent())}))
        }
        _ => return Err(response::error(StatusCode::NOT_FOUND, "Not Found")),
    })
}

/// The completed days, and today where the settings of the mock say so.
fn activity(mock: &Mock, key: Option<&str>, day: Option<&str>) -> Value {
    let today = today();
    let is_told = |age: i64| (i64::from(!mock.options.activity_today)..=DAYS).contains(&age);
    let mut rows: BTreeMap<_, Tally> = BTreeMap::new();
    for (date, model, tally) in mock.keys.activity(key) {
        let age = i64::from((today - date).get_days());
        if is_told(age) && day.is_none_or(|day| day == date.to_string()) {
            let sum = rows.entry((date, model)).or_default();
            sum.requests += tally.requests;
            sum.prompt_tokens += tally.prompt_tokens;
            sum.completion_tokens += tally.completion_tokens;
            sum.cost += tally.cost;
        }
    }
    let row = |((date, model), tally): ((jiff::civil::Date, &str), Tally)| {
        let usage: Value = serde_json::from_str(&dollars(tally.cost)).unwrap_or_default();
        json!({
            "date": date.to_string(), "model": model, "model_permaslug": model, "endpoint_id": "mock",
            "provider_name": "Mock", "usage": usage, "byok_usage_inference": 0, "requests": tally.requests,
            "prompt_tokens": tally.prompt_tokens, "completion_tokens": tally.completion_tokens,
            "reasoning_tokens": 0, "cached_tokens": 0,
        })
    };
    rows.into_iter().map(row).collect()
}

fn document(status: StatusCode, value: &Value) -> Response<MockBody> {
    response::document(status, value.to_string().into())
}
