//! Answers in stored chats: asked, regenerated, stopped and followed; they need no reader.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::Stream;
use futures::future::Either;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::answer_task::AnswerTask;
use super::begin_answer::{self, BeginOutcome};
use super::completions::{Completions, Operation};
use super::error::ChatError;
use super::live_answer::{self, AnswerEvent, LiveAnswer};
use super::message::{Message, MessageRole, MessageStatus};
use super::store;
use crate::database::Database;
use crate::user::UserId;

/// Most characters of a question.
pub const QUESTION_LENGTH: usize = 200_000;
/// Time that answers being written have at shutdown before they are cut off.
const ANSWER_GRACE: Duration = Duration::from_secs(5);

/// A question that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentQuestion {
    /// The message with the question.
    pub question: Uuid,
    /// The message the answer is written to; see [`Answers::follow`].
    pub answer: Uuid,
}

/// The answers being written now. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Answers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    db: Database,
    completions: Completions,
    by_message: Mutex<HashMap<Uuid, Arc<LiveAnswer>>>,
    tasks: TaskTracker,
    /// Cancelled when answers being written are cut off.
    cut_off: CancellationToken,
}

impl Answers {
    pub(crate) fn new(db: &Database, completions: Completions) -> Self {
        let (tasks, cut_off) = (TaskTracker::new(), CancellationToken::new());
        Self(Arc::new(Shared { db: db.clone(), completions, by_message: Mutex::default(), tasks, cut_off }))
    }

    /// Asks a question in one of the user's chats. Returns when question and empty answer are saved
    /// and the model is being asked.
    pub async fn send(&self, user: &UserId, chat: Uuid, text: &str, model: &str) -> Result<SentQuestion, ChatError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ChatError::Empty);
        }
        if text.chars().count() > QUESTION_LENGTH {
            return Err(ChatError::TooLong(QUESTION_LENGTH));
        }
        let question = Message::new(chat, MessageRole::User, text, model, MessageStatus::Done);
        let (question, answer) = self.begin(user, chat, model, Some(question)).await?;
        Ok(SentQuestion { question: question.ok_or(ChatError::NotFound)?, answer })
    }

    /// Asks the last question of a chat again and replaces the last answer.
    pub async fn regenerate(&self, user: &UserId, chat: Uuid, model: &str) -> Result<Uuid, ChatError> {
        Ok(self.begin(user, chat, model, None).await?.1)
    }

    /// Stops an answer being written and keeps its text so far. An answer that has ended stays as
    /// it is.
    pub async fn stop(&self, user: &UserId, answer: Uuid) -> Result<(), ChatError> {
        store::message(&self.0.db, user, answer).await?;
        if let Some(live) = self.find(answer) {
            live.stop.cancel();
        }
        Ok(())
    }

    /// Follows an answer of one of the user's chats: all its text so far, then what is added, then
    /// its end. Dropping the stream stops nothing.
    pub async fn follow(
        &self,
        user: &UserId,
        message: Uuid,
    ) -> Result<impl Stream<Item = AnswerEvent> + Send + use<>, ChatError> {
        // The row proves whose it is. It is read before the live answer is looked up: one that ends
        // in between is saved before it is removed from the list, so it is read again.
        let db = &self.0.db;
        let mut row = store::message(db, user, message).await?;
        let live = self.find(message);
        if live.is_none() && row.status == MessageStatus::Streaming {
            row = store::message(db, user, message).await?;
        }
        Ok(match live {
            Some(live) => Either::Left(live_answer::follow(live)),
            None => Either::Right(live_answer::replay(row)),
        })
    }

    /// The number of answers being written.
    pub fn count(&self) -> usize {
        self.0.by_message.lock().len()
    }

    /// Waits a moment for answers being written, then cuts them off. The database is still open.
    pub(crate) async fn close(&self) {
        self.0.tasks.close();
        if tokio::time::timeout(ANSWER_GRACE, self.0.tasks.wait()).await.is_err() {
            self.0.cut_off.cancel();
            self.0.tasks.wait().await;
        }
    }

    /// Stops the answer being written in a chat.
    pub(super) fn stop_chat(&self, chat: Uuid) {
        self.0.by_message.lock().values().filter(|live| live.chat == chat).for_each(|live| live.stop.cancel());
    }

    fn find(&self, message: Uuid) -> Option<Arc<LiveAnswer>> {
        self.0.by_message.lock().get(&message).cloned()
    }

    /// Returns the ids of the question, if there is a new one, and of the answer.
    async fn begin(
        &self,
        user: &UserId,
        chat: Uuid,
        model: &str,
        question: Option<Message>,
    ) -> Result<(Option<Uuid>, Uuid), ChatError> {
        let Shared { db, completions, by_message, tasks, cut_off } = &*self.0;
        // A model that cannot be used is refused before anything is saved.
        completions.route(Operation::Chat, model, &[]).await?;
        let answer = Message::new(chat, MessageRole::Assistant, "", model, MessageStatus::Streaming);
        let (history, question, answer) = match begin_answer::insert(db, user, question, &answer).await? {
            BeginOutcome::Begun { history, question, answer } => (history, question, answer),
            BeginOutcome::NoSuchChat => return Err(ChatError::NotFound),
            BeginOutcome::Busy => return Err(ChatError::Busy),
            BeginOutcome::NothingToAnswer => return Err(ChatError::Empty),
        };
        let live = Arc::new(LiveAnswer::new(chat));
        by_message.lock().insert(answer, Arc::clone(&live));
        let task = AnswerTask {
            db: db.clone(),
            completions: completions.clone(),
            live,
            user: user.clone(),
            chat,
            answer,
            model: model.to_owned(),
            generation: OnceLock::new(),
        };
        let (shared, cut_off) = (Arc::clone(&self.0), cut_off.clone());
        tasks.spawn(async move {
            task.run(history, &cut_off).await;
            shared.by_message.lock().remove(&answer);
        });
        Ok((question, answer))
    }
}
