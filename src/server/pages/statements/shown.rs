//! A statement as the page shows it: numbers in the reader's language.

use std::collections::BTreeSet;

use mai_contract::statement::{Amounts, StatementReport};
use mai_openrouter::NanoUsd;

use super::texts::StatementTexts;
use crate::i18n::Locale;
use crate::pages::layout::Layout;
use crate::usage::Month;
use crate::zloty::{Mid, Pln};

/// A month in the list.
pub(super) struct MonthLink {
    pub(super) code: String,
    pub(super) name: String,
}

/// The statement that is shown.
pub(super) struct Shown {
    pub(super) code: String,
    pub(super) tiles: [Tile; 4],
    pub(super) unknown: Option<String>,
    pub(super) rate: String,
    pub(super) frozen: String,
    pub(super) own_connection: Option<String>,
    pub(super) tables: Vec<Table>,
    pub(super) seats: Vec<Seats>,
    pub(super) seats_note: String,
}

/// A card with one figure.
pub(super) struct Tile {
    pub(super) code: &'static str,
    pub(super) label: &'static str,
    pub(super) figure: String,
    pub(super) note: String,
}

/// A table of sums.
pub(super) struct Table {
    pub(super) code: &'static str,
    pub(super) title: &'static str,
    pub(super) heading: &'static str,
    pub(super) rows: Vec<Row>,
}

/// A row of it.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) detail: String,
    pub(super) requests: String,
    pub(super) tokens: String,
    pub(super) price: String,
    pub(super) pln: String,
}

/// The number of people of a day.
pub(super) struct Seats {
    pub(super) name: String,
    pub(super) count: String,
}

impl MonthLink {
    pub(super) fn new(locale: Locale, month: Month) -> Self {
        Self { code: month.to_string(), name: locale.month(month.first_day()) }
    }
}

impl Shown {
    pub(super) fn new(layout: &Layout, report: &StatementReport) -> Self {
        let (locale, t) = (layout.locale, StatementTexts(layout.locale));
        let usd = |amounts: &Amounts| locale.usd(NanoUsd::new(amounts.price_nano_usd));
        let count = |number: usize| locale.number(i64::try_from(number).unwrap_or(i64::MAX));
        let date = |at: jiff::civil::Date| format!("{} {}", locale.day(at), at.year());
        let people: BTreeSet<&String> = report.seats.iter().flat_map(|day| &day.user_ids).collect();
        let days = i64::try_from(report.seats.len()).unwrap_or(i64::MAX);

        let by_person = report
            .people
            .iter()
            .map(|person| row(locale, name(t, &person.name, &person.user_id), person.email.clone(), &person.amounts));
        let by_model =
            report.models.iter().map(|model| row(locale, model.model.clone(), String::new(), &model.amounts));
        let corrections = report.lines.iter().filter(|line| line.billed && line.period != report.month).map(|line| {
            let detail = format!("{} · {}", line.period, line.model);
            row(locale, name(t, &line.name, &line.user_id), detail, &line.amounts)
        });
        let mut tables = vec![
            Table { code: "by-person", title: t.by_person(), heading: t.user(), rows: by_person.collect() },
            Table { code: "by-model", title: t.by_model(), heading: t.model(), rows: by_model.collect() },
        ];
        let corrections: Vec<Row> = corrections.collect();
        if !corrections.is_empty() {
            let title = t.corrections();
            tables.push(Table { code: "corrections", title, heading: t.user(), rows: corrections });
        }
        let unknown = report.usage.unknown_cost;
        let own = &report.own_connection;
        Self {
            code: report.month.clone(),
            tiles: [
                Tile {
                    code: "total",
                    label: t.total(),
                    figure: usd(&report.total),
                    note: corrected(t, locale, report),
                },
                Tile { code: "pln", label: t.złoty(), figure: pln(locale, &report.total), note: String::new() },
                Tile {
                    code: "requests",
                    label: t.requests(),
                    figure: locale.number(report.usage.requests),
                    note: format!("{}: {}", t.tokens(), locale.number(report.usage.total_tokens)),
                },
                Tile { code: "people", label: t.people(), figure: count(people.len()), note: t.people_note(days) },
            ],
            unknown: (unknown > 0).then(|| t.unknown(unknown)),
            rate: match &report.rate {
                None => t.rate_unknown().to_owned(),
                Some(rate) => {
                    let mid =
                        rate.mid.parse::<Mid>().map_or_else(|_| rate.mid.clone(), |mid| locale.exchange_rate(mid));
                    let of = date(rate.date);
                    match rate.basis.as_str() {
                        "frozen" => t.rate_frozen(&mid, &rate.table, &of),
                        _ => t.rate_provisional(&mid, &rate.table, &of),
                    }
                }
            },
            frozen: t.frozen_on(&date(report.frozen_at.to_zoned(layout.zone.clone()).date())),
            own_connection: (own.requests != 0).then(|| t.own_connection(&usd(own))),
            tables,
            seats: report
                .seats
                .iter()
                .map(|day| Seats { name: locale.day(day.day), count: count(day.count) })
                .collect(),
            seats_note: t.people_note(days),
        }
    }
}

/// Returns what of the total are corrections, if there are any.
fn corrected(t: StatementTexts, locale: Locale, report: &StatementReport) -> String {
    match report.corrections.price_nano_usd {
        0 => String::new(),
        price => format!("{}: {}", t.corrections(), locale.usd(NanoUsd::new(price))),
    }
}

fn name(t: StatementTexts, name: &str, id: &str) -> String {
    let end = id.len().saturating_sub(6);
    if name.is_empty() { format!("{} …{}", t.nameless(), id.get(end..).unwrap_or_default()) } else { name.to_owned() }
}

fn row(locale: Locale, name: String, detail: String, amounts: &Amounts) -> Row {
    Row {
        name,
        detail,
        requests: locale.number(amounts.requests),
        tokens: locale.number(amounts.total_tokens),
        price: locale.usd(NanoUsd::new(amounts.price_nano_usd)),
        pln: pln(locale, amounts),
    }
}

/// Returns the złoty of an amount, or a dash where no rate is known.
fn pln(locale: Locale, amounts: &Amounts) -> String {
    let groszy = amounts.price_pln.as_deref().and_then(Pln::parse);
    groszy.map_or_else(|| "–".to_owned(), |amount| locale.pln(amount))
}
