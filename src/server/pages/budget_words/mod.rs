//! Budgets, worded for a reader: rows of a list with bars, and one line.

mod texts;

use mai_openrouter::NanoUsd;

use super::layout::Layout;
use crate::i18n::Locale;
use crate::usage::{BudgetAmount, BudgetPeriod, BudgetScope, BudgetState};
use crate::zloty::Pln;
pub(super) use texts::BudgetTexts;

/// A budget of a list, drawn by `budget_words/list.html`.
pub(super) struct BudgetRow {
    pub(super) id: String,
    /// Whose spending it limits.
    pub(super) whose: String,
    /// Its period, and whether it refuses.
    pub(super) rule: String,
    /// The amounts used and left of it; `None` where they differ for each person.
    pub(super) state: Option<BudgetWords>,
    /// Words of the button that raises it, and the amounts to choose from.
    pub(super) raise: &'static str,
    pub(super) raise_lead: String,
    pub(super) amounts: [Amount; 3],
    pub(super) remove_title: String,
}

/// The amounts used and left of a budget.
pub(super) struct BudgetWords {
    /// Width of the bar in percent.
    pub(super) filled: u64,
    /// The class of its colour.
    pub(super) level: &'static str,
    pub(super) used: String,
    pub(super) left: String,
    /// The words for half, three quarters, nearly all and all; none below.
    pub(super) warning: Option<&'static str>,
}

/// An amount by which a budget can be raised.
pub(super) struct Amount {
    /// Name of the field, by the currency, and its value.
    pub(super) field: &'static str,
    pub(super) value: String,
    pub(super) label: String,
}

impl BudgetRow {
    /// `name` is that of the person or API key that it limits.
    pub(super) fn new(layout: &Layout, state: &BudgetState, name: Option<&str>) -> Self {
        let t = BudgetTexts(layout.locale);
        let budget = &state.budget;
        let whose = match (budget.scope, name) {
            (BudgetScope::Company, _) => t.company().to_owned(),
            (BudgetScope::Person, None) => t.each_person().to_owned(),
            (BudgetScope::Key, None) => t.key(&budget.subject),
            (BudgetScope::Person, Some(name)) => name.to_owned(),
            (BudgetScope::Key, Some(name)) => t.key(name),
        };
        let limit = layout.locale.money(budget.limit.usd(state.rate), state.rate);
        let period = match budget.period {
            BudgetPeriod::Day => t.a_day(&limit),
            BudgetPeriod::Month => t.a_month(&limit),
        };
        let differs = budget.scope == BudgetScope::Person && budget.subject.is_empty() && name.is_none();
        Self {
            id: budget.id.clone(),
            rule: format!("{period} · {}", if budget.hard { t.hard() } else { t.soft() }),
            state: (!differs).then(|| BudgetWords::new(layout, state)),
            raise: match budget.period {
                BudgetPeriod::Day => t.raise_today(),
                BudgetPeriod::Month => t.raise_month(),
            },
            raise_lead: t.raise_lead(&whose, &layout.locale.money(state.current_limit, state.rate)),
            amounts: amounts(budget.limit).map(|amount| Amount::new(layout.locale, amount)),
            remove_title: t.remove_title(&whose),
            whose,
        }
    }
}

impl Amount {
    fn new(locale: Locale, amount: BudgetAmount) -> Self {
        let (field, value, shown) = match amount {
            BudgetAmount::Usd(amount) => ("nano_usd", amount.get().to_string(), locale.usd(amount)),
            BudgetAmount::Pln { amount, .. } => ("pln", amount.to_string(), locale.pln(amount)),
        };
        Self { field, value, label: format!("+ {shown}") }
    }
}

/// Returns a quarter, a half and all of a limit, to add to it; some dollars or złoty to one of nothing.
fn amounts(limit: BudgetAmount) -> [BudgetAmount; 3] {
    match limit {
        BudgetAmount::Usd(NanoUsd::ZERO) => {
            [1, 5, 10].map(|dollars| BudgetAmount::Usd(NanoUsd::new(dollars * 1_000_000_000)))
        }
        BudgetAmount::Usd(limit) => [4, 2, 1].map(|part| BudgetAmount::Usd(limit.divided_by(part))),
        BudgetAmount::Pln { amount, set_at } => {
            let groszy = match amount.groszy() {
                0 => [500, 2_000, 5_000],
                groszy => [4, 2, 1].map(|part| groszy / part),
            };
            groszy.map(|groszy| BudgetAmount::Pln { amount: Pln::new(groszy), set_at })
        }
    }
}

impl BudgetWords {
    fn new(layout: &Layout, state: &BudgetState) -> Self {
        let t = BudgetTexts(layout.locale);
        let money = |amount| layout.locale.money(amount, state.rate);
        let percent = state.percent();
        let (level, warning) = match percent {
            0..50 => ("", None),
            50..75 => ("", Some(t.half())),
            75..90 => ("warn", Some(t.three_quarters())),
            90..100 => ("bad", Some(t.nearly_all())),
            _ if state.budget.hard => ("bad", Some(t.all())),
            _ => ("bad", Some(t.exceeded())),
        };
        let used = t.used(&money(state.spent), &money(state.current_limit), percent);
        Self {
            filled: percent.min(100),
            level,
            used: if state.reserved > NanoUsd::ZERO { t.and_reserved(&used, &money(state.reserved)) } else { used },
            left: t.left_until(&money(state.left()), &layout.locale.day(state.new_on)),
            warning,
        }
    }
}

/// Returns the budget with the least left.
pub(super) fn tightest(states: &[BudgetState]) -> Option<&BudgetState> {
    states.iter().min_by_key(|state| state.left())
}

/// The line of the composer about the budget that limits the reader most.
pub(super) struct BudgetLine {
    pub(super) text: String,
    /// True from three quarters on.
    pub(super) warns: bool,
}

impl BudgetLine {
    /// Returns the line of the budgets of a person; none where none applies.
    pub(super) fn new(layout: &Layout, states: &[BudgetState]) -> Option<Self> {
        let state = tightest(states)?;
        let t = BudgetTexts(layout.locale);
        let [left, limit] = [state.left(), state.current_limit].map(|amount| layout.locale.money(amount, state.rate));
        let until = layout.locale.day(state.new_on);
        let text = match state.budget.scope {
            BudgetScope::Company => t.company_left(&left, &limit, &until),
            BudgetScope::Person | BudgetScope::Key => t.own_left(&left, &limit, &until),
        };
        Some(Self { text, warns: state.percent() >= 75 })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::zloty::Mid;

    #[test]
    fn budget_is_raised_by_parts_of_itself() {
        let amounts = |limit| amounts(BudgetAmount::Usd(NanoUsd::new(limit))).map(|amount| amount.usd(None).get());
        assert_eq!(amounts(10_000_000_000), [2_500_000_000, 5_000_000_000, 10_000_000_000]);
        assert_eq!(amounts(0), [1_000_000_000, 5_000_000_000, 10_000_000_000]);
        let set_at = Mid::from_millionths(4_000_000).unwrap();
        let pln = |groszy| super::amounts(BudgetAmount::Pln { amount: Pln::new(groszy), set_at });
        let labels = |groszy| pln(groszy).map(|amount| Amount::new(Locale::Pl, amount).value);
        assert_eq!(labels(10_000), ["25.00", "50.00", "100.00"]);
        assert_eq!(labels(0), ["5.00", "20.00", "50.00"]);
    }
}
