//! `/usage`: what the company uses, for administrators. Others are sent to their own page.

use std::convert::Infallible;

use askama::Template;
use axum::extract::{FromRef, FromRequestParts, Query};
use axum::http::request::Parts;
use axum::response::Response;

use super::months::Months;
use super::own;
use super::prices::PriceRow;
use super::report::Report;
use super::texts::UsageTexts;
use super::view::{Selection, View, ViewParts};
use crate::connection::{ConnectionSource, Connections};
use crate::models::Models;
use crate::pages::budget_words::BudgetTexts;
use crate::pages::error_page::ErrorPage;
use crate::pages::form_problem::FormOutcome;
use crate::pages::layout::{ICONS, Layout, Notice, SignedInVisitor};
use crate::pages::navigation::Entry;
use crate::pages::response;
use crate::usage::{Account, Ledger};

/// The page's entry in the navigation.
pub(in crate::pages) const ENTRY: Entry =
    Entry { path: "/usage", icon: ICONS.usage, title: |locale| UsageTexts(locale).title() };

#[derive(Template)]
#[template(path = "usage/usage.html")]
pub(super) struct CompanyPage<'a> {
    pub(super) layout: &'a Layout,
    pub(super) t: UsageTexts,
    pub(super) b: BudgetTexts,
    /// The people who may get a budget.
    pub(super) people: Vec<Account>,
    /// The reason why a budget was refused.
    pub(super) notice: Option<Notice>,
    pub(super) prices: Vec<PriceRow>,
    pub(super) months: Months,
    pub(super) report: Report,
}

/// The parts of the server that the page shows.
pub(super) struct CompanyParts {
    pub(super) view: ViewParts,
    pub(super) ledger: Ledger,
    models: Models,
    connections: Connections,
}

impl<S> FromRequestParts<S> for CompanyParts
where
    S: Send + Sync,
    ViewParts: FromRequestParts<S, Rejection = Infallible>,
    Ledger: FromRef<S>,
    Models: FromRef<S>,
    Connections: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self {
            view: ViewParts::from_request_parts(parts, state).await?,
            ledger: Ledger::from_ref(state),
            models: Models::from_ref(state),
            connections: Connections::from_ref(state),
        })
    }
}

pub(super) async fn draw(
    CompanyParts { view, ledger, models, connections }: CompanyParts,
    layout: Layout,
    selection: &Selection,
    outcome: FormOutcome,
) -> Result<Response, ErrorPage> {
    view.reports.catch_up().await;
    let mut people = layout.check(view.reports.accounts().await)?;
    people.retain(|person| !person.removed);
    let view = View::new(view, layout, ENTRY.path, selection, None);
    let View { layout, .. } = &view;
    let report = layout.check(view.report().await)?;
    let catalogue = models.list().await;
    let pricing = ledger.pricing(connections.current().source != ConnectionSource::Database);
    let prices = report.model_ids.iter().map(|model| PriceRow::new(layout, model, &catalogue, pricing)).collect();
    let page = CompanyPage {
        layout,
        t: UsageTexts(layout.locale),
        b: BudgetTexts(layout.locale),
        people,
        notice: outcome.notice,
        months: layout.check(view.months().await)?,
        prices,
        report,
    };
    Ok(response::html(layout, outcome.status, &page))
}

pub(super) async fn show(
    parts: CompanyParts,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Query(selection): Query<Selection>,
) -> Result<Response, ErrorPage> {
    if !user.is_admin() {
        return Ok(response::redirect(own::ENTRY.path));
    }
    draw(parts, layout, &selection, FormOutcome::none()).await
}
