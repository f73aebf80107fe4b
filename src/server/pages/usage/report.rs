//! A month's usage as the page shows it: numbers in the reader's language, bars in the units of the
//! drawing.

use jiff::Timestamp;
use mai_openrouter::NanoUsd;

use super::texts::UsageTexts;
use crate::{
    pages::layout::Layout,
    usage::{DayUsage, ModelUsage, Summary, Totals, UserUsage},
};

/// The quantity shown by the bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    Cost,
    Tokens,
}

impl Metric {
    fn code(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Tokens => "tokens",
        }
    }

    fn value(self, totals: &Totals) -> u64 {
        match self {
            Self::Cost => u64::try_from(totals.price.get()).unwrap_or(0),
            Self::Tokens => totals.total_tokens,
        }
    }
}

/// A month's usage, drawn by `usage_report.html`.
pub(super) struct Report {
    pub(super) month: String,
    pub(super) month_code: String,
    pub(super) previous_month: String,
    pub(super) next_month: Option<String>,
    /// True for the current month.
    pub(super) is_current: bool,
    pub(super) tiles: [Tile; 4],
    pub(super) unknown: Option<String>,
    /// The number of these whose connection is not in use any more.
    pub(super) former_connection: Option<String>,
    /// True when providers charged something to the client's own keys.
    pub(super) own_keys: bool,
    pub(super) chart: Chart,
    pub(super) days: Vec<DayRow>,
    pub(super) users: Vec<Row>,
    pub(super) models: Vec<Row>,
    pub(super) updated: String,
    pub(super) zone: String,
}

/// A card with one figure.
pub(super) struct Tile {
    pub(super) code: &'static str,
    pub(super) label: &'static str,
    pub(super) figure: String,
    pub(super) note: String,
}

/// The bar chart: 10 units a day wide, 100 high.
pub(super) struct Chart {
    pub(super) code: &'static str,
    pub(super) label: String,
    pub(super) width: usize,
    /// Top, middle and bottom of the scale.
    pub(super) scale: [String; 3],
    pub(super) bars: Vec<Bar>,
}

/// The bar of a day.
pub(super) struct Bar {
    pub(super) left: usize,
    pub(super) top: String,
    pub(super) height: String,
    pub(super) title: String,
    /// The label below the bar; empty for most days.
    pub(super) mark: String,
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
    /// Percentage of the month's cost, or of its tokens where nothing cost anything.
    pub(super) share: u64,
}

impl Report {
    pub(super) fn new(
        layout: &Layout,
        metric: Metric,
        summary: &Summary,
        days: &[DayUsage],
        users: &[UserUsage],
        models: &[ModelUsage],
        now: Timestamp,
    ) -> Self {
        let t = UsageTexts(layout.locale);
        let write = Writer { layout, t };
        let now = now.to_zoned(layout.zone.clone());
        let month = summary.month;
        let is_current = summary.today.is_some();
        let totals = &summary.totals;
        let name = layout.locale.month(month.first_day());
        Self {
            month_code: month.to_string(),
            previous_month: month.previous().to_string(),
            next_month: (month.first_day() < now.date().first_of_month()).then(|| month.next().to_string()),
            is_current,
            tiles: tiles(&write, summary, now.date()),
            own_keys: totals.own_key_cost > NanoUsd::ZERO,
            unknown: (totals.unknown_cost > 0).then(|| t.unknown(signed(totals.unknown_cost))),
            former_connection: (totals.unknown_cost_former_connection > 0)
                .then(|| t.former_connection(signed(totals.unknown_cost_former_connection))),
            chart: chart(&write, metric, &name, days),
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
            users: users
                .iter()
                .map(|user| Row {
                    name: if user.name.is_empty() { user.user_id.as_str().to_owned() } else { user.name.clone() },
                    detail: user.email.clone(),
                    removed: user.removed,
                    ..row(&write, &user.totals, totals)
                })
                .collect(),
            models: models.iter().map(|model| model_row(&write, model, totals)).collect(),
            updated: t.updated(&format!("{}:{:02}", layout.locale.clock(&now), now.second())),
            zone: t.zone(layout.zone.iana_name().unwrap_or("UTC")),
            month: name,
        }
    }
}

/// Formats numbers in the reader's language.
struct Writer<'a> {
    layout: &'a Layout,
    t: UsageTexts,
}

