//! `/usage/me`: what the reader uses.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::months::Months;
use super::report::Report;
use super::texts::UsageTexts;
use super::view::{Selection, View};
use crate::pages::error_page::ErrorPage;
use crate::pages::layout::{ICONS, Layout, SignedInVisitor};
use crate::pages::navigation::Entry;
use crate::pages::response;
use crate::usage::UsageReports;

/// The page's entry in the navigation.
pub(in crate::pages) const ENTRY: Entry =
    Entry { path: "/usage/me", icon: ICONS.usage, title: |locale| UsageTexts(locale).own_title() };

#[derive(Template)]
#[template(path = "usage/usage.html")]
pub(super) struct OwnPage<'a> {
    pub(super) layout: &'a Layout,
    pub(super) t: UsageTexts,
    pub(super) months: Months,
    pub(super) report: Report,
}

pub(super) async fn show(
    State(reports): State<UsageReports>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Query(selection): Query<Selection>,
) -> Result<Response, ErrorPage> {
    reports.catch_up().await;
    let view = View::new(reports, layout, ENTRY.path, &selection, Some(user.id));
    let View { layout, .. } = &view;
    let report = layout.check(view.report().await)?;
    let months = layout.check(view.months().await)?;
    let page = OwnPage { layout, t: UsageTexts(layout.locale), months, report };
    Ok(response::html(layout, StatusCode::OK, &page))
}
