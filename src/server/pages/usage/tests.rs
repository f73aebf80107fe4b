//! Snapshots of the pages of usage.

use mai_openrouter::NanoUsd;

use super::calls::{CallRow, CallsPage};
use super::chart::Metric;
use super::company::CompanyPage;
use super::months::Months;
use super::numbers::{CompanyNumbers, MonthNumbers};
use super::own::OwnPage;
use super::report::Report;
use super::texts::UsageTexts;
use crate::pages::snapshot;
use crate::usage::{Account, Call, DayUsage, Month, PersonModel, Summary, Totals};
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

#[test]
fn usage_pages_match_their_snapshots() {
    let months = ["2026-11", "2026-09"].map(|month| month.parse().unwrap());
    snapshot::assert_page("usage", "/usage", |layout| {
        let report = Report::new(layout, "/usage", Metric::Cost, &numbers(true));
        let months = Months::new(layout, month(), &months);
        CompanyPage { layout, t: UsageTexts(layout.locale), months, report }.render()
    });
    snapshot::assert_page("usage_own", "/usage/me", |layout| {
        let report = Report::new(layout, "/usage/me", Metric::Tokens, &numbers(false));
        let months = Months::new(layout, month(), &months);
        OwnPage { layout, t: UsageTexts(layout.locale), months, report }.render()
    });
    snapshot::assert_page("usage_calls", "/usage/calls", |layout| {
        let now = snapshot::now().to_zoned(TimeZone::UTC);
        let calls = calls().iter().map(|call| CallRow::new(layout, call, &now)).collect();
        let next_before = Some("1".to_owned());
        CallsPage { layout, t: UsageTexts(layout.locale), calls, next_before, is_first: true }.render()
    });
}
