//! The API of the National Bank of Poland: the mid rates of the US dollar, table A.

use std::time::Duration;

use http::{HeaderValue, Method, Request, StatusCode, header};
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::rate::{InvalidRate, Rate, RateSource, is_number};
use mai_openrouter::client::collect;
use mai_openrouter::{Endpoint, Pool, RequestBody, UpstreamError};

/// The API, where the settings name no other address.
const NBP: &str = "https://api.nbp.pl/api";
/// Longest time of a question.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Most bytes of an answer. One of ten days has about 800.
const LONGEST_ANSWER: usize = 64 << 10;
/// Most tables of an answer; more days than are asked for.
const MOST_TABLES: usize = 93;

/// Returns the address of the API from its setting: a base URL, nothing for NBP itself, or `off` for
/// none.
pub(crate) fn address(setting: &str) -> Result<Option<Endpoint>, UpstreamError> {
    match setting.trim() {
        "" => Endpoint::parse(NBP).map(Some),
        off if off.eq_ignore_ascii_case("off") => Ok(None),
        url => Endpoint::parse(url).map(Some),
    }
}

/// A question that brought no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NbpError {
    /// The network, or an address that cannot be used.
    #[error(transparent)]
    Network(#[from] UpstreamError),
    /// No whole answer in time.
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    TooSlow,
    /// Another status than those of an answer.
    #[error("it answered with HTTP {0}")]
    Status(StatusCode),
    /// An answer that is not as documented.
    #[error("its answer is not understood: {0}")]
    Answer(String),
}

impl From<InvalidRate> for NbpError {
    fn from(error: InvalidRate) -> Self {
        Self::Answer(error.to_string())
    }
}

/// A client of the API.
#[derive(Debug, Clone)]
pub(super) struct Nbp {
    pool: Pool,
    endpoint: Endpoint,
}

impl Nbp {
    pub(super) fn new(pool: Pool, endpoint: Endpoint) -> Self {
        Self { pool, endpoint }
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> &str {
        self.endpoint.origin()
    }

    /// Returns the rates of the tables from one day to another, both included, which may be none. A
    /// span is at most 93 days long.
    pub(super) async fn rates(&self, from: Date, to: Date) -> Result<Vec<Rate>, NbpError> {
        let request = self.request(&format!("/exchangerates/rates/a/usd/{from}/{to}/?format=json"))?;
        let call = async {
            let (head, body) = self.pool.send(&self.endpoint, request).await?.into_parts();
            let body = collect(body, LONGEST_ANSWER + 1).await?;
            Ok::<_, NbpError>((head.status, body))
        };
        let (status, body) = tokio::time::timeout(TIMEOUT, call).await.map_err(|_| NbpError::TooSlow)??;
        match status {
            StatusCode::OK if body.len() <= LONGEST_ANSWER => read(&body, from, to),
            StatusCode::OK => Err(NbpError::Answer(format!("it is longer than {LONGEST_ANSWER} bytes"))),
            // A correct question about days without a table. Gateways and wrong addresses answer 404 as well, in other words.
            StatusCode::NOT_FOUND if body.starts_with(b"404 NotFound") => Ok(Vec::new()),
            status => Err(NbpError::Status(status)),
        }
    }

    fn request(&self, path: &str) -> Result<Request<RequestBody>, NbpError> {
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(self.endpoint.target(path))
            .body(RequestBody::default())
            .map_err(|error| NbpError::Answer(error.to_string()))?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.endpoint.authority().clone());
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static("mai"));
        // The next question comes hours later.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        Ok(request)
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    code: &'a str,
    #[serde(borrow)]
    rates: Vec<Table<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Table<'a> {
    no: &'a str,
    effective_date: Date,
    /// As it was written: no float comes between.
    #[serde(borrow)]
    mid: &'a RawValue,
}

fn read(body: &[u8], from: Date, to: Date) -> Result<Vec<Rate>, NbpError> {
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| NbpError::Answer(error.to_string()))?;
    if answer.code != "USD" {
        return Err(NbpError::Answer("it is of another currency".to_owned()));
    }
    if answer.rates.len() > MOST_TABLES {
        return Err(NbpError::Answer("it has more tables than days were asked for".to_owned()));
    }
    answer.rates.iter().map(|table| table.rate(from, to)).collect()
}

impl Table<'_> {
    fn rate(&self, from: Date, to: Date) -> Result<Rate, NbpError> {
        if !(from..=to).contains(&self.effective_date) {
            return Err(NbpError::Answer(format!("{} was not asked for", self.effective_date)));
        }
        if !is_number(self.no) {
            return Err(InvalidRate::Number(self.no.chars().take(64).collect()).into());
        }
        let (date, number) = (self.effective_date, self.no.to_owned());
        Ok(Rate { date, source: RateSource::Nbp, number, mid: self.mid.get().parse().map_err(InvalidRate::Mid)? })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn answers_are_read_as_documented_or_refused() {
        let (from, to) = (date(2026, 7, 20), date(2026, 7, 29));
        let answer = |rates: &str| {
            let text = format!(r#"{{"table":"A","currency":"dolar amerykański","code":"USD","rates":[{rates}]}}"#);
            read(text.as_bytes(), from, to)
        };
        let rates = answer(r#"{"no":"142/A/NBP/2026","effectiveDate":"2026-07-24","mid":3.8}"#).unwrap();
        let shown: Vec<_> = rates.iter().map(|rate| format!("{} {} {}", rate.date, rate.number, rate.mid)).collect();
        assert_eq!(shown, ["2026-07-24 142/A/NBP/2026 3.8000"]);
        assert_eq!(answer("").unwrap(), []);
        for refused in [
            r#"{"no":"142/A/NBP/2026","effectiveDate":"2026-07-19","mid":3.8}"#,
            r#"{"no":"142/A/NBP/2026","effectiveDate":"2026-07-24","mid":"3.8"}"#,
            r#"{"no":"142/A/NBP/2026","effectiveDate":"2026-07-24","mid":-3.8}"#,
            r#"{"no":"142/A/NBP/2026","effectiveDate":"2026-07-24","mid":0}"#,
            r#"{"no":"142/A/NBP/2026","effectiveDate":"2026-07-24"}"#,
            r#"{"no":"<script>","effectiveDate":"2026-07-24","mid":3.8}"#,
            r#"{"no":"142/A/NBP/2026","effectiveDate":"24.07.2026","mid":3.8}"#,
        ] {
            assert!(answer(refused).is_err(), "{refused}");
        }
        assert!(read(br#"{"code":"EUR","rates":[]}"#, from, to).is_err());
        assert!(read(b"<html>", from, to).is_err());
    }

    #[test]
    fn address_is_nbp_another_or_off() {
        let found = |setting: &str| address(setting).map(|found| found.map(|endpoint| endpoint.base_url()));
        assert_eq!(found("").unwrap().as_deref(), Some(NBP));
        assert_eq!(found(" OFF ").unwrap(), None);
        assert_eq!(found("http://127.0.0.1:1/api/").unwrap().as_deref(), Some("http://127.0.0.1:1/api"));
        assert!(found("no").is_err());
    }
}
