//! Options of the requests to servers for their counts.

use std::sync::Arc;
use std::time::Duration;

use crate::fleet::{CountsMonitor, CountsOptions};

/// Shortest interval.
const SHORTEST: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct CountsArgs {
    /// Interval between two requests to a server for its counts: accounts, cost, limit
    #[arg(long, env = "MAI_COUNTS_INTERVAL", default_value = "2m", value_parser = interval, value_name = "TIME")]
    counts_interval: Duration,

    /// Interval between two comparisons of a server's ledger with OpenRouter's bill for the keys mai made
    #[arg(long, env = "MAI_BILL_INTERVAL", default_value = "24h", value_parser = interval, value_name = "TIME")]
    bill_interval: Duration,
}

impl CountsArgs {
    pub(in crate::cli) fn options(&self) -> CountsOptions {
        CountsOptions { interval: self.counts_interval, bill_interval: self.bill_interval }
    }

    /// Returns a monitor with these options.
    pub(in crate::cli) fn monitor(&self) -> Arc<CountsMonitor> {
        CountsMonitor::new(self.options())
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    match crate::api::parse_duration(text) {
        Ok(interval) if interval < SHORTEST => Err(format!("it must be at least {} ms", SHORTEST.as_millis())),
        other => other.map_err(|error| error.to_string()),
    }
}
