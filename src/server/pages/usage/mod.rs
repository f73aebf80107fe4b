//! `/usage`: a month's usage, and the stream that keeps the page current without a reload.

mod report;
mod texts;

use std::{convert::Infallible, time::Duration};

use askama::Template;
use axum::{
    extract::{Query, State},
    http::{Method, StatusCode},
    response::{
        Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    error_page::ErrorPage,
    layout::{AdminVisitor, ICONS, Layout},
    navigation::Entry,
    response,
};
use crate::{
    Endpoint,
    database::DatabaseError,
    usage::{Ledger, Month, UsageReports},
};
use report::{Metric, Report};
use texts::UsageTexts;

/// The routes of this page.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/usage", handler: || get(show) },
    Endpoint { method: Method::GET, path: "/usage/live", handler: || get(live) },
];

/// The page's entry in the navigation.
pub(super) const ENTRY: Entry = Entry { path: "/usage", icon: ICONS.usage, title: |locale| UsageTexts(locale).title() };

#[derive(Template)]
#[template(path = "usage/usage.html")]
struct UsagePage<'a> {
    layout: &'a Layout,
    t: UsageTexts,
    report: Report,
}

/// The part that is sent again after new usage. It carries its own address within the page.
#[derive(Template)]
#[template(
    source = "<hx-partial hx-target=\"#usage\" hx-swap=\"innerMorph\">{% include \"usage/usage_report.html\" %}</hx-partial>",
    ext = "html"
)]
struct UsageUpdate<'a> {
    layout: &'a Layout,
    t: UsageTexts,
    report: Report,
}

/// The month and metric of the address.
#[derive(Deserialize)]
struct Selection {
    #[serde(default)]
    month: String,
    #[serde(default)]
    chart: String,
}

impl Selection {
    fn month(&self, reports: &UsageReports) -> Month {
        self.month.parse().unwrap_or_else(|_| reports.current_month())
    }

    fn metric(&self) -> Metric {
        if self.chart == "tokens" { Metric::Tokens } else { Metric::Cost }
    }
}

async fn report(
    reports: &UsageReports,
    layout: &Layout,
    month: Month,
    metric: Metric,
) -> Result<Report, DatabaseError> {
    let summary = reports.summary(month, None).await?;
    let days = reports.by_day(month, None).await?;
    let users = reports.by_user(month).await?;
    let models = reports.by_model(month, None).await?;
    Ok(Report::new(layout, metric, &summary, &days, &users, &models, Timestamp::now()))
}

async fn show(
    State(reports): State<UsageReports>,
    AdminVisitor { layout, .. }: AdminVisitor,
    Query(selection): Query<Selection>,
) -> Result<Response, ErrorPage> {
    reports.catch_up().await;
    let report = layout.check(report(&reports, &layout, selection.month(&reports), selection.metric()).await)?;
    let page = UsagePage { layout: &layout, t: UsageTexts(layout.locale), report };
    Ok(response::html(&layout, StatusCode::OK, &page))
}

/// Least interval between two updates while people chat.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// Interval between two updates without usage, so that the clock and "today" stay true.
const MOST_INTERVAL: Duration = Duration::from_secs(30);

async fn live(
    State(reports): State<UsageReports>,
    State(ledger): State<Ledger>,
    State(closing): State<CancellationToken>,
    AdminVisitor { layout, .. }: AdminVisitor,
    Query(selection): Query<Selection>,
) -> Result<Response, ErrorPage> {
    let (month, metric) = (selection.month(&reports), selection.metric());
    let updates = updates(reports, ledger.subscribe(), layout, month, metric);
    let updates = updates.take_until(async move { closing.cancelled().await });
    Ok(response::events(Sse::new(updates).keep_alive(KeepAlive::default())))
}

/// Returns the page's report again and again, after changes of the ledger.
fn updates(
    reports: UsageReports,
    changed: watch::Receiver<()>,
    layout: Layout,
    month: Month,
    metric: Metric,
) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((reports, layout, changed), move |(reports, layout, mut changed)| async move {
        // The page shows what was used until here.
        let _ = tokio::time::timeout(MOST_INTERVAL, changed.changed()).await;
        // Changes that come together are sent together.
        tokio::time::sleep(LEAST_INTERVAL).await;
        changed.mark_unchanged();
        let report = match report(&reports, &layout, month, metric).await {
            Ok(report) => report,
            Err(error) => {
                tracing::error!(%error, "the usage page could not be refreshed");
                return None;
            }
        };
        let html = UsageUpdate { layout: &layout, t: UsageTexts(layout.locale), report }.render().ok()?;
        Some((Ok(Event::default().data(html)), (reports, layout, changed)))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use mai_openrouter::NanoUsd;

    use super::{super::snapshot, *};
    use crate::{
        usage::{DayUsage, ModelUsage, Summary, Totals, UserUsage},
        users::UserId,
    };

    fn totals(requests: u64, tokens: u64, cost: i64, unknown: u64) -> Totals {
        Totals {
            requests,
            prompt_tokens: tokens / 4,
            completion_tokens: tokens - tokens / 4,
            total_tokens: tokens,
            price: NanoUsd::from_micro_usd(cost),
            cost: NanoUsd::from_micro_usd(cost),
            own_key_cost: NanoUsd::ZERO,
            unknown_cost: unknown,
            unknown_cost_former_connection: unknown / 2,
            running: 0,
        }
    }

    #[test]
    fn usage_page_matches_its_snapshot() {
        let month: Month = "2026-11".parse().unwrap();
        let summary = Summary {
            month,
            totals: totals(42, 1_234_567, 12_345_678, 2),
            today: Some(totals(3, 4_000, 9_999, 0)),
            daily_average_cost: NanoUsd::from_micro_usd(514_403),
            daily_average_tokens: 51_440,
        };
        let days: Vec<DayUsage> = month
            .days()
            .map(|day| DayUsage {
                day,
                totals: match day.day() {
                    3 => totals(39, 1_230_567, 12_335_679, 2),
                    24 => totals(3, 4_000, 9_999, 0),
                    _ => Totals::default(),
                },
            })
            .collect();
        let users = [
            ("Jan Kowalski", "jan@abc.example", false, totals(40, 1_230_567, 12_335_678, 0)),
            (snapshot::NAME, "anna@abc.example", false, totals(2, 4_000, 10_000, 1)),
            ("Ewa Lis", "ewa@abc.example", true, totals(1, 0, 0, 1)),
        ]
        .map(|(name, email, removed, totals)| UserUsage {
            user_id: UserId::from(name),
            name: name.to_owned(),
            email: email.to_owned(),
            removed,
            totals,
        });
        let models = [ModelUsage { model: "anthropic/claude-sonnet-4.5".to_owned(), totals: summary.totals }];
        snapshot::assert_page("usage", "/usage", |layout| {
            let report = Report::new(layout, Metric::Cost, &summary, &days, &users, &models, snapshot::now());
            UsagePage { layout, t: UsageTexts(layout.locale), report }.render()
        });
    }
}
