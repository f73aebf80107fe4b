//! The bar chart of a month's days.

use mai_openrouter::NanoUsd;

use super::report::{Writer, signed};
use crate::usage::{DayUsage, Totals};

/// The quantity shown by the bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    Cost,
    Tokens,
}

impl Metric {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Tokens => "tokens",
        }
    }

    pub(super) fn value(self, totals: &Totals) -> u64 {
        match self {
            Self::Cost => u64::try_from(totals.price.get()).unwrap_or(0),
            Self::Tokens => totals.total_tokens,
        }
    }
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

/// Draws the days of a month.
pub(super) fn chart(write: &Writer<'_>, metric: Metric, month: &str, days: &[DayUsage]) -> Chart {
    let Writer { layout, t, .. } = *write;
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

fn format_tenths(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
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
