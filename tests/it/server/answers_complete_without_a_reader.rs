//! An answer in a stored chat is completed and stored with or without readers, who may follow it
//! from any moment.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use mai_operator::server::audit::Actor;
use mai_operator::server::chat::{self, AnswerEvent, ChatError, Message, MessageRole, MessageStatus};
use mai_operator::server::users::{self, NewUser, UserId};
use mai_operator::server::{App, Config};
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;

use crate::fixtures::compose::PATIENCE;
use crate::fixtures::upstream::{KEY, Mock};

const MODEL: &str = "openai/gpt-5";

fn config(directory: &Path, base_url: &str) -> Config {
    let mut config = Config::for_directory(directory);
    config.openai_api_base_url = base_url.to_owned();
    config.openai_api_key = Some(KEY.into());
    config
}

async fn create_user(app: &App, email: &str, role: users::Role) -> UserId {
    let new = NewUser { name: email.to_owned(), email: email.to_owned(), password: "correct horse".into(), role };
    users::create(&app.db, &app.passwords, app.config.max_users, Actor::server(), new).await.unwrap().id
}

struct Setup {
    app: App,
    user: UserId,
    chat: Uuid,
    mock: Mock,
    directory: tempfile::TempDir,
}

async fn setup() -> Setup {
    setup_with(Mock::start().await).await
}

async fn setup_with(mock: Mock) -> Setup {
    let directory = tempfile::tempdir().unwrap();
    let app = App::start(config(directory.path(), &mock.base_url())).await.unwrap();
    let user = create_user(&app, "anna@example.com", users::Role::Admin).await;
    let chat = chat::create(&app.db, &user, None).await.unwrap().id;
    Setup { app, user, chat, mock, directory }
}

impl Setup {
    async fn ask(&self, text: &str) -> Uuid {
        self.app.answers.send(&self.user, self.chat, text, MODEL).await.unwrap().answer
    }

    async fn follow(&self, answer: Uuid) -> (String, AnswerEvent) {
        follow(&self.app, &self.user, answer).await
    }

    async fn messages(&self) -> Vec<Message> {
        chat::get(&self.app.db, &self.user, self.chat).await.unwrap().1
    }

    async fn message(&self, id: Uuid) -> Message {
        chat::message(&self.app.db, &self.user, id).await.unwrap()
    }

