//! A month's usage as the page shows it: numbers in the reader's language, bars in the units of the
//! drawing.

use mai_openrouter::NanoUsd;

use super::calls::CallRow;
use super::chart::{Chart, Metric, chart};
use super::matrix::Matrix;
use super::numbers::MonthNumbers;
use super::texts::UsageTexts;
use crate::i18n::Locale;
use crate::pages::budget_words::{BudgetRow, BudgetTexts, tightest};
use crate::pages::layout::Layout;
use crate::rates::{MonthRate, RateBasis};
use crate::usage::{Account, BudgetScope, BudgetState, ModelUsage, Summary, Totals, by_model, by_user};

/// A month's usage, drawn by `usage_report.html`.
pub(super) struct Report {
    /// The path of the page.
    pub(super) path: &'static str,
    pub(super) month_code: String,
    /// True for the current month.
    pub(super) is_current: bool,
    pub(super) tiles: Vec<Tile>,
    pub(super) unknown: Option<String>,
    /// The number of these whose connection is not in use any more.
    pub(super) former_connection: Option<String>,
    /// True when providers charged something to the client's own keys.
    pub(super) own_keys: bool,
    pub(super) budgets: Vec<BudgetRow>,
    pub(super) chart: Chart,
    pub(super) days: Vec<DayRow>,
    pub(super) models: Vec<Row>,
    /// The models themselves, in the same order.
    pub(super) model_ids: Vec<String>,
    /// The part that only administrators see.
    pub(super) company: Option<Company>,
    /// The rate of the amounts in złoty.
    pub(super) rate: Option<String>,
    pub(super) updated: String,
    pub(super) zone: String,
}

/// The part of the page about others than the reader.
pub(super) struct Company {
    pub(super) users: Vec<Row>,
    pub(super) matrix: Matrix,
    pub(super) calls: Vec<CallRow>,
}

/// A card with one figure.
pub(super) struct Tile {
    pub(super) code: &'static str,
    pub(super) label: &'static str,
    pub(super) figure: String,
    /// The amount in złoty; empty where it is none.
    pub(super) zloty: String,
    pub(super) note: String,
}

/// A row of the table of days.
pub(super) struct DayRow {
    pub(super) name: String,
    pub(super) requests: String,
    pub(super) tokens: String,
    pub(super) cost: String,
}

/// A row of the tables of users and models.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) detail: String,
    pub(super) removed: bool,
    pub(super) requests: String,
    pub(super) tokens: String,
    pub(super) cost: String,
    /// The cost in złoty; empty where no rate is known.
    pub(super) zloty: String,
    /// Percentage of the month's cost, or of its tokens where nothing cost anything.
    pub(super) share: u64,
}

