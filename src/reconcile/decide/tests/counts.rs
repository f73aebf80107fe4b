//! The use that a server tells is shown, and written again only when it changed.

use super::*;
use crate::api::{KeyStatus, UsageStatus};
use crate::fleet::{Bill, Difference};
use crate::openrouter::NanoUsd;

fn counts(accounts: u64, cost_nano_usd: i64) -> KnownCounts {
    let counts = serde_json::from_value(json!({
        "version": 1, "accounts": accounts, "max_accounts": 20, "active_today": 1, "active_30_days": 2, "chats": 3,
        "month": {
            "month": "2026-11", "requests": 9, "cost_nano_usd": cost_nano_usd, "price_nano_usd": null,
            "unknown_costs": 1,
        },
        "key": {
            "state": "refused", "checked_at": null, "expires_at": null, "limit_nano_usd": null,
            "limit_left_nano_usd": null, "limit_is_monthly": false,
        },
    }));
    KnownCounts { counts: Some((counts.unwrap(), at(5))), ..KnownCounts::default() }
}

fn usage(scene: &mut Scene, counts: Option<KnownCounts>) -> Option<UsageStatus> {
    scene.counts = counts;
    scene.previous = scene.decide().status;
    scene.previous.usage.clone()
}

#[test]
fn usage_is_shown_and_kept_while_it_is_unknown() {
    let mut scene = Scene::running(ready(), 99);
    assert_eq!(usage(&mut scene, None), None);
    let first = usage(&mut scene, Some(counts(7, 12_345_000_000))).unwrap();
    assert_eq!((first.accounts, first.active_people, first.cost_usd.as_str()), (7, 2, "12.35"));
    assert_eq!((first.price_usd.as_ref(), first.unknown_costs, first.key), (None, 1, KeyStatus::Refused));
    assert_eq!((first.limit_level, first.as_of), (None, at(5)));

    let mut same = counts(7, 12_346_000_000);
    same.counts.as_mut().unwrap().1 = at(1);
    assert_eq!(usage(&mut scene, Some(same)), Some(first.clone()), "its time alone is no change");
    let failing = |seconds_ago| Some(KnownCounts { unknown_since: Some(at(seconds_ago)), ..KnownCounts::default() });
    let unknown = UsageStatus { unknown_since: Some(at(60)), ..first.clone() };
    assert_eq!(usage(&mut scene, failing(60)), Some(unknown.clone()));
    assert_eq!(usage(&mut scene, None), Some(unknown.clone()), "the reconciler was restarted");
    assert_eq!(usage(&mut scene, failing(10)), Some(unknown), "it fails since then");
    assert_eq!(usage(&mut scene, Some(counts(8, 0))).unwrap().unknown_since, None);
}

#[test]
fn bill_is_shown_while_the_key_is_made_by_mai() {
    let mut scene = Scene::running(ready(), 99);
    let key = json!({"openRouter": {"managementKeySecretRef": {"name": "management", "key": "key"}}});
    scene.instance = instance(key);
    let day = "2026-11-29".parse().unwrap();
    let difference = Difference {
        day,
        model: "a/b".into(),
        ledger: NanoUsd::new(250_000_000),
        upstream: NanoUsd::new(1_500_000_000),
    };
    let bill = Bill {
        through: day,
        unattributed: NanoUsd::new(1_250_000_000),
        differences: vec![difference.clone(); 2],
        further: 3,
    };
    let told = "2026-11-29 a/b: $1.50 at the upstream, $0.25 in the ledger";
    let shown = usage(&mut scene, Some(KnownCounts { bill: Some(bill), ..counts(7, 0) })).unwrap().bill.unwrap();
    assert_eq!((shown.compared_through.as_str(), shown.unattributed_usd.as_str()), ("2026-11-29", "1.25"));
    assert_eq!(shown.differences, [told, told, "3 more"]);
    assert_eq!(usage(&mut scene, Some(counts(7, 0))).unwrap().bill, Some(shown), "the reconciler was restarted");
    scene.instance = instance(json!({}));
    assert_eq!(usage(&mut scene, Some(counts(7, 0))).unwrap().bill, None);
}
