//! Adds a statement up, for the provider or for the client.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mai_contract::statement::{
    Amounts, ModelAmounts, PersonAmounts, SeatDay, StatementLine, StatementRate, StatementReport,
};
use mai_openrouter::NanoUsd;

use crate::rates::{MonthRate, RateBasis};
use crate::usage::Month;

/// The reader of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Sees price, cost and margin, and people by their ids.
    Provider,
    /// Sees people by their names, and the price alone.
    Client,
}

/// A statement as it was frozen, with the present names and rate.
#[derive(Debug, Clone)]
pub(super) struct Frozen {
    pub(super) month: Month,
    pub(super) zone: String,
    pub(super) frozen_at: Timestamp,
    pub(super) rate: Option<MonthRate>,
    pub(super) lines: Vec<Line>,
    pub(super) seats: Vec<SeatDay>,
}

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) period: String,
    pub(super) user_id: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) model: String,
    pub(super) purpose: String,
    pub(super) billed: bool,
    pub(super) numbers: Numbers,
}

/// The numbers of a row, or sums of them; money in nano-USD.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) requests: i64,
    pub(super) prompt_tokens: i64,
    pub(super) completion_tokens: i64,
    pub(super) total_tokens: i64,
    pub(super) unknown_cost: i64,
    pub(super) cost: i64,
    pub(super) own_key_cost: i64,
    pub(super) price: i64,
}

impl Numbers {
    fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.requests, other.requests),
            (&mut self.prompt_tokens, other.prompt_tokens),
            (&mut self.completion_tokens, other.completion_tokens),
            (&mut self.total_tokens, other.total_tokens),
            (&mut self.unknown_cost, other.unknown_cost),
            (&mut self.cost, other.cost),
            (&mut self.own_key_cost, other.own_key_cost),
            (&mut self.price, other.price),
        ];
        for (sum, number) in pairs {
            *sum = sum.saturating_add(number);
        }
    }
}

fn sum<'a>(lines: impl Iterator<Item = &'a Line>) -> Numbers {
    lines.fold(Numbers::default(), |mut sum, line| {
        sum.add(&line.numbers);
        sum
    })
}

/// Returns what a reader sees of a statement.
pub(super) fn report(frozen: &Frozen, audience: Audience) -> StatementReport {
    let month = frozen.month.to_string();
    let amounts = |numbers: Numbers| amounts(&numbers, frozen.rate.as_ref(), audience);
    // No name leaves the instance.
    let named = |text: &String| if audience == Audience::Client { text.clone() } else { String::new() };
    let is_usage = |line: &&Line| line.period == month && line.billed;
    let usage = || frozen.lines.iter().filter(is_usage);

    let mut people: BTreeMap<&str, (&Line, Numbers)> = BTreeMap::new();
    let mut models: BTreeMap<&str, Numbers> = BTreeMap::new();
    for line in usage() {
        people.entry(&line.user_id).or_insert((line, Numbers::default())).1.add(&line.numbers);
        models.entry(&line.model).or_default().add(&line.numbers);
    }
    let mut people: Vec<_> = people.into_values().collect();
    people.sort_by_key(|(_, numbers)| std::cmp::Reverse((numbers.price, numbers.total_tokens)));
    let mut models: Vec<_> = models.into_iter().collect();
    models.sort_by_key(|(_, numbers)| std::cmp::Reverse((numbers.price, numbers.total_tokens)));

    StatementReport {
        time_zone: frozen.zone.clone(),
        frozen_at: frozen.frozen_at,
        rate: frozen.rate.as_ref().map(rate),
        total: amounts(sum(frozen.lines.iter().filter(|line| line.billed))),
        usage: amounts(sum(usage())),
        corrections: amounts(sum(frozen.lines.iter().filter(|line| line.period != month && line.billed))),
        own_connection: amounts(sum(frozen.lines.iter().filter(|line| !line.billed))),
        people: people
            .into_iter()
            .map(|(line, numbers)| PersonAmounts {
                user_id: line.user_id.clone(),
                name: named(&line.name),
                email: named(&line.email),
                amounts: amounts(numbers),
            })
            .collect(),
        models: models
            .into_iter()
            .map(|(model, numbers)| ModelAmounts { model: model.to_owned(), amounts: amounts(numbers) })
            .collect(),
        lines: frozen
            .lines
            .iter()
            .map(|line| StatementLine {
                period: line.period.clone(),
                user_id: line.user_id.clone(),
                name: named(&line.name),
                email: named(&line.email),
                model: line.model.clone(),
                purpose: line.purpose.clone(),
                billed: line.billed,
                amounts: amounts(line.numbers),
            })
            .collect(),
        seats: frozen.seats.clone(),
        month,
    }
}

fn amounts(numbers: &Numbers, rate: Option<&MonthRate>, audience: Audience) -> Amounts {
    let is_provider = audience == Audience::Provider;
    Amounts {
        requests: numbers.requests,
        prompt_tokens: numbers.prompt_tokens,
        completion_tokens: numbers.completion_tokens,
        total_tokens: numbers.total_tokens,
        unknown_cost: numbers.unknown_cost,
        price_nano_usd: numbers.price,
        price_pln: rate.map(|rate| rate.pln(NanoUsd::new(numbers.price)).to_string()),
        cost_nano_usd: is_provider.then_some(numbers.cost),
        own_key_cost_nano_usd: is_provider.then_some(numbers.own_key_cost),
        margin_nano_usd: is_provider.then_some(numbers.price.saturating_sub(numbers.cost)),
    }
}

fn rate(rate: &MonthRate) -> StatementRate {
    StatementRate {
        basis: match rate.basis {
            RateBasis::Frozen => "frozen",
            RateBasis::Newest | RateBasis::Provisional => "provisional",
        }
        .to_owned(),
        date: rate.rate.date,
        source: rate.rate.source.as_str().to_owned(),
        table: rate.rate.number.clone(),
        mid: rate.rate.mid.to_string(),
    }
}
