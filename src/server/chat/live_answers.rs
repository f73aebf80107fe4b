//! Answers being written: followed by any number of readers, who may come late and leave early.

use std::collections::HashMap;
use std::sync::Arc;

use futures::Stream;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::error::ChatError;
use super::store::{self, Message, MessageStatus};
use crate::App;
use crate::users::UserId;

/// What somebody who follows an answer is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerEvent {
    /// More Markdown, to be put after what was told before. The first one holds everything so far.
    Text(String),
    /// The answer is complete; nothing follows.
    Done,
    /// The person stopped it; nothing follows.
    Stopped,
    /// It could not be completed, and this sentence says why; nothing follows.
    Failed(String),
}

/// One answer being written.
#[derive(Debug)]
pub(super) struct LiveAnswer {
    written: Mutex<Written>,
    changed: watch::Sender<()>,
    pub(super) stop: CancellationToken,
    chat: Uuid,
}

#[derive(Debug, Default)]
struct Written {
    text: String,
    end: Option<AnswerEvent>,
}

impl LiveAnswer {
    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock()
    }

    pub(super) fn push(&self, text: &str) {
        self.written().text.push_str(text);
        self.changed.send_replace(());
    }

    pub(super) fn text(&self) -> String {
        self.written().text.clone()
    }

    pub(super) fn end(&self, event: AnswerEvent) {
        self.written().end = Some(event);
        self.changed.send_replace(());
    }

    /// What was written after `from`, and how it ended if it has.
    fn since(&self, from: usize) -> (String, Option<AnswerEvent>) {
        let written = self.written();
        (written.text.get(from..).unwrap_or_default().to_owned(), written.end.clone())
    }
}

/// All answers being written now.
#[derive(Debug, Default)]
pub struct Answers {
    by_message: Mutex<HashMap<Uuid, Arc<LiveAnswer>>>,
    pub(super) tasks: TaskTracker,
}

impl Answers {
    fn all(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<LiveAnswer>>> {
        self.by_message.lock()
    }

    pub(super) fn begin(&self, message: Uuid, chat: Uuid) -> Arc<LiveAnswer> {
        let live = Arc::new(LiveAnswer {
            written: Mutex::default(),
            changed: watch::Sender::new(()),
            stop: CancellationToken::new(),
            chat,
        });
        self.all().insert(message, Arc::clone(&live));
        live
    }

    pub(super) fn ended(&self, message: Uuid) {
        self.all().remove(&message);
    }

    pub(super) fn find(&self, message: Uuid) -> Option<Arc<LiveAnswer>> {
        self.all().get(&message).cloned()
    }

    pub(super) fn stop_chat(&self, chat: Uuid) {
        self.all().values().filter(|live| live.chat == chat).for_each(|live| live.stop.cancel());
    }

    /// How many answers are being written.
    pub fn count(&self) -> usize {
        self.all().len()
    }
}

/// Follows an answer of one of the user's chats: first all that is there, then what is added, then how it ended.
///
/// It may be called at any time, also for an answer that ended long ago. Dropping the stream stops nothing.
pub async fn follow(
    app: &App,
    user: &UserId,
    message: Uuid,
) -> Result<impl Stream<Item = AnswerEvent> + Send + use<>, ChatError> {
    // The row proves whose it is. It is read before the live answer is looked for: one that ends in between is saved
    // before it is taken off the list, so it is read again if it is not there any more.
    let mut row = store::message(app, user, message).await?;
    let live = app.answers.find(message);
    if live.is_none() && row.status == MessageStatus::Streaming {
        row = store::message(app, user, message).await?;
    }
    let state = match live {
        Some(live) => Follower::LiveAnswer { changed: live.changed.subscribe(), live, told: 0 },
        None => Follower::Past(past(row).into_iter()),
    };
    Ok(futures::stream::unfold(state, next))
}

fn past(row: Message) -> Vec<AnswerEvent> {
    let end = match row.status {
        MessageStatus::Done => AnswerEvent::Done,
        MessageStatus::Stopped => AnswerEvent::Stopped,
        // Nobody writes at it any more.
        MessageStatus::Streaming => AnswerEvent::Failed(super::answer::INTERRUPTED.to_owned()),
        MessageStatus::Failed => AnswerEvent::Failed(row.error.unwrap_or_default()),
    };
    let text = Some(AnswerEvent::Text(row.content)).filter(|text| *text != AnswerEvent::Text(String::new()));
    text.into_iter().chain([end]).collect()
}

enum Follower {
    LiveAnswer { live: Arc<LiveAnswer>, changed: watch::Receiver<()>, told: usize },
    Past(std::vec::IntoIter<AnswerEvent>),
}

async fn next(mut follower: Follower) -> Option<(AnswerEvent, Follower)> {
    match &mut follower {
        Follower::Past(events) => events.next().map(|event| (event, follower)),
        Follower::LiveAnswer { live, changed, told } => loop {
            changed.borrow_and_update();
            let (text, end) = live.since(*told);
            if !text.is_empty() {
                *told += text.len();
                return Some((AnswerEvent::Text(text), follower));
            }
            if let Some(end) = end {
                return Some((end, Follower::Past(Vec::new().into_iter())));
            }
            // The sender lives in `live`, so this cannot fail.
            changed.changed().await.ok()?;
        },
    }
}
