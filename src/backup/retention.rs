//! Removes backups that are no longer kept. It runs after a new backup was read back and checked, as
//! far as there is a key to open it, and at no other time, so failing backups remove nothing.
//!
//! A backup is removed in the reverse order of its making, its summary first: what is left of it
//! after a crash is no backup any more, and the next run removes it as an interrupted upload.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use mai_contract::job::{BackupId, Retention, Subject};

use crate::catalog::{self, CatalogEntry};
use crate::store::{OpenStore, Removal, StoreError, StoredObject};
use crate::summary::{Extent, ObjectKind};

/// Age of an archive without a summary from which on nobody is still writing one.
const INTERRUPTED_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// Result of the removal of old backups in one store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Backups of the instance that are there.
    pub kept: u32,
    /// Backups that were removed, or would be in a dry run; the oldest first.
    pub removed: Vec<BackupId>,
    /// Backups that were to be removed and that the store protects.
    pub locked: Vec<BackupId>,
    /// Number of objects and uploads that interrupted runs left behind and that were removed, or
    /// would be in a dry run, which does not see uploads.
    pub interrupted: u32,
    /// Time of the newest verified backup there.
    pub newest_verified: Option<Timestamp>,
    /// Problem that ended the removal.
    pub problem: Option<String>,
}

/// Properties of a backup that decide if it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: BackupId,
    /// Moment of the data in it.
    pub taken_at: Timestamp,
    /// Extent of its verification.
    pub verified: Option<Extent>,
}

impl Candidate {
    fn new(entry: &CatalogEntry) -> Self {
        let verified = entry.verification.as_ref().map(|verification| verification.extent);
        Self { id: entry.summary.id.clone(), taken_at: entry.summary.taken_at, verified }
    }
}

/// Removes backups of `subject` that `retention` does not keep, and what interrupted runs left
/// behind. Without a retention the store does so by itself, and backups are only counted. A dry run
/// removes nothing.
pub async fn prune(
    store: &OpenStore,
    retention: Option<&Retention>,
    subject: &Subject,
    now: Timestamp,
    time_zone: &TimeZone,
    dry_run: bool,
) -> Pruned {
    let entries = match catalog::list(store).await {
        Ok(entries) => entries,
        // Keys that may only write, and a store that prunes by itself, go together.
        Err(StoreError::Refused { .. }) if retention.is_none() => return Pruned::default(),
        Err(error) => return Pruned { problem: Some(error.to_string()), ..Pruned::default() },
    };
    let ours: Vec<_> = entries.iter().filter(|entry| entry.summary.instance == *subject).map(Candidate::new).collect();
    let kept_by_rule = retention.map(|retention| select(&ours, retention, now, time_zone));
    let mut pruned = Pruned { kept: count(ours.len()), newest_verified: newest_verified(&ours), ..Pruned::default() };
    if let Some(kept) = kept_by_rule {
        let expired: BTreeSet<_> = ours.into_iter().map(|backup| backup.id).filter(|id| !kept.contains(id)).collect();
        if let Err(error) = remove(store, expired, now, dry_run, &mut pruned).await {
            pruned.problem = Some(error.to_string());
        }
    }
    pruned
}

