//! `/usage`: Settings → Usage, and the stream that keeps it fresh without a reload.

use std::{convert::Infallible, time::Duration};

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    refusal::Refused,
    reply,
    shell::{Boss, Shell},
    usage_report::{Metric, Report},
};
use crate::{
    App,
    database::DatabaseError,
    usage::{self, Month},
};

#[derive(Template)]
#[template(path = "usage.html")]
pub(super) struct UsagePage<'a> {
    pub(super) s: &'a Shell,
    pub(super) report: Report,
}

/// The part that is sent again when something was used. It carries its own address within the page.
#[derive(Template)]
#[template(
    source = "<hx-partial hx-target=\"#usage\" hx-swap=\"innerMorph\">{% include \"usage_report.html\" %}</hx-partial>",
    ext = "html"
)]
struct UsageUpdate<'a> {
    s: &'a Shell,
    report: Report,
}

/// What the address asks to see.
#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    month: String,
    #[serde(default)]
    chart: String,
}

impl Wanted {
    fn month(&self, app: &App) -> Month {
        self.month.parse().unwrap_or_else(|_| usage::current_month(app))
    }

    fn metric(&self) -> Metric {
        if self.chart == "tokens" { Metric::Tokens } else { Metric::Cost }
    }
}

async fn report(app: &App, shell: &Shell, month: Month, metric: Metric) -> Result<Report, DatabaseError> {
    let summary = usage::summary(app, month, None).await?;
    let days = usage::by_day(app, month, None).await?;
    let users = usage::by_user(app, month).await?;
    let models = usage::by_model(app, month, None).await?;
    Ok(Report::new(shell, metric, &summary, &days, &users, &models, Timestamp::now()))
}

/// `GET /usage`
pub(super) async fn show(
    State(app): State<App>,
    Boss { shell, .. }: Boss,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Refused> {
    let report = shell.check(report(&app, &shell, wanted.month(&app), wanted.metric()).await)?;
    Ok(reply::page(&shell, StatusCode::OK, &UsagePage { s: &shell, report }))
}

/// How often at most the page is sent again while people chat.
const PACE: Duration = Duration::from_secs(1);
/// How often it is sent when nothing happens, so that its clock and "today" stay true.
const AT_LEAST: Duration = Duration::from_secs(30);

/// `GET /usage/live`
pub(super) async fn live(
    State(app): State<App>,
    Boss { shell, .. }: Boss,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Refused> {
    let (month, metric) = (wanted.month(&app), wanted.metric());
    Ok(Sse::new(updates(app, shell, month, metric)).keep_alive(KeepAlive::default()).into_response())
}

fn updates(app: App, shell: Shell, month: Month, metric: Metric) -> impl Stream<Item = Result<Event, Infallible>> {
    let closing = app.closing.clone();
    let changed = app.ledger.subscribe();
    stream::unfold((app, shell, changed), move |(app, shell, mut changed)| async move {
        // What was used until here is on the page already; wait for more, but not for ever.
        let _ = tokio::time::timeout(AT_LEAST, changed.changed()).await;
        // Let what belongs together come together.
        tokio::time::sleep(PACE).await;
        changed.mark_unchanged();
        let report = match report(&app, &shell, month, metric).await {
            Ok(report) => report,
            Err(error) => {
                tracing::error!(%error, "the usage page could not be refreshed");
                return None;
            }
        };
        let html = UsageUpdate { s: &shell, report }.render().ok()?;
        Some((Ok(Event::default().data(html)), (app, shell, changed)))
    })
    .take_until(async move { closing.cancelled().await })
}
