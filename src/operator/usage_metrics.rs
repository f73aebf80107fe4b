//! Metrics of the use of each instance, from the newest counts that its server told. Without any there
//! is no series: unknown is not zero.

use std::fmt::Error;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use mai_contract::KeyState;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::metrics::Instances;
use crate::fleet::LimitUse;

/// Age up to which counts tell of the limit and the key.
const FRESH: SignedDuration = SignedDuration::from_hours(1);

/// Encodes the metrics of the use of the instances.
#[derive(Debug)]
pub(super) struct UsageMetrics(pub(super) Instances);

/// The values of one instance, in the order of [`METRICS`]; nothing where one is not known.
type Values = [Option<f64>; METRICS.len()];

/// Names and descriptions.
const METRICS: [(&str, &str); 13] = [
    ("mai_usage_accounts", "Living accounts"),
    ("mai_usage_active_people", "People who asked a model in the last 30 days"),
    ("mai_usage_chats", "Stored chats"),
    ("mai_usage_month_cost_usd", "Known cost of the month at the upstream"),
    ("mai_usage_month_price_usd", "Price of the month that the client is billed"),
    ("mai_usage_unknown_costs", "Generations of the month whose cost is not known"),
    ("mai_usage_limit_usd", "Limit of the month, declared or of the key, whichever is nearer to its end"),
    ("mai_usage_limit_remaining_ratio", "Part of that limit that is left, from 1 to 0"),
    ("mai_usage_key_accepted", "0 while the upstream refuses the key"),
    ("mai_usage_key_expiry_timestamp_seconds", "Time at which the key expires, in Unix time"),
    ("mai_usage_unattributed_usd", "Billed by the upstream in 30 days and not in the ledger"),
    ("mai_usage_bill_compared_timestamp_seconds", "End of the last day that was compared with the bill, in Unix time"),
    ("mai_usage_counted_timestamp_seconds", "Time of these counts, in Unix time"),
];

impl Collector for UsageMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let known = self.known();
        for (index, (name, help)) in METRICS.into_iter().enumerate() {
            if known.iter().all(|(_, values)| values[index].is_none()) {
                continue;
            }
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, values) in &known {
                if let Some(value) = values[index] {
                    ConstGauge::new(value).encode(family.encode_family(labels)?)?;
                }
            }
        }
        Ok(())
    }
}

impl UsageMetrics {
    fn known(&self) -> Vec<(Vec<(&'static str, String)>, Values)> {
        let Some(monitor) = self.0.counts() else { return Vec::new() };
        let instances = self.0.all();
        let known = instances.iter().filter_map(|instance| {
            let (counts, at) = monitor.newest(&instance.uid()?)?;
            // A server that is not asked any more may have been in another month.
            let is_fresh = Timestamp::now().duration_since(at) < FRESH;
            let declared = instance.spec.open_router.as_ref().and_then(|upstream| upstream.monthly_limit_usd);
            let limit = LimitUse::new(declared, &counts).filter(|_| is_fresh);
            let bill = monitor.bill(&instance.uid()?);
            let labels = vec![("namespace", instance.namespace().unwrap_or_default()), ("name", instance.name_any())];
            let values = [
                Some(number(counts.accounts)),
                Some(number(counts.active_30_days)),
                Some(number(counts.chats)),
                Some(dollars(counts.month.cost_nano_usd)),
                counts.month.price_nano_usd.map(dollars),
                Some(number(counts.month.unknown_costs)),
                limit.map(|limit| dollars(limit.limit)),
                limit.map(LimitUse::remaining_ratio),
                is_accepted(counts.key.state).filter(|_| is_fresh),
                counts.key.expires_at.filter(|_| is_fresh).map(|at| at.as_second() as f64),
                bill.as_ref().map(|bill| dollars(bill.unattributed.get())),
                bill.as_ref().and_then(|bill| Some(end_of(bill.through)?.as_second() as f64)),
                Some(at.as_second() as f64),
            ];
            Some((labels, values))
        });
        known.collect()
    }
}

/// Returns whether the upstream accepts the key, where that is known.
fn is_accepted(state: KeyState) -> Option<f64> {
    match state {
        KeyState::Ok => Some(1.0),
        KeyState::Refused => Some(0.0),
        KeyState::Unreachable | KeyState::Unknown => None,
    }
}

/// Returns the end of a day in UTC.
fn end_of(day: Date) -> Option<Timestamp> {
    Some(day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Returns a count as metrics have it.
fn number(count: u64) -> f64 {
    count as f64
}

/// Returns an amount in USD as metrics have it. They are for graphs: bills are made from integers.
fn dollars(nano_usd: i64) -> f64 {
    nano_usd as f64 / 1e9
}
