//! `/usage/statements`: the statements of closed months, for administrators.

mod shown;
mod texts;

use askama::Template;
use axum::{
    extract::{Path, State},
    http::{Method, StatusCode},
    response::Response,
    routing::get,
};

use super::{
    error_page::{ErrorPage, PageError},
    layout::{AdminVisitor, ICONS, Layout},
    navigation::Entry,
    response,
};
use crate::{
    Endpoint,
    statement::{Audience, Statements},
    usage::Month,
};
use shown::{MonthLink, Shown};
use texts::StatementTexts;

/// The routes of this page.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/usage/statements", handler: || get(newest) },
    Endpoint { method: Method::GET, path: "/usage/statements/{month}", handler: || get(show) },
];

/// The entry of the navigation that is marked as the current one: statements are below usage.
const ENTRY: Entry = Entry { path: "/usage", icon: ICONS.usage, title: |locale| StatementTexts(locale).title() };

#[derive(Template)]
#[template(path = "statements/statements.html")]
struct StatementsPage<'a> {
    layout: &'a Layout,
    t: StatementTexts,
    months: Vec<MonthLink>,
    shown: Option<Shown>,
}

async fn newest(
    State(statements): State<Statements>,
    AdminVisitor { layout, .. }: AdminVisitor,
) -> Result<Response, ErrorPage> {
    let months = layout.check(statements.months().await)?;
    let newest = months.first().copied();
    page(&statements, &layout, &months, newest).await
}

async fn show(
    State(statements): State<Statements>,
    AdminVisitor { layout, .. }: AdminVisitor,
    Path(month): Path<String>,
) -> Result<Response, ErrorPage> {
    let months = layout.check(statements.months().await)?;
    let month = month.parse::<Month>().ok().filter(|month| months.contains(month));
    match month {
        Some(month) => page(&statements, &layout, &months, Some(month)).await,
        None => Err(layout.refuse(PageError::NotFound)),
    }
}

async fn page(
    statements: &Statements,
    layout: &Layout,
    months: &[Month],
    month: Option<Month>,
) -> Result<Response, ErrorPage> {
    let shown = match month {
        Some(month) => Some(Shown::new(layout, &layout.check(statements.of(month, Audience::Client).await)?)),
        None => None,
    };
    let months = months.iter().map(|month| MonthLink::new(layout.locale, *month)).collect();
    let page = StatementsPage { layout, t: StatementTexts(layout.locale), months, shown };
    Ok(response::html(layout, StatusCode::OK, &page))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use serde_json::json;

    use super::{super::snapshot, *};

    #[test]
    fn statements_page_matches_its_snapshot() {
        let amounts = |requests: i64, price: i64, pln: &str| {
            json!({ "requests": requests, "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 12_345,
                "unknown_cost": 2, "price_nano_usd": price, "price_pln": pln })
        };
        let with = |mut amounts: serde_json::Value, more: serde_json::Value| {
            amounts.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            amounts
        };
        let correction = json!({ "period": "2026-09", "user_id": "0123456789", "name": "", "email": "",
            "model": "openai/gpt-5", "purpose": "answer", "billed": true });
        let report = json!({
            "month": "2026-10", "time_zone": "Europe/Warsaw", "frozen_at": "2026-11-01T23:00:00Z",
            "rate": { "basis": "frozen", "date": "2026-10-30", "source": "nbp", "table": "212/A/NBP/2026", "mid": "3.6123" },
            "total": amounts(42, 12_345_678_901, "44.60"), "usage": amounts(42, 12_345_678_801, "44.60"),
            "corrections": amounts(0, 100, "0.00"), "own_connection": amounts(1, 400_000_000, "1.44"),
            "people": [with(amounts(42, 12_345_678_801, "44.60"), json!({ "user_id": "a", "name": snapshot::NAME, "email": "anna@abc.example" }))],
            "models": [with(amounts(42, 12_345_678_801, "44.60"), json!({ "model": "openai/gpt-5" }))],
            "lines": [with(amounts(0, 100, "0.00"), correction)],
            "seats": [{ "day": "2026-10-03", "count": 1, "user_ids": ["a"] }, { "day": "2026-10-05", "count": 2, "user_ids": ["a", "b"] }],
        });
        let report = serde_json::from_value(report).unwrap();
        let month: Month = "2026-10".parse().unwrap();
        snapshot::assert_page("statements", "/usage/statements", |layout| {
            let months = [month, month.previous()].map(|month| MonthLink::new(layout.locale, month)).into();
            let shown = Some(Shown::new(layout, &report));
            StatementsPage { layout, t: StatementTexts(layout.locale), months, shown }.render()
        });
    }
}
