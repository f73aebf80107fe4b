//! Search over titles and messages: the index behind it, which is written in the transaction of
//! each text, and the task that indexes what an earlier version left.

use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use tokio_util::sync::CancellationToken;

use super::error::ChatError;
use super::message::{Chat, read_chat};
use super::search_words::{indexed, query};
use crate::database::{Database, DatabaseError};
use crate::user::UserId;

/// Letters of a message that are indexed: twice as many as a question can have.
const INDEXED_LENGTH: i64 = 400_000;
/// Bytes of a text above which its words are not folded on a thread that serves requests.
const LONG_TEXT: usize = 64 * 1024;
/// Most texts that the background task indexes in one transaction, and most letters after which it
/// ends one.
const BATCH_TEXTS: i64 = 64;
const BATCH_LETTERS: usize = 500_000;
/// Shortest pause between two of them.
const PAUSE: Duration = Duration::from_millis(5);

/// The chats that a search found.
#[derive(Debug)]
pub struct FoundChats {
    /// Last used first, 1,000 at most.
    pub chats: Vec<Chat>,
    /// False while texts of an earlier version are still being indexed, the newest first.
    pub is_complete: bool,
}

/// Finds the user's chats with a title or a message that has all words of the text; the last word
/// may be only begun. Of a word that is everywhere the 10,000 newest texts count.
pub async fn search(db: &Database, user: &UserId, text: &str) -> Result<FoundChats, ChatError> {
    let Some(expression) = query(text, user)? else {
        return Ok(FoundChats { chats: Vec::new(), is_complete: true });
    };
    let rows = sqlx::query(
        "SELECT * FROM chat WHERE user_id = ?1 AND id IN (
             SELECT chat_id FROM search_entry WHERE number IN (
                 SELECT rowid FROM search_index WHERE search_index MATCH ?2 ORDER BY rowid DESC LIMIT 10000))
         ORDER BY updated_at DESC, id DESC LIMIT 1000",
    )
    .bind(user.as_str())
    .bind(expression)
    .fetch_all(db.reader())
    .await
    .map_err(DatabaseError::from)?;
    let is_complete = sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM search_entry WHERE is_pending = 1)")
        .fetch_one(db.reader())
        .await
        .map_err(DatabaseError::from)?;
    let chats = rows.iter().map(read_chat).collect::<Result<_, _>>().map_err(DatabaseError::from)?;
    Ok(FoundChats { chats, is_complete })
}

/// A text that the index does not have yet.
struct PendingText {
    number: i64,
    text: String,
    owner: UserId,
}

impl PendingText {
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            number: row.try_get("number")?,
            text: row.try_get("text")?,
            owner: row.try_get::<String, _>("user_id")?.into(),
        })
    }

    async fn index(self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let Self { number, text, owner } = self;
        let words = if text.len() <= LONG_TEXT {
            indexed(&text, &owner)
        } else {
            let folding = tokio::task::spawn_blocking(move || indexed(&text, &owner));
            folding.await.map_err(|error| sqlx::Error::Io(error.into()))?
        };
        sqlx::query("INSERT OR REPLACE INTO search_index (rowid, words) VALUES (?, ?)")
            .bind(number)
            .bind(words)
            .execute(&mut *connection)
            .await?;
        sqlx::query("UPDATE search_entry SET is_pending = 0 WHERE number = ?").bind(number).execute(connection).await?;
        Ok(())
    }
}

/// The columns of a [`PendingText`].
macro_rules! pending_texts {
    ($condition:literal) => {
        concat!(
            "SELECT entry.number, chat.user_id,
                 CASE WHEN entry.id = chat.id THEN chat.title ELSE substr(message.content, 1, ?1) END AS text
             FROM search_entry AS entry JOIN chat ON chat.id = entry.chat_id
             LEFT JOIN message ON message.id = entry.id AND entry.id <> entry.chat_id
             WHERE entry.is_pending = 1 AND ",
            $condition
        )
    };
}

/// Indexes a message, or the title of a chat, that the transaction wrote. A damaged index costs no
/// message: the text is then tried again at the next start.
pub(super) async fn index(connection: &mut SqliteConnection, id: &str) {
    if let Err(error) = index_text(connection, id).await {
        tracing::error!(%error, id, "a text could not be indexed; a search does not find it");
    }
}

async fn index_text(connection: &mut SqliteConnection, id: &str) -> Result<(), sqlx::Error> {
    let row = sqlx::query(pending_texts!("entry.id = ?2"))
        .bind(INDEXED_LENGTH)
        .bind(id)
        .fetch_optional(&mut *connection)
        .await?;
    match row {
        Some(row) => PendingText::read(&row)?.index(connection).await,
        None => Ok(()),
    }
}

/// Indexes the texts that are left, the newest first, until there are none or `closing` is
/// cancelled. It leaves the writer to others for most of the time.
pub(crate) async fn index_backlog(db: Database, closing: CancellationToken) {
    let work = async {
        let mut count = 0;
        loop {
            let began = Instant::now();
            match db.write(|connection| Box::pin(index_batch(connection))).await {
                Ok(0) => break,
                Ok(indexed) => count += indexed,
                Err(error) => {
                    tracing::error!(%error, "earlier chats could not be indexed; a search does not find all of them");
                    return;
                }
            }
            tokio::time::sleep(began.elapsed().max(PAUSE)).await;
        }
        if count > 0 {
            tracing::info!(texts = count, "earlier chats are indexed for the search");
        }
    };
    closing.run_until_cancelled(work).await;
}

/// Indexes some texts and returns their number.
async fn index_batch(connection: &mut SqliteConnection) -> Result<usize, DatabaseError> {
    let numbers: Vec<i64> =
        sqlx::query_scalar("SELECT number FROM search_entry WHERE is_pending = 1 ORDER BY number DESC LIMIT ?")
            .bind(BATCH_TEXTS)
            .fetch_all(&mut *connection)
            .await?;
    let (mut count, mut letters) = (0, 0);
    for number in numbers {
        let row = sqlx::query(pending_texts!("entry.number = ?2"))
            .bind(INDEXED_LENGTH)
            .bind(number)
            .fetch_optional(&mut *connection)
            .await?;
        match row {
            Some(row) => {
                let pending = PendingText::read(&row)?;
                letters += pending.text.len();
                pending.index(connection).await?;
            }
            // Nothing has this text any more.
            None => {
                sqlx::query("DELETE FROM search_entry WHERE number = ?").bind(number).execute(&mut *connection).await?;
            }
        }
        count += 1;
        if letters >= BATCH_LETTERS {
            break;
        }
    }
    Ok(count)
}
