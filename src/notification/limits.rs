//! Parts of a month's limit that were reached: each is told once in a month.

use std::collections::BTreeMap;

use super::decide::{Item, Present, Topic};
use crate::api::UsageStatus;
use crate::core::{NotifiedInstance, NotifiedLimit};

/// A part of the limit of an instance that was reached.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ReachedLimit {
    month: String,
    level: i32,
    message: String,
}

impl ReachedLimit {
    /// Returns the part that was reached; nothing below three quarters.
    pub(super) fn new(usage: &UsageStatus) -> Option<Self> {
        let (level, message) = (usage.limit_level?, usage.limit_message()?);
        Some(Self { month: usage.month.clone(), level, message })
    }
}

/// Returns what was not told yet, and records it as told. Of instances that are gone nothing is kept.
pub(super) fn take_news(told: &mut BTreeMap<NotifiedInstance, NotifiedLimit>, present: &[Present]) -> Vec<Item> {
    told.retain(|instance, _| present.iter().any(|one| one.id == instance.0));
    let mut news = Vec::new();
    for Present { id, limit, .. } in present {
        let Some(ReachedLimit { month, level, message }) = limit else { continue };
        let instance = NotifiedInstance(id.clone());
        if told.get(&instance).is_some_and(|told| told.month == *month && told.level >= *level) {
            continue;
        }
        told.insert(instance, NotifiedLimit { month: month.clone(), level: *level });
        news.push(Item {
            instance: id.clone(),
            topic: Topic::MonthlyLimit,
            is_bad: true,
            reason: "LimitUsed".to_owned(),
            message: message.clone(),
            since: None,
        });
    }
    news
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::InstanceId;

    fn present(name: &str, month: &str, level: i32) -> Present {
        let usage = UsageStatus {
            month: month.to_owned(),
            limit_usd: Some("500.00".to_owned()),
            limit_level: Some(level),
            ..UsageStatus::default()
        };
        let id = InstanceId { namespace: "default".into(), name: name.into(), uid: name.into() };
        Present { id, conditions: None, limit: ReachedLimit::new(&usage) }
    }

    #[test]
    fn each_part_of_a_limit_is_told_once_a_month() {
        let mut told = BTreeMap::new();
        for (month, level, expected) in [
            ("2026-11", 0, 0),
            ("2026-11", 75, 1),
            ("2026-11", 75, 0),
            ("2026-11", 100, 1),
            ("2026-11", 90, 0),
            ("2026-11", 100, 0),
            ("2026-12", 0, 0),
            ("2026-12", 75, 1),
            ("2026-12", 90, 1),
        ] {
            let news = take_news(&mut told, &[present("a", month, level)]);
            assert_eq!(news.len(), expected, "{month} {level}");
        }
        let news = take_news(&mut told, &[present("b", "2026-12", 90)]);
        assert_eq!(news[0].message, "90 % of the limit of 500.00 USD in 2026-12 is used");
        assert_eq!(told.len(), 1, "the other instance is gone");
    }
}
