//! Snapshots of the pages of usage.

use mai_openrouter::NanoUsd;

use super::calls::{CallRow, CallsPage};
use super::chart::Metric;
use super::company::CompanyPage;
use super::months::Months;
use super::numbers::{CompanyNumbers, MonthNumbers};
use super::own::OwnPage;
use super::prices::PriceRow;
use super::report::Report;
use super::texts::UsageTexts;
use crate::models::Catalogue;
use crate::pages::budget_words::BudgetTexts;
use crate::pages::layout::Layout;
use crate::pages::snapshot;
use crate::rates::{MonthRate, Rate, RateBasis, RateSource};
use crate::usage::{
    Account, Budget, BudgetPeriod, BudgetScope, BudgetState, Call, DayUsage, Month, PersonModel, Pricing, Summary,
    Totals,
};
use crate::users::UserId;
use askama::Template;
use jiff::tz::TimeZone;

fn totals(requests: u64, tokens: u64, cost: i64, unknown: u64) -> Totals {
    Totals {
        requests,
        prompt_tokens: tokens / 4,
        completion_tokens: tokens - tokens / 4,
        total_tokens: tokens,
        price: NanoUsd::from_micro_usd(cost),
        // Pages of the client never show it.
        cost: NanoUsd::from_micro_usd(777_777_777),
        own_key_cost: NanoUsd::ZERO,
        unknown_cost: unknown,
        unknown_cost_former_connection: unknown / 2,
        running: 0,
    }
}

fn month() -> Month {
    "2026-11".parse().unwrap()
}

fn calls() -> Vec<Call> {
    let call = |id: &str, name: &str, status: &str, price: Option<i64>| Call {
        id: id.to_owned(),
        timestamp: snapshot::now(),
        user_id: UserId::from("person"),
        name: name.to_owned(),
        model: "anthropic/claude-sonnet-4.5".to_owned(),
        status: status.to_owned(),
        is_correction: price == Some(-1),
        total_tokens: (status != "pending").then_some(1_234),
        price: price.map(NanoUsd::new),
    };
    vec![
        call("4", "Jan Kowalski", "pending", None),
        call("3", snapshot::NAME, "completed", Some(1_371_500)),
        call("2", "", "cancelled", None),
        call("1", "Jan Kowalski", "completed", Some(-1)),
    ]
}

fn budgets(of_all: bool) -> Vec<BudgetState> {
    let state = |scope, subject: &str, period, hard, spent: i64| BudgetState {
        budget: Budget::example(
            &format!("{subject}-{spent}"),
            scope,
            subject,
            period,
            NanoUsd::new(10_000_000_000),
            hard,
        ),
        current_limit: NanoUsd::new(10_000_000_000),
        spent: NanoUsd::new(spent * 100_000_000),
        reserved: NanoUsd::new(if spent == 80 { 12_345_678 } else { 0 }),
        new_on: jiff::civil::date(2026, 12, 1),
        rate: None,
    };
    let (day, month) = (BudgetPeriod::Day, BudgetPeriod::Month);
    let own = vec![state(BudgetScope::Company, "", month, true, 80), state(BudgetScope::Person, "jan", day, true, 100)];
    let others = vec![
        state(BudgetScope::Person, "", month, true, 0),
        state(BudgetScope::Person, "anna", month, false, 130),
        state(BudgetScope::Key, "key", day, true, 55),
        state(BudgetScope::Person, "ewa", month, true, 95),
    ];
    if of_all { own.into_iter().chain(others).collect() } else { own }
}

fn numbers(company: bool) -> MonthNumbers {
    let days: Vec<DayUsage> = month()
        .days()
        .map(|day| DayUsage {
            day,
            totals: match day.day() {
                3 => totals(39, 1_230_567, 12_335_679, 2),
                24 => totals(3, 4_000, 9_999, 0),
                _ => Totals::default(),
            },
        })
        .collect();
    let group =
        |user: &str, model: &str, totals| PersonModel { user_id: UserId::from(user), model: model.to_owned(), totals };
    let account = |id: &str, name: &str, removed| Account {
        id: UserId::from(id),
        name: name.to_owned(),
        email: format!("{id}@abc.example"),
        removed,
    };
    let now = snapshot::now().to_zoned(TimeZone::UTC);
    MonthNumbers {
        summary: Summary::new(month(), &days, &now),
        days,
        groups: vec![
            group("jan", "anthropic/claude-sonnet-4.5", totals(39, 1_230_000, 12_300_000, 0)),
            group("jan", "llama3", totals(1, 567, 35_678, 0)),
            group("anna", "anthropic/claude-sonnet-4.5", totals(1, 4_000, 10_000, 1)),
            group("ewa", "llama3", totals(1, 0, 0, 1)),
        ],
        budgets: budgets(company),
        company: company.then(|| CompanyNumbers {
            accounts: vec![
                account("jan", "Jan Kowalski", false),
                account("anna", snapshot::NAME, false),
                account("ewa", "Ewa Lis", true),
                account("idle", "Piotr Nowy", false),
            ],
            calls: calls(),
        }),
        now,
    }
}

fn rate() -> MonthRate {
    let rate = Rate::parse(RateSource::Nbp, "2026-11-23", "3.6512", "226/A/NBP/2026").unwrap();
    MonthRate { month: month(), basis: RateBasis::Newest, rate }
}

fn prices(layout: &Layout) -> Vec<PriceRow> {
    vec![PriceRow::new(layout, "anthropic/claude-sonnet-4.5", &Catalogue::default(), Pricing::AT_COST)]
}

#[test]
fn usage_pages_match_their_snapshots() {
    let months = ["2026-11", "2026-09"].map(|month| month.parse().unwrap());
    snapshot::assert_page("usage", "/usage", |layout| {
        let report = Report::new(layout, "/usage", Metric::Cost, &numbers(true), Some(&rate()));
        let months = Months::new(layout, month(), &months);
        CompanyPage {
            layout,
            t: UsageTexts(layout.locale),
            b: BudgetTexts(layout.locale),
            people: numbers(true).company.map(|company| company.accounts).unwrap_or_default(),
            notice: None,
            prices: prices(layout),
            months,
            report,
        }
        .render()
    });
    snapshot::assert_page("usage_own", "/usage/me", |layout| {
        let report = Report::new(layout, "/usage/me", Metric::Tokens, &numbers(false), None);
        let months = Months::new(layout, month(), &months);
        OwnPage {
            layout,
            t: UsageTexts(layout.locale),
            b: BudgetTexts(layout.locale),
            people: Vec::new(),
            notice: None,
            prices: Vec::new(),
            months,
            report,
        }
        .render()
    });
    snapshot::assert_page("usage_calls", "/usage/calls", |layout| {
        let now = snapshot::now().to_zoned(TimeZone::UTC);
        let calls = calls().iter().map(|call| CallRow::new(layout, call, &now)).collect();
        let next_before = Some("1".to_owned());
        CallsPage { layout, t: UsageTexts(layout.locale), calls, next_before, is_first: true }.render()
    });
}
