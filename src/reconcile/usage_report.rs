//! `status.usage`, from what the server told, and the events of its limit.

use mai_contract::KeyState;

use super::Facts;
use super::backup_report::BackupEvent;
use crate::api::{BillStatus, KeyStatus, MaiInstanceStatus, UsageStatus};
use crate::core::EventKind;
use crate::fleet::{Bill, LimitUse};

/// Returns the usage as the status shows it. It stays as it is while nothing of it changed, and while
/// the server tells nothing.
pub(super) fn usage(facts: &Facts<'_>) -> Option<UsageStatus> {
    let previous = facts.previous.usage.as_ref();
    let Some(known) = &facts.counts else { return previous.cloned() };
    let mut usage = match &known.counts {
        Some((counts, at)) => {
            let declared = facts.instance.spec.open_router.as_ref().and_then(|upstream| upstream.monthly_limit_usd);
            let limit = LimitUse::new(declared, counts);
            let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            UsageStatus {
                accounts: number(counts.accounts),
                active_people: number(counts.active_30_days),
                month: counts.month.month.clone(),
                cost_usd: dollars(counts.month.cost_nano_usd),
                price_usd: counts.month.price_nano_usd.map(dollars),
                unknown_costs: number(counts.month.unknown_costs),
                limit_usd: limit.map(|limit| dollars(limit.limit)),
                limit_level: limit.map(LimitUse::level),
                key: match counts.key.state {
                    KeyState::Ok => KeyStatus::Accepted,
                    KeyState::Refused => KeyStatus::Refused,
                    KeyState::Unreachable => KeyStatus::Unreachable,
                    KeyState::Unknown => KeyStatus::Unknown,
                },
                key_expires_at: counts.key.expires_at,
                bill: None,
                as_of: *at,
                unknown_since: None,
            }
        }
        None => previous?.clone(),
    };
    // A reconciler that was restarted may know of the failure for a shorter time.
    let before = previous.and_then(|previous| previous.unknown_since);
    usage.unknown_since = known.unknown_since.map(|since| before.unwrap_or(since));
    let has_bill = facts.instance.spec.open_router.as_ref().is_some_and(|one| one.management_key_secret_ref.is_some());
    // It stands until the next one, also after a restart.
    let bill = known.bill.as_ref().map(shown_bill).or_else(|| previous?.bill.clone());
    usage.bill = bill.filter(|_| has_bill);
    match previous {
        Some(previous) if UsageStatus { as_of: previous.as_of, ..usage.clone() } == *previous => Some(previous.clone()),
        _ => Some(usage),
    }
}

/// Returns a comparison as the status shows it.
fn shown_bill(bill: &Bill) -> BillStatus {
    let differences = bill.differences.iter().map(|difference| {
        let (day, model) = (difference.day, &difference.model);
        format!("{day} {model}: {} at the upstream, {} in the ledger", difference.upstream, difference.ledger)
    });
    let further = (bill.further > 0).then(|| format!("{} more", bill.further));
    BillStatus {
        compared_through: bill.through.to_string(),
        unattributed_usd: dollars(bill.unattributed.get()),
        differences: differences.chain(further).collect(),
    }
}

/// Returns the event of a comparison that found differences, of which the former one did not tell.
pub(super) fn bill_event(previous: &MaiInstanceStatus, status: &MaiInstanceStatus) -> Option<BackupEvent> {
    let differences =
        |status: &'_ MaiInstanceStatus| status.usage.as_ref()?.bill.as_ref().map(|bill| bill.differences.clone());
    let found =
        differences(status).filter(|found| !found.is_empty() && Some(found) != differences(previous).as_ref())?;
    let (first, others) = found.split_first()?;
    let others = if others.is_empty() { "" } else { "; see status.usage.bill" };
    let message = format!("the upstream's bill differs from the ledger: {first}{others}");
    Some(BackupEvent { kind: EventKind::Warning, reason: "BillDiffers", message })
}

/// Returns the event of a part of the limit that was reached.
pub(super) fn event(previous: &MaiInstanceStatus, status: &MaiInstanceStatus) -> Option<BackupEvent> {
    let usage = status.usage.as_ref()?;
    let level = |usage: &UsageStatus| usage.limit_level.unwrap_or(0);
    let before = previous.usage.as_ref().filter(|before| before.month == usage.month).map_or(0, level);
    let message = usage.limit_message().filter(|_| level(usage) > before)?;
    Some(BackupEvent { kind: EventKind::Warning, reason: "LimitUsed", message })
}

/// Returns an amount in USD, rounded to cents.
fn dollars(nano_usd: i64) -> String {
    let cents = nano_usd.unsigned_abs().saturating_add(5_000_000) / 10_000_000;
    // Corrections of a former month may be more than the cost of a new one.
    let sign = if nano_usd < 0 && cents > 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_rounded_to_cents() {
        for (nano_usd, shown) in [
            (0, "0.00"),
            (4_999_999, "0.00"),
            (5_000_000, "0.01"),
            (12_345_678_900, "12.35"),
            (500_000_000_000, "500.00"),
            (i64::MAX, "9223372036.85"),
            (-1_250_000_000, "-1.25"),
            (-1, "0.00"),
        ] {
            assert_eq!(dollars(nano_usd), shown);
        }
    }

    #[test]
    fn each_part_of_the_limit_is_an_event_once_a_month() {
        let status = |month: &str, level| MaiInstanceStatus {
            usage: Some(UsageStatus {
                month: month.to_owned(),
                limit_usd: Some("500.00".to_owned()),
                limit_level: level,
                ..UsageStatus::default()
            }),
            ..MaiInstanceStatus::default()
        };
        let nothing = MaiInstanceStatus::default();
        let message = |before: &MaiInstanceStatus, after| event(before, &after).map(|event| event.message);
        let three_quarters = "75 % of the limit of 500.00 USD in 2026-11 is used".to_owned();
        assert_eq!(message(&nothing, status("2026-11", Some(75))), Some(three_quarters));
        assert_eq!(message(&status("2026-11", Some(75)), status("2026-11", Some(75))), None);
        assert!(message(&status("2026-11", Some(75)), status("2026-11", Some(100))).is_some());
        assert_eq!(message(&status("2026-11", Some(100)), status("2026-12", Some(0))), None);
        assert!(message(&status("2026-11", Some(75)), status("2026-12", Some(75))).is_some());
        assert_eq!(message(&status("2026-11", Some(90)), status("2026-11", None)), None);
        assert_eq!(message(&status("2026-11", Some(90)), status("2026-11", Some(75))), None, "the limit was raised");
    }
}
