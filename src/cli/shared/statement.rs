//! The statement of a closed month, as a server tells its provider.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use http::StatusCode;
use mai_contract::InternalToken;
use mai_contract::http::STATEMENTS_PATH;
use mai_contract::statement::{Amounts, StatementReport};
use secrecy::SecretString;
use serde_json::Value;

use super::table;
use crate::openrouter::NanoUsd;
use crate::runtime::probe::get_with_token;

/// Time that a server gets to answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of a statement.
const MAX_BYTES: usize = 16 << 20;

/// Format of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Format {
    /// By person and by model, for people
    Table,
    /// A row for each person, model and purpose
    Csv,
    /// All of it
    Json,
}

impl Format {
    /// Returns its name on the command line.
    pub(in crate::cli) fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

/// Asks the server at this address for the statement of a month.
pub(in crate::cli) async fn fetch(
    server: SocketAddr,
    session_key: &SecretString,
    month: &str,
    format: Format,
) -> anyhow::Result<String> {
    let is_month = month.len() == 7 && format!("{month}-01").parse::<jiff::civil::Date>().is_ok();
    anyhow::ensure!(is_month, "{month} is no month; write it like 2026-11");
    let token = InternalToken::from_session_key(session_key).context("the session key of the instance is empty")?;
    let query = if format == Format::Csv { "?format=csv" } else { "" };
    let path = format!("{STATEMENTS_PATH}/{month}{query}");
    let (status, body) = get_with_token(server, &path, &token.text(), TIMEOUT, MAX_BYTES)
        .await
        .map_err(|problem| anyhow::anyhow!("its server does not answer: {problem}; `mai status` shows why"))?;
    match status {
        StatusCode::OK if format == Format::Table => {
            let report = serde_json::from_slice(&body).context("its server answers with something else")?;
            Ok(text(&report))
        }
        StatusCode::OK => {
            let text = String::from_utf8(body.into()).context("its server answers with something else")?;
            // Lines as a terminal has them, without the mark that tells spreadsheets the encoding.
            Ok(format!("{}\n", text.trim_start_matches('\u{feff}').replace("\r\n", "\n").trim_end()))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            anyhow::bail!("its server was started with another session key; restart it")
        }
        status => anyhow::bail!(refusal(status, &body)),
    }
}

/// Returns the sentence of a server that has no such statement.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let detail = answer.as_ref().and_then(|answer| answer["detail"].as_str()).filter(|detail| *detail != "Not Found");
    match detail {
        Some(detail) if status == StatusCode::NOT_FOUND => detail.to_owned(),
        Some(detail) => format!("its server answers {status}: {detail}"),
        None => format!("its image makes no statements (HTTP {status}); statements need mAI's own, of this version"),
    }
}

fn text(report: &StatementReport) -> String {
    let row = |name: &str, amounts: &Amounts| {
        let usd = |nano: Option<i64>| nano.map_or_else(|| "-".to_owned(), |nano| NanoUsd::new(nano).to_string());
        [
            name.to_owned(),
            amounts.requests.to_string(),
            amounts.total_tokens.to_string(),
            amounts.unknown_cost.to_string(),
            usd(amounts.cost_nano_usd),
            usd(Some(amounts.price_nano_usd)),
            usd(amounts.margin_nano_usd),
            amounts.price_pln.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    };
    let mut sums = table::table(["", "REQUESTS", "TOKENS", "UNKNOWN", "COST", "PRICE", "MARGIN", "PRICE PLN"]);
    for person in &report.people {
        let name = [&person.name, &person.email, &person.user_id].into_iter().find(|name| !name.is_empty());
        sums.add_row(row(name.map_or("", |name| name.as_str()), &person.amounts));
    }
    for model in &report.models {
        sums.add_row(row(&model.model, &model.amounts));
    }
    for (name, amounts) in [("corrections", &report.corrections), ("own connection", &report.own_connection)] {
        let is_empty = [amounts.requests, amounts.total_tokens, amounts.unknown_cost, amounts.price_nano_usd]
            .iter()
            .all(|number| *number == 0)
            && amounts.cost_nano_usd.unwrap_or(0) == 0;
        if !is_empty {
            sums.add_row(row(name, amounts));
        }
    }
    sums.add_row(row("TOTAL", &report.total));

    let people: BTreeSet<&String> = report.seats.iter().flat_map(|day| &day.user_ids).collect();
    let rate = match &report.rate {
        None => "no exchange rate is known".to_owned(),
        Some(rate) => format!("{} PLN for a dollar ({} of {}, {})", rate.mid, rate.table, rate.date, rate.basis),
    };
    format!(
        "{} ({}), closed {}\n{rate}\n{} people were active on {} days\n\n{}",
        report.month,
        report.time_zone,
        report.frozen_at,
        people.len(),
        report.seats.len(),
        table::text(&sums)
    )
}
