//! An answer being written, and the stream of its events for a reader who may come late and leave
//! early.

use std::sync::Arc;

use futures::Stream;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::failure::AnswerFailure;
use super::failure_code::FailureCode;
use super::message::{Message, MessageStatus};

/// An event of an answer, as its readers receive it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerEvent {
    /// More Markdown to append. The first event holds everything so far.
    Text(String),
    /// The answer is complete; nothing follows.
    Done,
    /// The user stopped it; nothing follows.
    Stopped,
    /// It could not be completed, for this reason; nothing follows.
    Failed(AnswerFailure),
}

/// An answer being written: its text so far, for any number of readers.
#[derive(Debug)]
pub(super) struct LiveAnswer {
    written: Mutex<Written>,
    changed: watch::Sender<()>,
    pub(super) stop: CancellationToken,
    pub(super) chat: Uuid,
}

#[derive(Debug, Default)]
struct Written {
    text: String,
    end: Option<AnswerEvent>,
}

impl LiveAnswer {
    pub(super) fn new(chat: Uuid) -> Self {
        Self { written: Mutex::default(), changed: watch::Sender::new(()), stop: CancellationToken::new(), chat }
    }

    pub(super) fn push(&self, text: &str) {
        self.written.lock().text.push_str(text);
        self.changed.send_replace(());
    }

    pub(super) fn text(&self) -> String {
        self.written.lock().text.clone()
    }

    pub(super) fn end(&self, event: AnswerEvent) {
        self.written.lock().end = Some(event);
        self.changed.send_replace(());
    }

    /// Returns the text after byte `from`, and the end if there is one.
    fn since(&self, from: usize) -> (String, Option<AnswerEvent>) {
        let written = self.written.lock();
        (written.text.get(from..).unwrap_or_default().to_owned(), written.end.clone())
    }
}

/// Returns the events of an answer: all its text so far, then what is added, then its end.
pub(super) fn follow(live: Arc<LiveAnswer>) -> impl Stream<Item = AnswerEvent> + Send + use<> {
    let follower = Follower::Live { changed: live.changed.subscribe(), live, sent: 0 };
    futures::stream::unfold(follower, next)
}

/// Returns the events of an answer that has ended.
pub(super) fn replay(row: Message) -> impl Stream<Item = AnswerEvent> + Send + use<> {
    futures::stream::unfold(Follower::Past(past(row).into_iter()), next)
}

fn past(row: Message) -> Vec<AnswerEvent> {
    let end = match row.status {
        MessageStatus::Done => AnswerEvent::Done,
        MessageStatus::Stopped => AnswerEvent::Stopped,
        // No task writes it any more.
        MessageStatus::Streaming => AnswerEvent::Failed(AnswerFailure::new(FailureCode::Interrupted)),
        MessageStatus::Failed => AnswerEvent::Failed(row.failure.unwrap_or_else(|| AnswerFailure::worded(""))),
    };
    let text = Some(AnswerEvent::Text(row.content)).filter(|text| *text != AnswerEvent::Text(String::new()));
    text.into_iter().chain([end]).collect()
}

/// One reader's position in an answer.
enum Follower {
    Live { live: Arc<LiveAnswer>, changed: watch::Receiver<()>, sent: usize },
    Past(std::vec::IntoIter<AnswerEvent>),
}

async fn next(mut follower: Follower) -> Option<(AnswerEvent, Follower)> {
    match &mut follower {
        Follower::Past(events) => events.next().map(|event| (event, follower)),
        Follower::Live { live, changed, sent } => loop {
            changed.borrow_and_update();
            let (text, end) = live.since(*sent);
            if !text.is_empty() {
                *sent += text.len();
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