impl Report {
    pub(super) fn new(
        layout: &Layout,
        path: &'static str,
        metric: Metric,
        numbers: &MonthNumbers,
        rate: Option<&MonthRate>,
    ) -> Self {
        let t = UsageTexts(layout.locale);
        let write = Writer { layout, t, rate };
        let MonthNumbers { summary, days, groups, now, .. } = numbers;
        let month = summary.month;
        let totals = &summary.totals;
        let models = by_model(groups);
        let company = numbers.company.as_ref().map(|company| {
            let users = by_user(groups, &company.accounts);
            Company {
                matrix: Matrix::new(&write, groups, &users, &models),
                users: users
                    .iter()
                    .map(|user| Row {
                        name: if user.name.is_empty() { user.user_id.as_str().to_owned() } else { user.name.clone() },
                        detail: user.email.clone(),
                        removed: user.removed,
                        ..row(&write, &user.totals, totals)
                    })
                    .collect(),
                calls: company.calls.iter().map(|call| CallRow::new(layout, call, now)).collect(),
            }
        });
        Self {
            path,
            month_code: month.to_string(),
            is_current: summary.today.is_some(),
            tiles: tiles(&write, summary, now.date()).into_iter().chain(budget_tile(&write, numbers)).collect(),
            own_keys: totals.own_key_cost > NanoUsd::ZERO,
            unknown: (totals.unknown_cost > 0).then(|| t.unknown(signed(totals.unknown_cost))),
            former_connection: (totals.unknown_cost_former_connection > 0)
                .then(|| t.former_connection(signed(totals.unknown_cost_former_connection))),
            budgets: numbers
                .budgets
                .iter()
                .map(|state| BudgetRow::new(layout, state, name_of(layout.locale, numbers, state)))
                .collect(),
            chart: chart(&write, metric, &layout.locale.month(month.first_day()), days),
            days: days
                .iter()
                .filter(|day| day.day <= now.date())
                .map(|day| DayRow {
                    name: layout.locale.day(day.day),
                    requests: write.count(day.totals.requests),
                    tokens: write.count(day.totals.total_tokens),
                    cost: write.cost(&day.totals),
                })
                .collect(),
            model_ids: models.iter().map(|model| model.model.clone()).collect(),
            models: models.iter().map(|model| model_row(&write, model, totals)).collect(),
            company,
            rate: write.rate_in_words(),
            updated: t.updated(&format!("{}:{:02}", layout.locale.clock(now), now.second())),
            zone: t.zone(layout.zone.iana_name().unwrap_or("UTC")),
        }
    }
}

/// Formats numbers in the reader's language.
pub(super) struct Writer<'a> {
    pub(super) layout: &'a Layout,
    pub(super) t: UsageTexts,
    /// The rate of the month, if any is known.
    pub(super) rate: Option<&'a MonthRate>,
}

impl Writer<'_> {
    pub(super) fn count(&self, value: u64) -> String {
        self.layout.locale.number(signed(value))
    }

    pub(super) fn money(&self, amount: NanoUsd) -> String {
        self.layout.locale.usd(amount)
    }

    /// Returns an amount in złoty at the rate of the month; nothing where no rate is known.
    fn zloty(&self, amount: NanoUsd) -> String {
        let is_nothing = amount == NanoUsd::ZERO;
        self.rate.filter(|_| !is_nothing).map_or_else(String::new, |rate| self.layout.locale.pln(rate.pln(amount)))
    }

    /// Returns the rate of the month in words.
    fn rate_in_words(&self) -> Option<String> {
        let MonthRate { basis, rate, .. } = self.rate?;
        let day = format!("{} {}", self.layout.locale.day(rate.date), rate.date.year());
        let rate = self.t.rate(&rate.mid.to_string(), &rate.number, &day);
        let basis = match basis {
            RateBasis::Newest => self.t.rate_newest(),
            RateBasis::Frozen => self.t.rate_frozen(),
            RateBasis::Provisional => self.t.rate_provisional(),
        };
        Some(format!("{rate} {basis}"))
    }

    /// Returns a cost, or the word for an unknown one: unknown is not zero. What was charged to the
    /// client's own keys stands behind it.
    pub(super) fn cost(&self, totals: &Totals) -> String {
        if totals.own_key_cost > NanoUsd::ZERO {
            format!("{} + {}", self.money(totals.price), self.money(totals.own_key_cost))
        } else if totals.price.get() == 0 && totals.unknown_cost > 0 {
            self.t.unknown_cell().to_owned()
        } else {
            self.money(totals.price)
        }
    }

    /// Returns how much was asked: `42 requests · 1,234 tokens`.
    pub(super) fn volume(&self, totals: &Totals) -> String {
        let (requests, tokens) = (signed(totals.requests), signed(totals.total_tokens));
        format!(
            "{} · {}",
            self.t.requests_counted(&self.count(totals.requests), requests),
            self.t.tokens_counted(&self.count(totals.total_tokens), tokens)
        )
    }
}

