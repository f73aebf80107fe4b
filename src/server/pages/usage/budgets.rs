//! The forms of budgets on the page of the company.

use axum::Form;
use axum::extract::Path;
use axum::response::Response;
use mai_openrouter::NanoUsd;
use serde::Deserialize;

use super::company::{self, CompanyParts};
use super::view::Selection;
use crate::pages::error_page::ErrorPage;
use crate::pages::layout::{AdminVisitor, Layout};
use crate::pages::response;
use crate::usage::{Budget, BudgetError, BudgetPeriod, BudgetScope, InvalidBudget, NewBudget, Raise};

/// The choice of the company in the form.
pub(super) const COMPANY: &str = "company";
/// The choice of each person in the form.
pub(super) const EACH_PERSON: &str = "person";

#[derive(Deserialize)]
pub(super) struct BudgetForm {
    /// [`COMPANY`], [`EACH_PERSON`] or the id of an account.
    whose: String,
    period: BudgetPeriod,
    /// With a point or a comma.
    limit: String,
    /// Absent on a page that knows no rate.
    currency: Option<Currency>,
    /// Of a checkbox: absent when it is not ticked.
    hard: Option<String>,
}

/// A currency of a limit.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Currency {
    Usd,
    Pln,
}

impl BudgetForm {
    fn budget(self) -> Result<NewBudget, BudgetError> {
        let limit = self.limit.trim().replace(',', ".");
        let (limit_nano_usd, limit_pln) = match self.currency.unwrap_or(Currency::Usd) {
            Currency::Usd => {
                let limit: NanoUsd = limit.parse().map_err(|_| InvalidBudget::Limit)?;
                (Some(limit.get()), None)
            }
            Currency::Pln => (None, Some(limit)),
        };
        let (scope, subject) = match self.whose.as_str() {
            COMPANY => (BudgetScope::Company, String::new()),
            EACH_PERSON => (BudgetScope::Person, String::new()),
            _ => (BudgetScope::Person, self.whose),
        };
        Ok(NewBudget { scope, subject, period: self.period, limit_nano_usd, limit_pln, hard: self.hard.is_some() })
    }
}

pub(super) async fn set(
    parts: CompanyParts,
    AdminVisitor { layout, user }: AdminVisitor,
    Form(form): Form<BudgetForm>,
) -> Result<Response, ErrorPage> {
    let outcome = match form.budget() {
        Ok(budget) => parts.view.budgets.set(user.actor(), budget).await,
        Err(error) => Err(error),
    };
    answer(parts, layout, outcome).await
}

pub(super) async fn raise(
    parts: CompanyParts,
    AdminVisitor { layout, user }: AdminVisitor,
    Path(id): Path<String>,
    Form(added): Form<Raise>,
) -> Result<Response, ErrorPage> {
    let outcome = parts.view.budgets.raise(user.actor(), &id, &added).await;
    answer(parts, layout, outcome).await
}

pub(super) async fn remove(
    parts: CompanyParts,
    AdminVisitor { layout, user }: AdminVisitor,
    Path(id): Path<String>,
) -> Result<Response, ErrorPage> {
    layout.check(parts.view.budgets.remove(user.actor(), &id).await)?;
    parts.ledger.notify();
    Ok(response::redirect(company::ENTRY.path))
}

/// Shows the page again; other open ones are redrawn as after new usage.
async fn answer(
    parts: CompanyParts,
    layout: Layout,
    outcome: Result<Budget, BudgetError>,
) -> Result<Response, ErrorPage> {
    match outcome {
        Ok(_) => {
            parts.ledger.notify();
            Ok(response::redirect(company::ENTRY.path))
        }
        Err(error) => {
            let outcome = layout.form_problem(error)?;
            company::draw(parts, layout, &Selection::default(), outcome).await
        }
    }
}
