//! The streams that keep an open page current.

use std::convert::Infallible;
use std::time::Duration;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::report::Report;
use super::texts::UsageTexts;
use super::view::{Selection, View, ViewParts};
use super::{company, own};
use crate::pages::budget_words::BudgetTexts;
use crate::pages::error_page::ErrorPage;
use crate::pages::layout::{AdminVisitor, Layout, SignedInVisitor};
use crate::pages::response;
use crate::usage::Ledger;

/// Least interval between two updates while people chat.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// Interval between two updates without usage, so that the clock and "today" stay true.
const MOST_INTERVAL: Duration = Duration::from_secs(30);
/// Time after which the page connects anew, so that who may not read this any more does not.
const LONGEST_STREAM: Duration = Duration::from_mins(10);

/// The part that is sent again after new usage. It carries its own address within the page.
#[derive(Template)]
#[template(
    source = "<hx-partial hx-target=\"#usage\" hx-swap=\"innerMorph\">{% include \"usage/usage_report.html\" %}</hx-partial>",
    ext = "html"
)]
struct UsageUpdate<'a> {
    layout: &'a Layout,
    t: UsageTexts,
    b: BudgetTexts,
    report: Report,
}

pub(super) async fn of_company(
    parts: ViewParts,
    State(ledger): State<Ledger>,
    State(closing): State<CancellationToken>,
    AdminVisitor { layout, .. }: AdminVisitor,
    Query(selection): Query<Selection>,
) -> Result<Response, ErrorPage> {
    let view = View::new(parts, layout, company::ENTRY.path, &selection, None);
    Ok(stream_updates(view, ledger.subscribe(), closing))
}

pub(super) async fn of_oneself(
    parts: ViewParts,
    State(ledger): State<Ledger>,
    State(closing): State<CancellationToken>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Query(selection): Query<Selection>,
) -> Result<Response, ErrorPage> {
    let view = View::new(parts, layout, own::ENTRY.path, &selection, Some(user.id));
    Ok(stream_updates(view, ledger.subscribe(), closing))
}

fn stream_updates(view: View, changed: watch::Receiver<()>, closing: CancellationToken) -> Response {
    let updates = updates(view, changed).take_until(async move {
        let _ = tokio::time::timeout(LONGEST_STREAM, closing.cancelled()).await;
    });
    response::events(Sse::new(updates).keep_alive(KeepAlive::default()))
}

/// Returns the page's report again and again, after changes of the ledger.
fn updates(view: View, changed: watch::Receiver<()>) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((view, changed), |(view, mut changed)| async move {
        // The page shows what was used until here.
        let _ = tokio::time::timeout(MOST_INTERVAL, changed.changed()).await;
        // Changes that come together are sent together.
        tokio::time::sleep(LEAST_INTERVAL).await;
        changed.mark_unchanged();
        let report = match view.report().await {
            Ok(report) => report,
            Err(error) => {
                tracing::error!(%error, "the usage page could not be refreshed");
                return None;
            }
        };
        let layout = &view.layout;
        let html = UsageUpdate { layout, t: UsageTexts(layout.locale), b: BudgetTexts(layout.locale), report }
            .render()
            .ok()?;
        Some((Ok(Event::default().data(html)), (view, changed)))
    })
}
