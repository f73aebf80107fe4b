//! The ledger: each generation gets a row when it starts, which is closed however it ends.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::budget::{Budgets, OverBudget, Reservation};
use super::pricing::Pricing;
use super::rollup::utc_offset;
use super::row::{GenerationRow, GenerationStatus, Purpose, UsageSource, Via};
use crate::database::Database;
use crate::user::UserId;
use mai_openrouter::{AnswerSummary, NanoUsd, Usage};

/// Time after its end until the upstream's record of a generation is first requested.
const FIRST_LOOKUP_MS: i64 = 500;

/// The writer of generation rows. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Ledger {
    db: Database,
    /// Makes the prices of what the provider pays for.
    pricing: Pricing,
    zone: TimeZone,
    pub(super) budgets: Budgets,
    changed: watch::Sender<()>,
    /// Wakes the lookup task.
    pub(super) lookups: Arc<Notify>,
}

/// The facts about a generation at its start.
#[derive(Debug)]
pub struct NewGeneration {
    /// The user who asks.
    pub user: UserId,
    /// The id of the API key they ask with.
    pub key: Option<Arc<str>>,
    /// The model requested.
    pub model: String,
    /// True for a streamed answer.
    pub streamed: bool,
    /// The interface it came through.
    pub via: Via,
    /// The stored chat, if any.
    pub chat: Option<Uuid>,
    /// The purpose it is for.
    pub purpose: Purpose,
    /// The most that it may cost, where that is known.
    pub most: Option<NanoUsd>,
    /// True where the provider pays the upstream; false over a connection that an admin entered.
    pub billed: bool,
    /// The id of the connection it is sent over; `None` for an upstream that costs nothing and keeps
    /// no records (an Ollama).
    pub connection: Option<String>,
}

/// The row of a running generation. Dropped without [`Entry::finish`], it counts as cancelled.
#[derive(Debug)]
pub struct Entry {
    ledger: Ledger,
    row: GenerationRow,
    reservation: Reservation,
    open: bool,
}

impl Ledger {
    /// Divides days by the midnights of `zone`.
    pub(crate) fn new(db: &Database, pricing: Pricing, zone: TimeZone, budgets: Budgets) -> Self {
        Self { db: db.clone(), pricing, zone, budgets, changed: watch::Sender::new(()), lookups: Arc::default() }
    }

    /// The factors that make prices, where the provider pays or the client itself.
    pub fn pricing(&self, billed: bool) -> Pricing {
        if billed { self.pricing } else { Pricing::AT_COST }
    }

    /// Returns the most that a generation of this person may cost, where anything limits it.
    pub fn affordable(&self, user: &UserId, billed: bool) -> Option<NanoUsd> {
        self.budgets.affordable(user, self.pricing(billed), billed)
    }

    /// Adds a generation, if what it may cost is left of all budgets. Its row is written soon; nothing
    /// waits for it.
    pub fn begin(&self, started: NewGeneration) -> Result<Entry, OverBudget> {
        let pricing = self.pricing(started.billed);
        let reservation =
            self.budgets.reserve(&started.user, started.key.as_ref(), started.most, pricing, started.billed)?;
        let now = reservation.at;
        let row = GenerationRow {
            id: Uuid::now_v7().to_string(),
            generation_id: None,
            user_id: started.user.as_str().to_owned(),
            api_key_id: started.key,
            model: started.model,
            provider: None,
            started_at: now.as_millisecond(),
            finished_at: None,
            status: GenerationStatus::Pending,
            streamed: started.streamed,
            usage: Usage::default(),
            source: None,
            via: started.via,
            chat_id: started.chat.map(|chat| chat.to_string()),
            lookup_at: None,
            connection: started.connection.map(Arc::from),
            purpose: started.purpose,
            answered_model: None,
            billed: started.billed,
            pricing,
            utc_offset: utc_offset(&self.zone, now),
            reserved: started.most,
            changed: self.changed.clone(),
        };
        self.db.enqueue(row.clone());
        Ok(Entry { ledger: self.clone(), row, reservation, open: true })
    }

    /// True while so many rows wait to be written that nothing more may be asked.
    pub fn is_full(&self) -> bool {
        self.db.is_full()
    }

    /// Returns a receiver that is notified when rows were written, for pages that show usage live.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Tells open pages that something they show has changed.
    pub(crate) fn notify(&self) {
        self.changed.send_replace(());
    }
}

impl Entry {
    /// The id of the row.
    pub fn id(&self) -> &str {
        &self.row.id
    }

    /// True for an upstream that costs nothing and keeps no records.
    fn is_free(&self) -> bool {
        self.row.connection.is_none()
    }

    /// Saves the upstream's id at once: after a crash the usage can only be looked up by it.
    pub fn set_generation_id(&mut self, generation_id: &str) {
        if self.row.generation_id.is_none() && !self.is_free() {
            self.row.generation_id = Some(generation_id.to_owned());
            self.ledger.db.enqueue(self.row.clone());
        }
    }

    /// True when the upstream's id is known or not needed.
    pub fn has_cost_source(&self) -> bool {
        self.is_free() || self.row.generation_id.is_some()
    }

    /// True when the upstream has given it an id, and so has begun to work on it.
    pub fn has_generation_id(&self) -> bool {
        self.row.generation_id.is_some()
    }

    /// Closes the row with the usage of the answer.
    pub fn finish(mut self, status: GenerationStatus, summary: AnswerSummary) {
        self.close(status, summary, false);
    }

    /// Closes the row of a request that was refused before anything was generated, at no cost.
    pub fn finish_refused(mut self) {
        let nothing = Usage {
            prompt_tokens: Some(0),
            completion_tokens: Some(0),
            total_tokens: Some(0),
            cost: Some(NanoUsd::ZERO),
            ..Usage::default()
        };
        let summary = AnswerSummary { usage: Some(nothing), ..AnswerSummary::default() };
        self.close(GenerationStatus::Failed, summary, true);
    }

    fn close(&mut self, status: GenerationStatus, summary: AnswerSummary, refused: bool) {
        self.open = false;
        let now = Timestamp::now().as_millisecond();
        let is_free = self.is_free();
        let row = &mut self.row;
        row.status = status;
        row.finished_at = Some(now);
        row.provider = summary.provider;
        row.answered_model = summary.model;
        row.usage = summary.usage.unwrap_or_default();
        // Some gateways end with a report of nothing but zeros.
        let is_known = refused || !row.usage.says_nothing();
        row.source = is_known.then_some(UsageSource::Usage);
        if is_free {
            row.usage.cost = Some(NanoUsd::ZERO);
        } else {
            row.generation_id = row.generation_id.take().or(summary.generation_id);
            if (!is_known || row.usage.cost.is_none()) && row.generation_id.is_some() {
                row.lookup_at = Some(now + FIRST_LOOKUP_MS);
            }
        }
        self.ledger.db.enqueue(row.clone());
        match row.usage.cost {
            Some(cost) if row.is_settled() => self.ledger.budgets.settle(&self.reservation, cost),
            // It is looked up, or its reservation ends after a day.
            _ => self.ledger.lookups.notify_one(),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.open {
            self.close(GenerationStatus::Cancelled, AnswerSummary::default(), false);
        }
    }
}