fn tiles(write: &Writer<'_>, summary: &Summary, today: jiff::civil::Date) -> Vec<Tile> {
    let t = write.t;
    let totals = &summary.totals;
    let days = i64::from(summary.month.days_begun(today));
    let month = Tile {
        code: "cost",
        label: t.whole_month(),
        figure: write.cost(totals),
        zloty: write.zloty(totals.price),
        note: write.volume(totals),
    };
    let average = Tile {
        code: "average",
        label: t.daily_average(),
        figure: write.money(summary.daily_average_cost),
        zloty: write.zloty(summary.daily_average_cost),
        note: t.daily_average_note(days),
    };
    let (Some(today), Some(projection)) = (&summary.today, summary.projection) else {
        let tokens = Tile {
            code: "tokens",
            label: t.tokens(),
            figure: write.count(totals.total_tokens),
            zloty: String::new(),
            note: t.tokens_split(&write.count(totals.prompt_tokens), &write.count(totals.completion_tokens)),
        };
        return vec![month, average, tokens];
    };
    let today = Tile {
        code: "today",
        label: t.today(),
        figure: write.cost(today),
        zloty: write.zloty(today.price),
        note: write.volume(today),
    };
    let projection = Tile {
        code: "projection",
        label: t.projection(),
        figure: write.money(projection),
        zloty: write.zloty(projection),
        note: t.projection_note().to_owned(),
    };
    vec![today, month, average, projection]
}

/// Returns the card of the budget with the least left: of the company's for an administrator.
fn budget_tile(write: &Writer<'_>, numbers: &MonthNumbers) -> Option<Tile> {
    let is_shown = |state: &&BudgetState| numbers.company.is_none() || state.budget.scope == BudgetScope::Company;
    let shown: Vec<BudgetState> = numbers.budgets.iter().filter(is_shown).cloned().collect();
    let state = tightest(&shown)?;
    let until = write.layout.locale.day(state.new_on);
    Some(Tile {
        code: "budget",
        label: write.t.budget_left(),
        figure: write.layout.locale.money(state.left(), state.rate),
        zloty: if state.rate.is_some() { String::new() } else { write.zloty(state.left()) },
        note: write.t.budget_note(&write.layout.locale.money(state.current_limit, state.rate), &until),
    })
}

/// Returns the name of the person or API key that a budget limits; in the reader's own list it is "you".
fn name_of<'a>(locale: Locale, numbers: &'a MonthNumbers, state: &'a BudgetState) -> Option<&'a str> {
    let subject = state.budget.subject.as_str();
    match &numbers.company {
        Some(company) => {
            let is_subject = |account: &&Account| account.id.as_str() == subject;
            company.accounts.iter().find(is_subject).map(|account| account.name.as_str())
        }
        None => Some(BudgetTexts(locale).you()),
    }
}

fn row(write: &Writer<'_>, totals: &Totals, of: &Totals) -> Row {
    let whole = if of.price.get() > 0 { Metric::Cost } else { Metric::Tokens };
    let share = (u128::from(whole.value(totals)) * 100).checked_div(u128::from(whole.value(of))).unwrap_or(0);
    Row {
        name: String::new(),
        detail: String::new(),
        removed: false,
        requests: write.count(totals.requests),
        tokens: write.count(totals.total_tokens),
        cost: write.cost(totals),
        zloty: write.zloty(totals.price),
        share: u64::try_from(share).unwrap_or(100).min(100),
    }
}

/// Returns the row of a model, with `anthropic/claude-sonnet-4` split into name and maker.
fn model_row(write: &Writer<'_>, model: &ModelUsage, of: &Totals) -> Row {
    let (name, maker) = split_model(&model.model);
    Row { name: name.to_owned(), detail: maker.to_owned(), ..row(write, &model.totals, of) }
}

/// Splits a model into name and maker.
pub(super) fn split_model(model: &str) -> (&str, &str) {
    model.split_once('/').map_or((model, ""), |(maker, name)| (name, maker))
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