/// Returns the backups that `retention` keeps: of each of the last periods that have any the newest
/// one and the newest verified one, the newest verified one of all, and the newest of all. So a
/// backup that failed its verification takes no place of a verified one.
///
/// Backups from after `now`, made while a clock was wrong, are kept and take nobody's place.
pub fn select(
    backups: &[Candidate],
    retention: &Retention,
    now: Timestamp,
    time_zone: &TimeZone,
) -> BTreeSet<BackupId> {
    let mut newest_first: Vec<_> = backups.iter().collect();
    newest_first.sort_by(|a, b| (b.taken_at, &b.id).cmp(&(a.taken_at, &a.id)));
    let newest_with =
        |is_enough: fn(Extent) -> bool| newest_first.iter().find(move |b| b.verified.is_some_and(is_enough));
    let protected = [
        newest_first.first(),
        newest_with(|_| true),
        newest_with(|extent| extent == Extent::Content),
        newest_first.iter().find(|backup| backup.taken_at <= now),
    ];
    let (past, future): (Vec<&Candidate>, Vec<&Candidate>) =
        newest_first.iter().partition(|backup| backup.taken_at <= now);
    let mut kept: BTreeSet<_> = future.into_iter().map(|backup| backup.id.clone()).collect();
    kept.extend(protected.into_iter().flatten().map(|backup| backup.id.clone()));
    let verified: Vec<&Candidate> = past.iter().copied().filter(|backup| backup.verified.is_some()).collect();
    for backups in [&past, &verified] {
        keep_by_rules(backups, retention, time_zone, &mut kept);
    }
    kept
}

/// Adds what the rules keep of `newest_first`.
fn keep_by_rules(
    newest_first: &[&Candidate],
    retention: &Retention,
    time_zone: &TimeZone,
    kept: &mut BTreeSet<BackupId>,
) {
    kept.extend(newest_first.iter().take(retention.last as usize).map(|backup| backup.id.clone()));
    let rules = [
        Rule { number: retention.hourly, period_of: Period::hour },
        Rule { number: retention.daily, period_of: Period::day },
        Rule { number: retention.weekly, period_of: Period::week },
        Rule { number: retention.monthly, period_of: Period::month },
        Rule { number: retention.yearly, period_of: Period::year },
    ];
    for Rule { number, period_of } in rules {
        let mut periods = BTreeSet::new();
        for backup in newest_first {
            let is_new = periods.insert(period_of(&backup.taken_at.to_zoned(time_zone.clone())));
            if periods.len() > number as usize {
                break;
            }
            if is_new {
                kept.insert(backup.id.clone());
            }
        }
    }
}

/// The newest backup of each of the last periods of one kind is kept.
struct Rule {
    number: u32,
    period_of: fn(&Zoned) -> Period,
}

/// A span of the calendar, by numbers that differ from those of any other of its kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Period(i64, i64, i64);

impl Period {
    fn hour(time: &Zoned) -> Self {
        // The offset tells the two hours apart that have one name when clocks are set back.
        let day = Self::day(time);
        Self(day.0 * 10_000 + day.1 * 100 + day.2, time.hour().into(), time.offset().seconds().into())
    }

    fn day(time: &Zoned) -> Self {
        Self(time.year().into(), time.month().into(), time.day().into())
    }

    fn week(time: &Zoned) -> Self {
        let week = time.date().iso_week_date();
        Self(week.year().into(), week.week().into(), 0)
    }

    fn month(time: &Zoned) -> Self {
        Self(time.year().into(), time.month().into(), 0)
    }

    fn year(time: &Zoned) -> Self {
        Self(time.year().into(), 0, 0)
    }
}

async fn remove(
    store: &OpenStore,
    expired: BTreeSet<BackupId>,
    now: Timestamp,
    dry_run: bool,
    pruned: &mut Pruned,
) -> Result<(), StoreError> {
    let objects = store.list().await?;
    let interrupted = interrupted(&objects, now);
    let mut expired: BTreeMap<_, _> = expired.into_iter().map(|id| (id, Vec::new())).collect();
    for object in &objects {
        if let Some((id, kind)) = ObjectKind::parse(&object.name)
            && let Some(objects) = expired.get_mut(&id)
        {
            objects.push(kind);
        }
    }
    for (id, mut kinds) in expired {
        kinds.sort_by_key(|kind| match kind {
            ObjectKind::Summary => 0,
            ObjectKind::Verification => 1,
            ObjectKind::Archive { .. } => 2,
        });
        let mut is_locked = false;
        for kind in kinds {
            if !dry_run && store.remove(&kind.name(&id)).await? == Removal::KeptByStore {
                is_locked = true;
                break;
            }
            if kind == ObjectKind::Summary {
                pruned.kept = pruned.kept.saturating_sub(1);
            }
        }
        if is_locked { pruned.locked.push(id) } else { pruned.removed.push(id) }
    }
    for name in interrupted {
        if dry_run || store.remove(&name).await? == Removal::Removed {
            pruned.interrupted += 1;
        }
    }
    if !dry_run && let Some(before) = checked_before(now) {
        pruned.interrupted += store.remove_interrupted(before).await?;
    }
    Ok(())
}

