//! The list of past chats in the sidebar: grouped by day, searched while typing.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use jiff::{Timestamp, civil::Date};
use serde::Deserialize;

use super::texts::ChatTexts;
use crate::{
    chat::{self, Chat},
    database::Database,
    pages::{
        error_page::{ErrorPage, PageError},
        form_problem::FormError,
        layout::{Layout, SignedInVisitor},
        response,
    },
    user::UserId,
};

/// The list of past chats, drawn by `list.html`.
pub(super) struct ChatList {
    pub(super) query: String,
    /// The news that the search is refused, or does not know all chats yet.
    pub(super) note: Option<String>,
    /// True when nothing was searched.
    pub(super) is_refused: bool,
    pub(super) groups: Vec<Group>,
}

/// The chats of a list, with a note for the reader.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) chats: Vec<Chat>,
    pub(super) note: Option<String>,
    /// The status of the answer when the search was refused.
    pub(super) refused: Option<StatusCode>,
}

/// Lists the user's chats, or those that a search finds.
pub(super) async fn find(db: &Database, layout: &Layout, user: &UserId, query: &str) -> Result<Listed, PageError> {
    if query.trim().is_empty() {
        return Ok(Listed { chats: chat::list(db, user).await?, ..Listed::default() });
    }
    let found = match chat::search(db, user, query).await {
        Ok(found) => found,
        Err(error) => {
            let note = error.problem(layout.locale).map(|problem| problem.text);
            return match note {
                Some(note) => {
                    Ok(Listed { note: Some(note), refused: Some(FormError::status(&error)), ..Listed::default() })
                }
                None => Err(error.into()),
            };
        }
    };
    let note = (!found.is_complete).then(|| ChatTexts(layout.locale).search_incomplete().to_owned());
    Ok(Listed { chats: found.chats, note, refused: None })
}

/// The chats of a day or span of days.
pub(super) struct Group {
    pub(super) heading: String,
    pub(super) chats: Vec<Entry>,
}

/// A chat of the list.
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) open: bool,
}

impl ChatList {
    /// Groups chats, the last used of which comes first. `open` is the id of the chat on the page.
    pub(super) fn new(layout: &Layout, query: &str, listed: &Listed, open: Option<&str>, now: Timestamp) -> Self {
        let today = now.to_zoned(layout.zone.clone()).date();
        let mut groups: Vec<Group> = Vec::new();
        for chat in &listed.chats {
            let heading = heading(layout, chat.updated_at.to_zoned(layout.zone.clone()).date(), today);
            let id = chat.id.to_string();
            let entry = Entry { open: open == Some(id.as_str()), title: title(layout, chat), id };
            match groups.last_mut() {
                Some(group) if group.heading == heading => group.chats.push(entry),
                _ => groups.push(Group { heading, chats: vec![entry] }),
            }
        }
        Self { query: query.to_owned(), note: listed.note.clone(), is_refused: listed.refused.is_some(), groups }
    }
}

fn heading(layout: &Layout, day: Date, today: Date) -> String {
    let t = ChatTexts(layout.locale);
    match (today - day).get_days() {
        ..=0 => t.today().to_owned(),
        1 => t.yesterday().to_owned(),
        2..=7 => t.last_week().to_owned(),
        _ => layout.locale.month(day),
    }
}

/// Returns a chat's title. A chat without a question has none yet.
pub(super) fn title(layout: &Layout, chat: &Chat) -> String {
    if chat.title.is_empty() { ChatTexts(layout.locale).new_chat().to_owned() } else { chat.title.clone() }
}

#[derive(Template)]
#[template(path = "chat/list.html")]
struct ListPart {
    t: ChatTexts,
    list: ChatList,
}

#[derive(Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    query: String,
    open: Option<String>,
}

/// `GET /chats`: the list alone, for the search field.
pub(super) async fn search(
    State(db): State<Database>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Query(search): Query<Search>,
) -> Result<Response, ErrorPage> {
    let listed = layout.check(find(&db, &layout, &user.id, &search.query).await)?;
    let list = ChatList::new(&layout, &search.query, &listed, search.open.as_deref(), Timestamp::now());
    Ok(response::html(
        &layout,
        listed.refused.unwrap_or(StatusCode::OK),
        &ListPart { t: ChatTexts(layout.locale), list },
    ))
}
