//! Content of the report, in one language.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use mai_contract::job::BACKUPS_VOLUME;

use super::texts::Language;
use crate::api::{Drill, DrillResult, DrillStatus, LastDrill, MaiInstance, PassedDrill};

/// The report.
pub(super) struct Page {
    pub(super) language: Language,
    /// Name that the client knows its instance by.
    pub(super) client: String,
    pub(super) is_passed: bool,
    /// One sentence about the result.
    pub(super) summary: &'static str,
    /// Cause of a failure.
    pub(super) cause: Option<String>,
    /// The time to recover, where the drill was passed.
    pub(super) recovery: Option<String>,
    /// Labels and their values.
    pub(super) facts: Vec<(&'static str, String)>,
    /// Checks that were passed, each with the count, if there is one.
    pub(super) checks: Vec<(&'static str, Option<String>)>,
    /// Reason for which no server was started.
    pub(super) note: Option<&'static str>,
    pub(super) loss: String,
    pub(super) method: String,
    pub(super) made: String,
}

impl DrillStatus {
    /// Returns whether a drill has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.passed.is_some() || self.last.as_ref().is_some_and(|last| last.ended_at.is_some())
    }

    /// Returns the newest drill if it failed.
    fn failure(&self) -> Option<&LastDrill> {
        self.last.as_ref().filter(|last| last.result == DrillResult::Failed)
    }
}

impl Page {
    /// Returns the page about drills of which one has ended. `last_verified` is the moment of the
    /// newest verified backup.
    pub(super) fn new(
        document: &MaiInstance,
        drills: &DrillStatus,
        last_verified: Option<Timestamp>,
        language: Language,
        zone: &TimeZone,
        now: Timestamp,
    ) -> Self {
        let moment = |at: Timestamp| language.moment(at, zone);
        let interval = document.spec.backup.as_ref().map_or(Drill::Never, |backup| backup.drill);
        let next = (language.next(), drills.next.map_or_else(|| language.on_demand().to_owned(), moment));
        let loss = match last_verified {
            Some(taken) => language.loss_window(&moment(taken), &language.span(now.duration_since(taken))),
            None => language.no_verified().to_owned(),
        };
        let mut page = Self {
            language,
            client: document.spec.display_name.clone(),
            is_passed: false,
            summary: language.does_not_work(),
            cause: None,
            recovery: None,
            facts: Vec::new(),
            checks: Vec::new(),
            note: None,
            loss,
            method: language.method_words(interval),
            made: language.made(&moment(now), zone.iana_name().unwrap_or("UTC")),
        };
        match (drills.failure(), &drills.passed) {
            (Some(failed), passed) => {
                page.cause = Some(failed.message.clone());
                page.facts.push((language.tested(), moment(failed.ended_at.unwrap_or(failed.started_at))));
                let last = passed.as_ref().map_or_else(|| language.never().to_owned(), |passed| moment(passed.at));
                page.facts.push((language.last_passed(), last));
            }
            (None, Some(passed)) => page.show_passed(passed, &moment),
            (None, None) => {}
        }
        page.facts.push(next);
        page
    }

    fn show_passed(&mut self, passed: &PassedDrill, moment: &dyn Fn(Timestamp) -> String) {
        let language = self.language;
        let place = match passed.destination.as_str() {
            BACKUPS_VOLUME => language.backups_volume(),
            other => other,
        };
        self.is_passed = true;
        self.recovery = Some(language.span(SignedDuration::from_secs(passed.recovery_seconds)));
        self.facts = vec![
            (language.tested(), moment(passed.at)),
            (language.taken(), moment(passed.taken_at)),
            (language.backup(), passed.backup.clone()),
            (language.archive(), language.bytes(passed.bytes)),
            (language.data(), language.bytes(passed.data_bytes)),
            (language.read_from(), place.to_owned()),
        ];
        let count = |number: i64| Some(language.number(number));
        let checks = &mut self.checks;
        checks.push((language.checked_archive(), None));
        if passed.encrypted {
            checks.push((language.checked_encryption(), None));
        }
        checks.push((language.checked_files(), count(passed.files)));
        checks.push((language.checked_databases(), count(passed.databases)));
        checks.push((language.checked_rows(), count(passed.rows)));
        let people = match &passed.server_version {
            Some(version) => {
                self.summary = language.works();
                checks.push((language.checked_start(), Some(format!("mAI {version}"))));
                checks.push((language.checked_sign_in(), None));
                language.listed_people()
            }
            None => {
                self.summary = language.is_whole();
                self.note = Some(language.no_server());
                language.counted_people()
            }
        };
        checks.extend(passed.people.map(|number| (people, count(number))));
        checks.extend(passed.chats.map(|number| (language.counted_chats(), count(number))));
    }
}
