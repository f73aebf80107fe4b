//! The numbers that the page is made of.

use jiff::Zoned;

use crate::database::DatabaseError;
use crate::usage::{Account, BudgetState, Budgets, Call, DayUsage, Month, PersonModel, Summary, UsageReports};
use crate::user::UserId;

/// Calls on the page itself; the others have one of their own.
const NEWEST_CALLS: usize = 10;

/// A month's usage, of everybody or of one person.
pub(super) struct MonthNumbers {
    pub(super) now: Zoned,
    pub(super) summary: Summary,
    pub(super) days: Vec<DayUsage>,
    pub(super) groups: Vec<PersonModel>,
    /// The budgets that the reader sees; none for a former month.
    pub(super) budgets: Vec<BudgetState>,
    /// The part that is read of everybody alone.
    pub(super) company: Option<CompanyNumbers>,
}

/// Names of people, and what they asked last.
pub(super) struct CompanyNumbers {
    pub(super) accounts: Vec<Account>,
    /// The newest calls; none for a former month.
    pub(super) calls: Vec<Call>,
}

impl MonthNumbers {
    /// Reads a month of everybody, or of one person.
    pub(super) async fn read(
        reports: &UsageReports,
        budgets: &Budgets,
        month: Month,
        whose: Option<&UserId>,
    ) -> Result<Self, DatabaseError> {
        let now = reports.now();
        let days = reports.by_day(month, whose).await?;
        let groups = reports.groups(month, whose).await?;
        let is_current = month == Month::from_day(now.date());
        let budgets = match whose {
            _ if !is_current => Vec::new(),
            Some(person) => budgets.of_person(person),
            None => budgets.all(),
        };
        let company = match whose {
            Some(_) => None,
            None => {
                let calls = if is_current { reports.newest_calls(None, NEWEST_CALLS).await? } else { Vec::new() };
                Some(CompanyNumbers { accounts: reports.accounts().await?, calls })
            }
        };
        Ok(Self { summary: Summary::new(month, &days, &now), now, days, groups, budgets, company })
    }
}