/// Returns the names of objects of backups that have no summary, and that nobody is still making.
fn interrupted(objects: &[StoredObject], now: Timestamp) -> Vec<String> {
    let parsed = || objects.iter().filter_map(|object| Some((object, ObjectKind::parse(&object.name)?)));
    let complete: BTreeSet<_> =
        parsed().filter(|(_, (_, kind))| *kind == ObjectKind::Summary).map(|(_, (id, _))| id).collect();
    let Some(before) = checked_before(now) else { return Vec::new() };
    parsed()
        .filter(|(object, (id, _))| !complete.contains(id) && object.modified < before)
        .map(|(object, _)| object.name.clone())
        .collect()
}

fn checked_before(now: Timestamp) -> Option<Timestamp> {
    now.checked_sub(INTERRUPTED_AFTER).ok()
}

fn newest_verified(backups: &[Candidate]) -> Option<Timestamp> {
    backups.iter().filter(|backup| backup.verified == Some(Extent::Content)).map(|backup| backup.taken_at).max()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NONE: Retention = Retention { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };

    fn candidate(index: u32, text: &str) -> Candidate {
        let taken_at: Timestamp = format!("2026-{}:00Z", text.trim_end_matches('+')).parse().unwrap();
        let verified = text.ends_with('+').then_some(Extent::Content);
        Candidate { id: BackupId::new(taken_at, index), taken_at, verified }
    }

    /// Times of backups in 2026 in UTC, `+` for verified ones, and of those that are kept.
    #[test]
    fn retention_keeps_the_newest_of_each_period() {
        let table: [(&str, Retention, &str, &str, &str); 15] = [
            (
                "a backup that failed its check takes no place of a verified one",
                Retention { daily: 2, ..NONE },
                "11-30T00:00",
                "11-01T02:00+ 11-02T02:00+ 11-02T12:00 11-03T02:00+",
                "11-02T02:00 11-02T12:00 11-03T02:00",
            ),
            ("nothing but the newest one", NONE, "11-30T00:00", "11-01T02:00 11-02T02:00", "11-02T02:00"),
            (
                "the newest verified one is kept",
                NONE,
                "11-30T00:00",
                "11-01T02:00+ 11-02T02:00+ 11-03T02:00",
                "11-02T02:00 11-03T02:00",
            ),
            (
                "the last ones",
                Retention { last: 2, ..NONE },
                "11-30T00:00",
                "11-01T02:00 11-02T02:00 11-03T02:00",
                "11-02T02:00 11-03T02:00",
            ),
            (
                "two of the same second are two",
                Retention { last: 2, ..NONE },
                "11-30T00:00",
                "11-01T02:00 11-02T02:00 11-02T02:00",
                "11-02T02:00 11-02T02:00",
            ),
            (
                "of a day the newest",
                Retention { daily: 2, ..NONE },
                "11-30T00:00",
                "11-01T01:00 11-01T20:00 11-02T01:00 11-02T20:00",
                "11-01T20:00 11-02T20:00",
            ),
            // 23:30 UTC is the next day in Warsaw.
            (
                "days are those of the time zone",
                Retention { daily: 2, ..NONE },
                "11-30T00:00",
                "11-01T12:00 11-01T23:30 11-02T12:00",
                "11-01T12:00 11-02T12:00",
            ),
            (
                "days without backups do not count",
                Retention { daily: 3, ..NONE },
                "11-30T00:00",
                "06-01T12:00 06-02T12:00 11-02T12:00 11-20T12:00",
                "06-02T12:00 11-02T12:00 11-20T12:00",
            ),
            // Clocks go back at 01:00 UTC on 25 October: 02:30 happens twice.
            (
                "both hours of one name count",
                Retention { hourly: 2, ..NONE },
                "11-30T00:00",
                "10-25T00:10 10-25T00:30 10-25T01:10 10-25T01:30",
                "10-25T00:30 10-25T01:30",
            ),
            // That day has 25 hours, and 29 March has 23: 22:30 and 22:00 UTC are other days there.
            (
                "a day of 25 hours is one",
                Retention { daily: 2, ..NONE },
                "11-30T00:00",
                "10-24T21:59 10-24T22:00 10-25T22:59 10-25T23:00",
                "10-25T22:59 10-25T23:00",
            ),
            (
                "a day of 23 hours is one",
                Retention { daily: 2, ..NONE },
                "11-30T00:00",
                "03-28T22:59 03-28T23:00 03-29T21:59 03-29T22:00",
                "03-29T21:59 03-29T22:00",
            ),
            // 1 January 2026 is a Thursday of the week that begins on 29 December.
            (
                "weeks begin on Monday",
                Retention { weekly: 2, ..NONE },
                "11-30T00:00",
                "01-01T12:00 01-04T12:00 01-05T12:00 01-11T12:00",
                "01-04T12:00 01-11T12:00",
            ),
            (
                "rules add up",
                Retention { last: 1, daily: 2, monthly: 2, yearly: 1, ..NONE },
                "11-30T00:00",
                "09-30T12:00 10-30T12:00 11-01T12:00 11-02T12:00 11-02T13:00",
                "10-30T12:00 11-01T12:00 11-02T13:00",
            ),
            (
                "backups of the future take no place",
                Retention { last: 1, daily: 1, ..NONE },
                "11-10T00:00",
                "11-01T12:00 11-02T12:00 11-20T12:00 11-21T12:00+",
                "11-02T12:00 11-20T12:00 11-21T12:00",
            ),
            ("no backups", Retention { last: 1, ..NONE }, "11-30T00:00", "", ""),
        ];
        let zone = TimeZone::get("Europe/Warsaw").unwrap();
        for (name, retention, now, backups, expected) in table {
            let texts: Vec<_> = backups.split_whitespace().collect();
            let backups: Vec<_> = (1..).zip(&texts).map(|(index, text)| candidate(index, text)).collect();
            let kept = select(&backups, &retention, format!("2026-{now}:00Z").parse().unwrap(), &zone);
            let is_kept = |(_, backup): &(&&str, &Candidate)| kept.contains(&backup.id);
            let kept_texts: Vec<_> =
                texts.iter().zip(&backups).filter(is_kept).map(|(text, _)| text.trim_end_matches('+')).collect();
            assert_eq!(kept_texts.join(" "), expected, "{name}");
        }
    }

    #[test]
    fn archives_without_summary_are_interrupted_after_a_day() {
        let now: Timestamp = "2026-11-30T02:00:00Z".parse().unwrap();
        let object = |name: &str, age_hours| StoredObject {
            name: name.to_owned(),
            bytes: 1,
            modified: now - SignedDuration::from_hours(age_hours),
        };
        let objects = [
            object("20261101-020000-000001.tar.gz", 25),
            object("20261101-020000-000002.tar.gz.age", 23),
            object("20261101-020000-000003.tar.gz", 500),
            object("20261101-020000-000003.json", 500),
            object("20261101-020000-000003.verified.json", 500),
            object("20261101-020000-000004.verified.json", 25),
            object("notes.tar.gz", 500),
        ];
        let expected = ["20261101-020000-000001.tar.gz", "20261101-020000-000004.verified.json"];
        assert_eq!(interrupted(&objects, now), expected);
    }
}
