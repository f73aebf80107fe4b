//! A statement as comma-separated values: a row for each of its lines, and one for the total.

use mai_contract::statement::{Amounts, StatementReport};
use mai_openrouter::NanoUsd;

use super::report::Audience;
use crate::usage::Csv;

/// The columns that everybody sees.
const COLUMNS: [&str; 14] = [
    "kind",
    "period",
    "user_id",
    "name",
    "email",
    "model",
    "purpose",
    "requests",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "unknown_cost",
    "price_usd",
    "price_pln",
];
/// Those of the provider.
const PROVIDERS_COLUMNS: [&str; 3] = ["cost_usd", "own_key_cost_usd", "margin_usd"];

/// Returns a statement as a table. The kind of a row is `usage`, `correction`, `own_connection` (which
/// is not billed) or `total`, the sum of the first two.
pub(crate) fn csv(report: &StatementReport, audience: Audience) -> String {
    let is_provider = audience == Audience::Provider;
    let names: Vec<&str> = COLUMNS.into_iter().chain(PROVIDERS_COLUMNS.into_iter().filter(|_| is_provider)).collect();
    let mut csv = Csv::with_names(&names);
    for line in &report.lines {
        let kind = match (line.billed, line.period == report.month) {
            (false, _) => "own_connection",
            (true, true) => "usage",
            (true, false) => "correction",
        };
        let texts = [kind, &line.period, &line.user_id, &line.name, &line.email, &line.model, &line.purpose];
        row(&mut csv, texts, &line.amounts, is_provider);
    }
    row(&mut csv, ["total", &report.month, "", "", "", "", ""], &report.total, is_provider);
    csv.into_text()
}

fn row(csv: &mut Csv, texts: [&str; 7], amounts: &Amounts, is_provider: bool) {
    texts.iter().for_each(|text| csv.text(text));
    let counts = [
        amounts.requests,
        amounts.prompt_tokens,
        amounts.completion_tokens,
        amounts.total_tokens,
        amounts.unknown_cost,
    ];
    counts.iter().for_each(|count| csv.number(Some(count)));
    csv.money(Some(NanoUsd::new(amounts.price_nano_usd)));
    csv.number(amounts.price_pln.as_ref());
    if is_provider {
        let costs = [amounts.cost_nano_usd, amounts.own_key_cost_nano_usd, amounts.margin_nano_usd];
        costs.iter().for_each(|amount| csv.money(amount.map(NanoUsd::new)));
    }
    csv.end_line();
}
