//! `/chat` and `/chat/{id}`: the page for chatting, and what is done to a chat as a whole.
//!
//! # Layout
//!
//! * `list`: past chats in the sidebar, and the search over them.
//! * `turn`: one message of the thread.
//! * `answer`, `stream`: asking, asking again, and the stream of an answer being written.
//! * `offer`: the models to choose from, or why there are none.

mod answer;
mod list;
mod offer;
mod stream;
mod texts;
mod turn;

use askama::Template;
use axum::{
    Form,
    extract::{DefaultBodyLimit, FromRef, FromRequestParts, Path, Query, State},
    http::{Method, request::Parts},
    response::Response,
    routing::{get, post},
};
use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    budget_words::BudgetLine,
    error_page::{ErrorPage, PageError},
    form_problem::FormOutcome,
    layout::{ICONS, Layout, Notice, SignedInVisitor},
    navigation::{ADMINISTRATION, Entry},
    response,
};
use crate::{
    BODY_LIMIT, Endpoint,
    auth::CurrentUser,
    chat::{self, Answers, Chat, ChatError, MessageStatus, QUESTION_LENGTH},
    connection::Connections,
    database::Database,
    markdown::Renderer,
    models::Models,
    usage::Budgets,
};
use list::{ChatList, title};
use offer::{ModelChoice, Unavailable};
use texts::ChatTexts;
use turn::{Body, Turn};

/// The routes of this page.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/chat", handler: || get(show_new) },
    Endpoint { method: Method::POST, path: "/chat", handler: || post(begin).layer(question_limit()) },
    Endpoint { method: Method::GET, path: "/chats", handler: || get(list::search) },
    Endpoint { method: Method::GET, path: "/chat/{id}", handler: || get(show) },
    Endpoint { method: Method::POST, path: "/chat/{id}/rename", handler: || post(rename) },
    Endpoint { method: Method::POST, path: "/chat/{id}/delete", handler: || post(delete) },
    Endpoint { method: Method::POST, path: "/chat/{id}/stop", handler: || post(stop) },
    Endpoint {
        method: Method::POST,
        path: "/chat/{id}/messages",
        handler: || post(answer::ask).layer(question_limit()),
    },
    Endpoint { method: Method::GET, path: "/chat/{id}/messages/{message}", handler: || get(answer::show) },
    Endpoint {
        method: Method::POST,
        path: "/chat/{id}/messages/{message}/regenerate",
        handler: || post(answer::regenerate),
    },
    Endpoint {
        method: Method::GET,
        path: "/chat/{id}/messages/{message}/stream",
        handler: || get(stream::stream_answer),
    },
];

/// The page itself, which is not in the navigation: its sidebar has a link to a new chat.
const ENTRY: Entry = Entry { path: "/chat", icon: ICONS.compose, title: |locale| ChatTexts(locale).new_chat() };

/// The body limit of a form with a question of [`QUESTION_LENGTH`] letters, each of up to twelve
/// bytes.
fn question_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(QUESTION_LENGTH * 12 + BODY_LIMIT)
}

#[derive(Template)]
#[template(path = "chat/chat.html")]
struct ChatPage<'a> {
    layout: &'a Layout,
    t: ChatTexts,
    list: ChatList,
    open: Option<OpenChat>,
    turns: Vec<Turn>,
    greeting: String,
    /// The reason why nothing can be asked.
    unavailable: Option<Unavailable>,
    /// The reason why the last question was refused.
    notice: Option<Notice>,
    /// The address the composer sends to.
    action: String,
    /// The text in the composer.
    ask: String,
    models: Vec<ModelChoice>,
    /// The line about the reader's budget, if there is one.
    budget: Option<BudgetLine>,
    /// True while an answer is being written.
    busy: bool,
}

/// The chat on the page.
struct OpenChat {
    id: String,
    title: String,
    delete_lead: String,
}

impl OpenChat {
    fn new(layout: &Layout, chat: &Chat) -> Self {
        let title = title(layout, chat);
        Self { id: chat.id.to_string(), delete_lead: ChatTexts(layout.locale).delete_lead(&title), title }
    }
}

/// The chat, search and draft that a request selects.
#[derive(Default)]
struct View {
    chat: Option<Uuid>,
    query: String,
    ask: String,
    model: Option<String>,
}

/// The person who chats, and the parts of the server that the page is drawn from.
struct ChatVisitor {
    db: Database,
    models: Models,
    connections: Connections,
    renderer: Renderer,
    budgets: Budgets,
    layout: Layout,
    user: CurrentUser,
}

impl<S> FromRequestParts<S> for ChatVisitor
where
    S: Send + Sync,
    SignedInVisitor: FromRequestParts<S, Rejection = Response>,
    Database: FromRef<S>,
    Models: FromRef<S>,
    Connections: FromRef<S>,
    Renderer: FromRef<S>,
    Budgets: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let SignedInVisitor { layout, user } = SignedInVisitor::from_request_parts(parts, state).await?;
        Ok(Self {
            db: Database::from_ref(state),
            models: Models::from_ref(state),
            connections: Connections::from_ref(state),
            renderer: Renderer::from_ref(state),
            budgets: Budgets::from_ref(state),
            layout,
            user,
        })
    }
}

