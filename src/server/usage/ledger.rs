//! The ledger: every generation is entered when it starts and closed when it ends, on every way it can end.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::row::{GenerationRow, GenerationStatus, UsageSource, Via};
use crate::database::Database;
use crate::users::UserId;
use mai_openrouter::scan::ResponseSummary;
use mai_openrouter::{MicroUsd, Usage};

/// How soon after its end the upstream is first asked for its record of a generation.
const FIRST_LOOKUP_MS: i64 = 500;

/// Where generations are entered. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Ledger {
    db: Database,
    changed: watch::Sender<()>,
    /// Wakes the task that asks for records.
    pub(super) lookups: Arc<Notify>,
}

/// What is known of a generation when it is asked for.
#[derive(Debug)]
pub struct NewGeneration {
    /// Who asks.
    pub user: UserId,
    /// The model asked for.
    pub model: String,
    /// Whether the answer is streamed.
    pub streamed: bool,
    /// Through which door.
    pub via: Via,
    /// In which stored chat, if in any.
    pub chat: Option<Uuid>,
    /// Whether the upstream costs nothing and keeps no records (an Ollama).
    pub free: bool,
}

/// A generation that runs. Dropped without [`Entry::finish`], it counts as cancelled.
#[derive(Debug)]
pub struct Entry {
    ledger: Ledger,
    row: GenerationRow,
    free: bool,
    open: bool,
}

impl Ledger {
    pub(crate) fn new(db: &Database) -> Self {
        Self { db: db.clone(), changed: watch::Sender::new(()), lookups: Arc::default() }
    }

    /// Enters a generation; it is written soon, and nothing waits for that.
    pub fn begin(&self, started: NewGeneration) -> Entry {
        let row = GenerationRow {
            id: Uuid::now_v7().to_string(),
            generation_id: None,
            user_id: started.user.as_str().to_owned(),
            model: started.model,
            provider: None,
            started_at: Timestamp::now().as_millisecond(),
            finished_at: None,
            status: GenerationStatus::Pending,
            streamed: started.streamed,
            usage: Usage::default(),
            source: None,
            via: started.via,
            chat_id: started.chat.map(|chat| chat.to_string()),
            lookup_at: None,
            changed: self.changed.clone(),
        };
        self.db.enqueue(row.clone());
        Entry { ledger: self.clone(), row, free: started.free, open: true }
    }

    /// Tells of every change of the ledger, at most once each time rows are written; for pages that show usage live.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn tell(&self) {
        self.changed.send_replace(());
    }
}

impl Entry {
    /// The id of the row.
    pub fn id(&self) -> &str {
        &self.row.id
    }

    /// Notes the upstream's id at once: should this process die, it is all there is to ask by.
    pub fn set_generation_id(&mut self, generation_id: &str) {
        if self.row.generation_id.is_none() && !self.free {
            self.row.generation_id = Some(generation_id.to_owned());
            self.ledger.db.enqueue(self.row.clone());
        }
    }

    /// Whether the upstream's id is known.
    pub fn has_cost_source(&self) -> bool {
        self.free || self.row.generation_id.is_some()
    }

    /// Whether the upstream has begun to work on it, as far as its id tells.
    pub fn has_generation_id(&self) -> bool {
        self.row.generation_id.is_some()
    }

    /// Closes the entry with what was learned from the answer.
    pub fn finish(mut self, status: GenerationStatus, observed: ResponseSummary) {
        self.close(status, observed);
    }

    /// Closes the entry of a question that was refused before anything was generated: known to have cost nothing.
    pub fn finish_refused(mut self) {
        let nothing = Usage {
            prompt_tokens: Some(0),
            completion_tokens: Some(0),
            total_tokens: Some(0),
            cost: Some(MicroUsd::ZERO),
            ..Usage::default()
        };
        self.close(GenerationStatus::Failed, ResponseSummary { usage: Some(nothing), ..ResponseSummary::default() });
    }

    fn close(&mut self, status: GenerationStatus, observed: ResponseSummary) {
        self.open = false;
        let now = Timestamp::now().as_millisecond();
        let row = &mut self.row;
        row.status = status;
        row.finished_at = Some(now);
        row.provider = observed.provider;
        row.source = observed.usage.map(|_| UsageSource::Usage);
        row.usage = observed.usage.unwrap_or_default();
        if self.free {
            row.usage.cost = Some(MicroUsd::ZERO);
        } else {
            row.generation_id = row.generation_id.take().or(observed.generation_id);
            if row.source.is_none() && row.generation_id.is_some() {
                row.lookup_at = Some(now + FIRST_LOOKUP_MS);
            }
        }
        let look_up = row.lookup_at.is_some();
        self.ledger.db.enqueue(row.clone());
        if look_up {
            self.ledger.lookups.notify_one();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.open {
            self.close(GenerationStatus::Cancelled, ResponseSummary::default());
        }
    }
}
