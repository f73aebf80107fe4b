//! The usage that a reader looks at: whose, and of which month.

use std::convert::Infallible;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use serde::Deserialize;

use super::chart::Metric;
use super::months::Months;
use super::numbers::MonthNumbers;
use super::report::Report;
use crate::database::DatabaseError;
use crate::pages::layout::Layout;
use crate::rates::Rates;
use crate::usage::{Budgets, Month, UsageReports};
use crate::user::UserId;

/// The month and metric of the address.
#[derive(Default, Deserialize)]
pub(super) struct Selection {
    #[serde(default)]
    month: String,
    #[serde(default)]
    chart: String,
}

/// The parts of the server that are read.
pub(super) struct ViewParts {
    pub(super) reports: UsageReports,
    pub(super) budgets: Budgets,
    rates: Rates,
}

impl<S> FromRequestParts<S> for ViewParts
where
    S: Sync,
    UsageReports: FromRef<S>,
    Budgets: FromRef<S>,
    Rates: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self {
            reports: UsageReports::from_ref(state),
            budgets: Budgets::from_ref(state),
            rates: Rates::from_ref(state),
        })
    }
}

/// The usage that a page shows, and to whom.
pub(super) struct View {
    reports: UsageReports,
    budgets: Budgets,
    rates: Rates,
    pub(super) layout: Layout,
    /// The path of the page.
    path: &'static str,
    month: Month,
    metric: Metric,
    /// The person whose usage is shown alone.
    whose: Option<UserId>,
}

impl View {
    pub(super) fn new(
        ViewParts { reports, budgets, rates }: ViewParts,
        layout: Layout,
        path: &'static str,
        selection: &Selection,
        whose: Option<UserId>,
    ) -> Self {
        let month = selection.month.parse().unwrap_or_else(|_| reports.current_month());
        let metric = if selection.chart == "tokens" { Metric::Tokens } else { Metric::Cost };
        Self { reports, budgets, rates, layout, path, month, metric, whose }
    }

    /// Reads the usage and words it for the reader.
    pub(super) async fn report(&self) -> Result<Report, DatabaseError> {
        let numbers = MonthNumbers::read(&self.reports, &self.budgets, self.month, self.whose.as_ref()).await?;
        let rate = self.rates.for_month(self.month);
        Ok(Report::new(&self.layout, self.path, self.metric, &numbers, rate.as_ref()))
    }

    /// Reads the months to choose from.
    pub(super) async fn months(&self) -> Result<Months, DatabaseError> {
        let used = self.reports.months().await?;
        Ok(Months::new(&self.layout, self.month, &used))
    }
}