async fn draw(visitor: &ChatVisitor, outcome: FormOutcome, view: View) -> Result<Response, ErrorPage> {
    let ChatVisitor { db, models, connections, renderer, budgets, layout, user } = visitor;
    let t = ChatTexts(layout.locale);
    let opened = match view.chat {
        Some(id) => Some(layout.check(chat::get(db, &user.id, id).await)?),
        None => None,
    };
    let listed = layout.check(list::find(db, layout, &user.id, &view.query).await)?;
    let open = opened.as_ref().map(|(chat, _)| OpenChat::new(layout, chat));
    let mut turns = Vec::new();
    for message in opened.iter().flat_map(|(_, messages)| messages) {
        turns.push(Turn::new(renderer, layout, message).await);
    }
    let last_model = opened.as_ref().and_then(|(chat, _)| chat.model.clone()).or_else(|| {
        // A new chat starts with the model that was asked last.
        listed.chats.iter().find_map(|chat| chat.model.clone())
    });
    let (models, unavailable) = offer::offer(db, models, connections, layout, view.model.or(last_model)).await?;
    let page = ChatPage {
        layout,
        t,
        list: ChatList::new(layout, &view.query, &listed, open.as_ref().map(|chat| chat.id.as_str()), Timestamp::now()),
        busy: turns.iter().any(Turn::is_streaming),
        action: open.as_ref().map_or_else(|| "/chat".to_owned(), |chat| format!("/chat/{}/messages", chat.id)),
        open,
        turns,
        greeting: t.greeting(user.name.split_whitespace().next().unwrap_or_default()),
        unavailable,
        notice: outcome.notice,
        ask: view.ask,
        budget: BudgetLine::new(layout, &budgets.of_person(&user.id)),
        models,
    };
    Ok(response::html(layout, listed.refused.unwrap_or(outcome.status), &page))
}

#[derive(Deserialize)]
struct NewChat {
    #[serde(default)]
    query: String,
    #[serde(default)]
    ask: String,
}

async fn show_new(visitor: ChatVisitor, Query(new): Query<NewChat>) -> Result<Response, ErrorPage> {
    let view = View { query: new.query, ask: new.ask, ..View::default() };
    draw(&visitor, FormOutcome::none(), view).await
}

async fn show(visitor: ChatVisitor, Path(id): Path<String>) -> Result<Response, ErrorPage> {
    let chat = Some(visitor.layout.check(parse(&id))?);
    draw(&visitor, FormOutcome::none(), View { chat, ..View::default() }).await
}

#[derive(Deserialize)]
struct Question {
    text: String,
    #[serde(default)]
    model: String,
}

/// Creates a chat with its first question.
async fn begin(
    State(answers): State<Answers>,
    visitor: ChatVisitor,
    Form(form): Form<Question>,
) -> Result<Response, ErrorPage> {
    let ChatVisitor { db, layout, user, .. } = &visitor;
    let chat = layout.check(chat::create(db, &user.id, Some(&form.model)).await)?;
    match answers.send(&user.id, chat.id, &form.text, &form.model).await {
        Ok(_) => Ok(response::redirect(&format!("/chat/{}", chat.id))),
        Err(error) => {
            layout.check(chat::remove(db, &answers, &user.id, chat.id).await)?;
            redraw(&visitor, None, form, error).await
        }
    }
}

/// Draws the page again, with the question still in the composer and the problem above it.
async fn redraw(
    visitor: &ChatVisitor,
    chat: Option<Uuid>,
    form: Question,
    error: ChatError,
) -> Result<Response, ErrorPage> {
    let view = View { chat, ask: form.text, model: Some(form.model), ..View::default() };
    draw(visitor, visitor.layout.form_problem(error)?, view).await
}

#[derive(Deserialize)]
struct NewTitle {
    title: String,
}

async fn rename(
    visitor: ChatVisitor,
    Path(id): Path<String>,
    Form(form): Form<NewTitle>,
) -> Result<Response, ErrorPage> {
    let ChatVisitor { db, layout, user, .. } = &visitor;
    let chat = layout.check(parse(&id))?;
    match chat::rename(db, &user.id, chat, &form.title).await {
        Ok(()) => Ok(response::redirect(&format!("/chat/{chat}"))),
        Err(error) => {
            let view = View { chat: Some(chat), ..View::default() };
            draw(&visitor, layout.form_problem(error)?, view).await
        }
    }
}

async fn delete(
    State(db): State<Database>,
    State(answers): State<Answers>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Path(id): Path<String>,
) -> Result<Response, ErrorPage> {
    let chat = layout.check(parse(&id))?;
    layout.check(chat::remove(&db, &answers, &user.id, chat).await)?;
    Ok(response::redirect("/chat"))
}

/// Stops every answer that is being written in the chat.
async fn stop(
    State(db): State<Database>,
    State(answers): State<Answers>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Path(id): Path<String>,
) -> Result<Response, ErrorPage> {
    let chat = layout.check(parse(&id))?;
    let (_, messages) = layout.check(chat::get(&db, &user.id, chat).await)?;
    for message in messages.iter().filter(|message| message.status == MessageStatus::Streaming) {
        layout.check(answers.stop(&user.id, message.id).await)?;
    }
    Ok(if layout.by_htmx { response::no_content() } else { response::redirect(&format!("/chat/{chat}")) })
}

/// Parses the id of an address. Text that is no id names nothing.
fn parse(id: &str) -> Result<Uuid, PageError> {
    id.parse().map_err(|_| PageError::NotFound)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
