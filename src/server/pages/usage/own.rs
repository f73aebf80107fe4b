//! `/usage/me`: what the reader uses.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;

use super::months::Months;
use super::prices::PriceRow;
use super::report::Report;
use super::texts::UsageTexts;
use super::view::{Selection, View, ViewParts};
use crate::pages::budget_words::BudgetTexts;
use crate::pages::error_page::ErrorPage;
use crate::pages::layout::{ICONS, Layout, Notice, SignedInVisitor};
use crate::pages::navigation::Entry;
use crate::pages::response;
use crate::usage::Account;

/// The page's entry in the navigation.
pub(in crate::pages) const ENTRY: Entry =
    Entry { path: "/usage/me", icon: ICONS.usage, title: |locale| UsageTexts(locale).own_title() };

#[derive(Template)]
#[template(path = "usage/usage.html")]
pub(super) struct OwnPage<'a> {
    pub(super) layout: &'a Layout,
    pub(super) t: UsageTexts,
    pub(super) b: BudgetTexts,
    pub(super) people: Vec<Account>,
    pub(super) notice: Option<Notice>,
    pub(super) prices: Vec<PriceRow>,
    pub(super) months: Months,
    pub(super) report: Report,
}

pub(super) async fn show(
    parts: ViewParts,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Query(selection): Query<Selection>,
) -> Result<Response, ErrorPage> {
    parts.reports.catch_up().await;
    let view = View::new(parts, layout, ENTRY.path, &selection, Some(user.id));
    let View { layout, .. } = &view;
    let report = layout.check(view.report().await)?;
    let months = layout.check(view.months().await)?;
    let page = OwnPage {
        layout,
        t: UsageTexts(layout.locale),
        b: BudgetTexts(layout.locale),
        people: Vec::new(),
        notice: None,
        prices: Vec::new(),
        months,
        report,
    };
    Ok(response::html(layout, StatusCode::OK, &page))
}
