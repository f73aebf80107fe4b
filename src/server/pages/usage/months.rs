//! The months to choose from.

use crate::pages::layout::Layout;
use crate::usage::Month;

/// The month on the page and others to choose from, drawn by `usage.html`.
pub(super) struct Months {
    pub(super) name: String,
    pub(super) previous: String,
    /// The month after, if it has begun.
    pub(super) next: Option<String>,
    /// Those with usage, newest first.
    pub(super) used: Vec<MonthLink>,
}

/// A month to choose.
pub(super) struct MonthLink {
    pub(super) code: String,
    pub(super) name: String,
    pub(super) is_shown: bool,
}

impl Months {
    /// `used` are the months with usage and the current one, newest first.
    pub(super) fn new(layout: &Layout, shown: Month, used: &[Month]) -> Self {
        let name = |month: Month| layout.locale.month(month.first_day());
        Self {
            name: name(shown),
            previous: shown.previous().to_string(),
            next: used.first().filter(|current| shown < **current).map(|_| shown.next().to_string()),
            used: used
                .iter()
                .map(|month| MonthLink { code: month.to_string(), name: name(*month), is_shown: *month == shown })
                .collect(),
        }
    }
}