impl Writer<'_> {
    fn count(&self, value: u64) -> String {
        self.layout.locale.number(signed(value))
    }

    fn money(&self, amount: NanoUsd) -> String {
        self.layout.locale.usd(amount)
    }

    /// Returns a cost, or the word for an unknown one: unknown is not zero. What was charged to the
    /// client's own keys stands behind it.
    fn cost(&self, totals: &Totals) -> String {
        if totals.own_key_cost > NanoUsd::ZERO {
            format!("{} + {}", self.money(totals.price), self.money(totals.own_key_cost))
        } else if totals.price.get() == 0 && totals.unknown_cost > 0 {
            self.t.unknown_cell().to_owned()
        } else {
            self.money(totals.price)
        }
    }
}

fn tiles(write: &Writer<'_>, summary: &Summary, today: jiff::civil::Date) -> [Tile; 4] {
    let t = write.t;
    let totals = &summary.totals;
    let days = i64::from(summary.month.days_begun(today));
    [
        Tile {
            code: "cost",
            label: t.cost(),
            figure: write.cost(totals),
            note: summary.today.as_ref().map_or_else(String::new, |today| t.today(&write.cost(today))),
        },
        Tile {
            code: "tokens",
            label: t.tokens(),
            figure: write.count(totals.total_tokens),
            note: t.tokens_split(&write.count(totals.prompt_tokens), &write.count(totals.completion_tokens)),
        },
        Tile {
            code: "requests",
            label: t.requests(),
            figure: write.count(totals.requests),
            note: t.requests_note().to_owned(),
        },
        Tile {
            code: "average",
            label: t.daily_average(),
            figure: write.money(summary.daily_average_cost),
            note: t.daily_average_note(days),
        },
    ]
}

fn chart(write: &Writer<'_>, metric: Metric, month: &str, days: &[DayUsage]) -> Chart {
    let Writer { layout, t } = *write;
    let highest = days.iter().map(|day| metric.value(&day.totals)).max().unwrap_or(0);
    let top = round_up(highest);
    let format = |value: u64| match metric {
        Metric::Cost => write.money(NanoUsd::new(signed(value))),
        Metric::Tokens => write.count(value),
    };
    let bars = days
        .iter()
        .enumerate()
        .map(|(index, day)| {
            // In tenths of a unit. The smallest usage is still visible.
            let value = metric.value(&day.totals);
            let tenths = if top == 0 { 0 } else { u128::from(value) * 1000 / u128::from(top) };
            let tenths = u64::try_from(tenths).unwrap_or(1000).max(if value > 0 { 8 } else { 0 });
            let of_month = day.day.day();
            Bar {
                left: index * 10,
                top: format_tenths(1000 - tenths.min(1000)),
                height: format_tenths(tenths),
                title: format!("{}: {}", layout.locale.day(day.day), day_summary(write, &day.totals)),
                mark: if of_month == 1 || of_month % 5 == 0 { of_month.to_string() } else { String::new() },
            }
        })
        .collect();
    let name = match metric {
        Metric::Cost => t.cost(),
        Metric::Tokens => t.tokens(),
    };
    Chart {
        code: metric.code(),
        label: t.chart_of(name, month),
        width: days.len() * 10,
        scale: if top == 0 {
            [String::new(), String::new(), format(0)]
        } else {
            [format(top), format(top / 2), format(0)]
        },
        bars,
    }
}

fn day_summary(write: &Writer<'_>, totals: &Totals) -> String {
    let t = write.t;
    format!(
        "{} · {} {} · {} {}",
        write.cost(totals),
        write.count(totals.total_tokens),
        t.tokens().to_lowercase(),
        write.count(totals.requests),
        t.requests().to_lowercase()
    )
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
        share: u64::try_from(share).unwrap_or(100).min(100),
    }
}

/// Returns the row of a model, with `anthropic/claude-sonnet-4` split into name and maker.
fn model_row(write: &Writer<'_>, model: &ModelUsage, of: &Totals) -> Row {
    let (maker, name) = model.model.split_once('/').unwrap_or(("", &model.model));
    Row { name: name.to_owned(), detail: maker.to_owned(), ..row(write, &model.totals, of) }
}

fn format_tenths(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Returns the next of 2, 4, 6, 8 or 10 times a power of ten, so that the middle of the scale is
/// round too.
fn round_up(value: u64) -> u64 {
    if value == 0 {
        return 0;
    }
    let power = 10_u64.pow(value.ilog10());
    [2, 4, 6, 8, 10].into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn scale_ends_on_a_round_number_above_the_highest_bar() {
        for (highest, top) in [(0, 0), (1, 2), (7, 8), (10, 20), (11, 20), (99, 100), (1_234_567, 2_000_000)] {
            assert_eq!(round_up(highest), top, "{highest}");
        }
    }

    #[test]
    fn bar_height_has_one_decimal() {
        assert_eq!(format_tenths(1000), "100.0");
        assert_eq!(format_tenths(8), "0.8");
    }
}