    /// Waits until some text of an answer is stored.
    async fn saved(&self, id: Uuid) -> Message {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = self.message(id).await;
            if !message.content.is_empty() {
                return message;
            }
            assert!(Instant::now() < deadline, "nothing is stored: {message:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Follows an answer to its end; returns its text and its last event.
async fn follow(app: &App, user: &UserId, answer: Uuid) -> (String, AnswerEvent) {
    collect(app.answers.follow(user, answer).await.unwrap()).await
}

/// Returns the text of the events and the last event.
async fn collect(events: impl Stream<Item = AnswerEvent>) -> (String, AnswerEvent) {
    let mut text = String::new();
    let events: Vec<AnswerEvent> = events.collect().await;
    let (end, texts) = events.split_last().unwrap();
    for event in texts {
        match event {
            AnswerEvent::Text(more) => text.push_str(more),
            other => panic!("{other:?} before the end"),
        }
    }
    (text, end.clone())
}

/// Returns the English sentence of an answer that failed.
fn failure_of(end: AnswerEvent) -> String {
    match end {
        AnswerEvent::Failed(failure) => failure.to_string(),
        other => panic!("{other:?} is no failure"),
    }
}

/// Returns the text of the mock's answer to a question that begins with `mock:`, words of eight
/// letters.
fn words(count: usize) -> String {
    (0..count).map(|n| format!("{:<8}", format!("word{n}"))).collect()
}

#[tokio::test]
async fn answer_with_late_followers_reaches_all_in_full() {
    let setup = setup().await;
    let answer = setup.ask("mock: chunks=100 delay=10").await;
    let early = setup.follow(answer);
    let late = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(setup.message(answer).await.status, MessageStatus::Streaming);
        setup.follow(answer).await
    };
    let leaving = async {
        let mut events = Box::pin(setup.app.answers.follow(&setup.user, answer).await.unwrap());
        assert!(matches!(events.next().await, Some(AnswerEvent::Text(_))));
    };
    let (early, late, ()) = tokio::join!(early, late, leaving);
    assert_eq!(early, (words(100), AnswerEvent::Done));
    assert_eq!(late, early);
    assert_eq!(setup.follow(answer).await, early, "also long after the end");
    let message = setup.message(answer).await;
    assert_eq!((message.content, message.status), (words(100), MessageStatus::Done));
}

#[tokio::test]
async fn answer_without_followers_is_stored_and_counted() {
    let setup = setup().await;
    let answer = setup.ask("Why is the sky blue? Please explain it to me as if I were a child of five").await;
    assert!(matches!(
        setup.app.answers.send(&setup.user, setup.chat, "And the sea?", MODEL).await,
        Err(ChatError::Busy)
    ));
    let deadline = Instant::now() + PATIENCE;
    while setup.message(answer).await.status == MessageStatus::Streaming {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (kept, messages) = chat::get(&setup.app.db, &setup.user, setup.chat).await.unwrap();
    assert_eq!(kept.title, "Why is the sky blue? Please explain it to me as if I were a…");
    assert_eq!((messages.len(), messages[0].role, messages[1].role), (2, MessageRole::User, MessageRole::Assistant));
    assert!(messages[1].content.contains("> Why is the sky blue?"), "{}", messages[1].content);
    setup.app.db.flush().await.unwrap();
    let month = setup.app.reports.current_month();
    let totals = setup.app.reports.summary(month, Some(&setup.user)).await.unwrap().totals;
    assert_eq!((totals.requests, totals.unknown_cost, totals.running), (1, 0, 0));
    assert!(totals.cost.get() > 0);
    let (via, of): (String, String) = sqlx::query_as(
        "SELECT generation.via, generation.chat_id FROM generation JOIN message ON message.generation = generation.id",
    )
    .fetch_one(setup.app.db.reader())
    .await
    .unwrap();
    assert_eq!((via, of), ("page".to_owned(), setup.chat.to_string()));
}

#[tokio::test]
async fn unfinished_answer_is_saved_periodically() {
    let setup = setup().await;
    let answer = setup.ask("mock: chunks=10000 delay=10").await;
    let message = setup.saved(answer).await;
    assert_eq!(message.status, MessageStatus::Streaming);
    assert!(words(10_000).starts_with(&message.content), "{}", message.content);
    setup.app.answers.stop(&setup.user, answer).await.unwrap();
}

#[tokio::test]
async fn stopped_answer_keeps_its_text_and_ends_upstream_call() {
    let setup = setup().await;
    let answer = setup.ask("mock: chunks=1000 delay=10").await;
    let mut events = Box::pin(setup.app.answers.follow(&setup.user, answer).await.unwrap());
    let Some(AnswerEvent::Text(begun)) = events.next().await else { panic!("ended before it began") };
    setup.app.answers.stop(&setup.user, answer).await.unwrap();
    let (text, end) = collect(events).await;
    let message = setup.message(answer).await;
    assert_eq!((end, message.status), (AnswerEvent::Stopped, MessageStatus::Stopped));
    assert!(message.content.len() >= 8 && begun + &text == message.content);
    let deadline = Instant::now() + PATIENCE;
    let month = setup.app.reports.current_month();
    loop {
        let totals = setup.app.reports.summary(month, None).await.unwrap().totals;
        if totals.requests == 1 && totals.running == 0 && totals.unknown_cost == 0 {
            assert!(totals.completion_tokens < 500, "{totals:?}");
            break;
        }
        assert!(Instant::now() < deadline, "{totals:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let next = setup.ask("mock: chunks=2").await;
    assert_eq!(setup.follow(next).await.1, AnswerEvent::Done, "the chat goes on");
}

#[tokio::test]
async fn regenerated_answer_replaces_the_last_one() {
    let setup = setup().await;
    let first = setup.ask("mock: chunks=3").await;
    setup.follow(first).await;
    let second = setup.app.answers.regenerate(&setup.user, setup.chat, "openai/gpt-5-mini").await.unwrap();
    assert_eq!(setup.follow(second).await, (words(3), AnswerEvent::Done));
    let messages = setup.messages().await;
    let ids: Vec<Uuid> = messages.iter().map(|message| message.id).collect();
    assert!(ids.len() == 2 && ids[1] == second && messages[1].model.as_deref() == Some("openai/gpt-5-mini"));
    let empty = chat::create(&setup.app.db, &setup.user, None).await.unwrap().id;
    assert!(matches!(setup.app.answers.regenerate(&setup.user, empty, MODEL).await, Err(ChatError::Empty)));
}

#[tokio::test]
async fn failed_answer_explains_the_cause() {
    let setup = setup().await;
    let sentences = [
        (
            "error=402",
            "The AI provider refused: Insufficient credits. Add more using https://openrouter.ai/credits (402). The provider account or key has no credit left; an administrator can add some.",
        ),
        (
            "error=429",
            "The AI provider refused: Rate limit exceeded (429). Please try again in a moment, or choose another model.",
        ),
        ("chunks=9 fail=2", "The AI provider stopped in the middle of the answer: Provider disconnected unexpectedly."),
        (
            "chunks=9 cut=2",
            "The connection to the AI provider was lost before the answer was complete. Please try again.",
        ),
    ];
    for (settings, sentence) in sentences {
        let answer = setup.ask(&format!("mock: {settings}")).await;
        let (text, end) = setup.follow(answer).await;
        assert_eq!(failure_of(end), sentence);
        assert_eq!(text, if settings.starts_with("error") { String::new() } else { words(2) });
        let message = setup.message(answer).await;
        let error = message.failure.map(|failure| failure.to_string());
        assert_eq!((message.status, error.as_deref()), (MessageStatus::Failed, Some(sentence)));
    }
    assert!(matches!(
        setup.app.answers.send(&setup.user, setup.chat, "Hello", "nope/none").await,
        Err(ChatError::Completion(chat::CompletionError::ModelNotFound))
    ));
    assert_eq!(setup.messages().await.len(), 8, "a question to no model is not kept");
}

#[tokio::test]
async fn chat_is_hidden_from_other_users() {
    let setup = setup().await;
    let answer = setup.ask("mock: chunks=10000 delay=10").await;
    let (app, chat) = (&setup.app, setup.chat);
    let other = create_user(app, "other@example.com", users::Role::User).await;
    assert!(chat::list(&app.db, &other).await.unwrap().is_empty());
    assert!(matches!(chat::get(&app.db, &other, chat).await, Err(ChatError::NotFound)));
    assert!(matches!(chat::message(&app.db, &other, answer).await, Err(ChatError::NotFound)));
    assert!(matches!(chat::rename(&app.db, &other, chat, "mine").await, Err(ChatError::NotFound)));
    assert!(matches!(chat::remove(&app.db, &app.answers, &other, chat).await, Err(ChatError::NotFound)));
    assert!(matches!(app.answers.send(&other, chat, "hi", MODEL).await, Err(ChatError::NotFound)));
    assert!(matches!(app.answers.regenerate(&other, chat, MODEL).await, Err(ChatError::NotFound)));
    assert!(matches!(app.answers.stop(&other, answer).await, Err(ChatError::NotFound)));
    assert!(matches!(app.answers.follow(&other, answer).await.map(|_| ()), Err(ChatError::NotFound)));
    assert_eq!(setup.message(answer).await.status, MessageStatus::Streaming);
}

#[tokio::test]
async fn chats_can_be_searched_renamed_and_deleted() {
    let setup = setup().await;
    let (app, user) = (&setup.app, &setup.user);
    let answer = setup.ask("mock: chunks=1000 delay=10").await;
    let other = chat::create(&app.db, user, Some(MODEL)).await.unwrap();
    chat::rename(&app.db, user, other.id, "  100% wool\n socks ").await.unwrap();
    let titles = |query: Option<&'static str>| async move {
        let chats = match query {
            Some(query) => chat::search(&app.db, user, query).await.unwrap().chats,
            None => chat::list(&app.db, user).await.unwrap(),
        };
        chats.into_iter().map(|chat| chat.title).collect::<Vec<_>>()
    };
    assert_eq!(titles(None).await, ["100% wool socks", "mock: chunks=1000 delay=10"]);
    assert_eq!(titles(Some("100% W")).await, ["100% wool socks"]);
    assert_eq!(titles(Some("delay=10")).await, ["mock: chunks=1000 delay=10"]);
    assert!(titles(Some("_")).await.is_empty() && titles(Some("nothing")).await.is_empty());
    assert!(matches!(chat::rename(&app.db, user, other.id, " \n").await, Err(ChatError::BadTitle(_))));

    let events = app.answers.follow(user, answer).await.unwrap();
    chat::remove(&app.db, &app.answers, user, setup.chat).await.unwrap();
    assert_eq!(collect(events).await.1, AnswerEvent::Stopped, "nobody pays for an answer to a chat that is gone");
    assert_eq!(titles(None).await, ["100% wool socks"]);
    assert!(matches!(chat::message(&app.db, user, answer).await, Err(ChatError::NotFound)));
}

#[tokio::test]
async fn deleted_account_loses_chats_and_keeps_usage() {
    let setup = setup().await;
    let other = create_user(&setup.app, "other@example.com", users::Role::User).await;
    let chat = chat::create(&setup.app.db, &other, None).await.unwrap().id;
    let asked = setup.app.answers.send(&other, chat, "mock: chunks=3", MODEL).await.unwrap();
    follow(&setup.app, &other, asked.answer).await;
    setup.app.db.flush().await.unwrap();
    sqlx::query("SELECT 1 FROM message WHERE chat_id = ?")
        .bind(chat.to_string())
        .fetch_one(setup.app.db.reader())
        .await
        .unwrap();
    let deleted = other.as_str().to_owned();
    setup
        .app
        .db
        .write(move |connection| {
            Box::pin(async move {
                sqlx::query("UPDATE user SET deleted_at = 1 WHERE id = ?").bind(deleted).execute(connection).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
    let left: i64 =
        sqlx::query_scalar("SELECT (SELECT count(*) FROM message) + (SELECT count(*) FROM chat WHERE user_id = ?)")
            .bind(other.as_str())
            .fetch_one(setup.app.db.reader())
            .await
            .unwrap();
    assert_eq!(left, 0);
    let month = setup.app.reports.current_month();
    let rows = setup.app.reports.by_user(month).await.unwrap();
    let row = rows.iter().find(|row| row.user_id == other).unwrap();
    assert!(row.removed && row.totals.completion_tokens == 3, "{row:?}");
}

#[test]
fn answer_interrupted_by_crash_is_marked_failed() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let upstream = runtime();
    let crashing = runtime();
    let (setup, answer) = crashing.block_on(async {
        let setup = setup_with(upstream.spawn(Mock::start()).await.unwrap()).await;
        let answer = setup.ask("mock: chunks=10000 delay=10").await;
        setup.saved(answer).await;
        (setup, answer)
    });
    let (directory, user, base_url) = (setup.directory, setup.user, setup.mock.base_url());
    // No task of the first server runs after this, as after a kill.
    crashing.shutdown_timeout(Duration::from_secs(5));

    runtime().block_on(async {
        let app = App::start(config(directory.path(), &base_url)).await.unwrap();
        let (text, end) = follow(&app, &user, answer).await;
        assert!(!text.is_empty() && words(10_000).starts_with(&text));
        let sentence = "The server was restarted while this answer was being written. Please ask again.";
        assert_eq!(failure_of(end), sentence);
        app.close().await;
    });
}

#[tokio::test]
async fn shutdown_finishes_short_answers_and_cuts_long_ones() {
    let setup = setup().await;
    let short = setup.ask("mock: chunks=40 delay=10").await;
    let second = chat::create(&setup.app.db, &setup.user, None).await.unwrap().id;
    let long = setup.app.answers.send(&setup.user, second, "mock: chunks=10000 delay=10", MODEL).await.unwrap().answer;
    tokio::time::sleep(Duration::from_millis(50)).await;
    setup.app.close().await;

    let app = App::start(config(setup.directory.path(), &setup.mock.base_url())).await.unwrap();
    assert_eq!(follow(&app, &setup.user, short).await, (words(40), AnswerEvent::Done));
    let (text, end) = follow(&app, &setup.user, long).await;
    let is_cut = text.len() < words(10_000).len() && matches!(end, AnswerEvent::Failed(_));
    assert!(text.len() > 8 * 40 && is_cut, "{} {end:?}", text.len());
}

/// Opens the database beside the server.
async fn open_beside(directory: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite:{}", directory.join("mai.db").display())).await.unwrap()
}

#[tokio::test]
async fn answer_that_ends_while_the_database_is_locked_is_saved() {
    let setup = setup().await;
    let answer = setup.ask("mock: chunks=5 delay=20").await;
    let mut other = open_beside(setup.directory.path()).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let unlock = async {
        // Longer than SQLite itself waits for a lock.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        other.close().await.unwrap();
    };
    let ((text, end), ()) = tokio::join!(setup.follow(answer), unlock);
    assert_eq!((text, end), (words(5), AnswerEvent::Done));
    let message = setup.message(answer).await;
    assert_eq!((message.status, message.content), (MessageStatus::Done, words(5)), "it was told before it was saved");
    setup.app.answers.regenerate(&setup.user, setup.chat, MODEL).await.unwrap();
}

#[tokio::test]
async fn messages_keep_their_order_when_the_clock_is_set_back() {
    let setup = setup().await;
    let first = setup.ask("mock: chunks=1").await;
    setup.follow(first).await;
    let mut other = open_beside(setup.directory.path()).await;
    // As if the clock had been years ahead.
    for (role, id) in
        [("user", "7fffffff-ffff-7000-8000-000000000001"), ("assistant", "7fffffff-ffff-7000-8000-000000000002")]
    {
        sqlx::query("UPDATE message SET id = ? WHERE role = ?").bind(id).bind(role).execute(&mut other).await.unwrap();
    }
    sqlx::query("UPDATE chat SET updated_at = 4102444800000").execute(&mut other).await.unwrap();
    let later = chat::create(&setup.app.db, &setup.user, None).await.unwrap().id;
    for question in ["mock: chunks=2", "mock: chunks=3"] {
        let answer = setup.ask(question).await;
        setup.follow(answer).await;
    }
    let again = setup.app.answers.regenerate(&setup.user, setup.chat, MODEL).await.unwrap();
    setup.follow(again).await;
    let texts: Vec<String> = setup.messages().await.into_iter().map(|message| message.content).collect();
    let expected = [("mock: chunks=1", 1), ("mock: chunks=2", 2), ("mock: chunks=3", 3)];
    let expected: Vec<String> =
        expected.iter().flat_map(|(asked, count)| [(*asked).to_owned(), words(*count)]).collect();
    assert_eq!(texts, expected);
    let order: Vec<Uuid> = chat::list(&setup.app.db, &setup.user).await.unwrap().iter().map(|chat| chat.id).collect();
    assert_eq!(order, [setup.chat, later], "a chat went down the list when it was used");
}
