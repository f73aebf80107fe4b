//! Past chats in the sidebar: grouped by day, searched as one types.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use jiff::{Timestamp, civil::Date};
use serde::Deserialize;

use super::{
    refusal::Refused,
    reply,
    shell::{Member, Shell},
};
use crate::{
    App,
    chat::{self, Chat},
};

/// The list as the sidebar shows it.
pub(super) struct ChatList {
    pub(super) query: String,
    pub(super) groups: Vec<Group>,
}

/// Chats of one day or span of days.
pub(super) struct Group {
    pub(super) heading: String,
    pub(super) chats: Vec<Entry>,
}

/// One chat of the list.
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) open: bool,
}

impl ChatList {
    /// Groups chats, which come with the last used first. `open` is the one that is being looked at.
    pub(super) fn new(s: &Shell, query: &str, chats: &[Chat], open: Option<&str>, now: Timestamp) -> Self {
        let today = now.to_zoned(s.zone.clone()).date();
        let mut groups: Vec<Group> = Vec::new();
        for chat in chats {
            let heading = heading(s, chat.updated_at.to_zoned(s.zone.clone()).date(), today);
            let id = chat.id.to_string();
            let entry = Entry { open: open == Some(id.as_str()), title: title(s, chat), id };
            match groups.last_mut() {
                Some(group) if group.heading == heading => group.chats.push(entry),
                _ => groups.push(Group { heading, chats: vec![entry] }),
            }
        }
        Self { query: query.to_owned(), groups }
    }
}

fn heading(s: &Shell, day: Date, today: Date) -> String {
    let t = &s.t.chat;
    match (today - day).get_days() {
        ..=0 => t.today.to_owned(),
        1 => t.yesterday.to_owned(),
        2..=7 => t.last_week.to_owned(),
        _ => s.locale.month(day),
    }
}

/// What a chat is called; one that was never asked anything has no title yet.
pub(super) fn title(s: &Shell, chat: &Chat) -> String {
    if chat.title.is_empty() { s.t.chat.new_chat.to_owned() } else { chat.title.clone() }
}

#[derive(Template)]
#[template(path = "chat_list.html")]
struct ListPart<'a> {
    s: &'a Shell,
    list: ChatList,
}

#[derive(Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    query: String,
    open: Option<String>,
}

/// `GET /chats`: the list alone, for the search box.
pub(super) async fn search(
    State(app): State<App>,
    Member { shell, user }: Member,
    Query(search): Query<Search>,
) -> Result<Response, Refused> {
    let chats = shell.check(chat::list(&app, &user.id, Some(&search.query)).await)?;
    let list = ChatList::new(&shell, &search.query, &chats, search.open.as_deref(), Timestamp::now());
    Ok(reply::page(&shell, StatusCode::OK, &ListPart { s: &shell, list }))
}
