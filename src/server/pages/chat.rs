//! `/chat` and `/chat/{id}`: the page one talks on, and what is done to a chat as a whole.

use askama::Template;
use axum::{
    Form,
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
};
use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    answer::{Body, Turn},
    chat_list::{ChatList, title},
    notice::Notice,
    refusal::{Refusal, Refused},
    reply, said,
    shell::{Member, Shell},
};
use crate::{
    App,
    auth::CurrentUser,
    chat::{self, Chat, ChatError, MessageStatus},
    connection, models,
    users::{self, Role},
};

#[derive(Template)]
#[template(path = "chat.html")]
pub(super) struct ChatPage<'a> {
    pub(super) s: &'a Shell,
    pub(super) list: ChatList,
    pub(super) open: Option<OpenChat>,
    pub(super) turns: Vec<Turn>,
    pub(super) greeting: String,
    /// Why nothing can be asked.
    pub(super) obstacle: Option<Obstacle>,
    /// Why the last question was not put.
    pub(super) problem: Option<Notice>,
    /// Where the composer sends to.
    pub(super) action: String,
    /// What the composer holds already.
    pub(super) ask: String,
    pub(super) models: Vec<ModelChoice>,
    /// Whether an answer is being written.
    pub(super) busy: bool,
}

/// The chat one looks at.
pub(super) struct OpenChat {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) delete_lead: String,
}

/// What stands in the way of asking, and whether the reader can clear it.
pub(super) struct Obstacle {
    pub(super) title: String,
    pub(super) lead: String,
    pub(super) link: bool,
}

/// One model to choose.
pub(super) struct ModelChoice {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) chosen: bool,
}

/// What a page of the chat shows besides what is stored.
#[derive(Default)]
struct View {
    chat: Option<Uuid>,
    query: String,
    ask: String,
    problem: Option<Notice>,
    model: Option<String>,
}

async fn draw(
    app: &App,
    shell: &Shell,
    user: &CurrentUser,
    status: StatusCode,
    view: View,
) -> Result<Response, Refused> {
    let opened = match view.chat {
        Some(id) => Some(shell.check(chat::get(app, &user.id, id).await)?),
        None => None,
    };
    let query = Some(view.query.as_str()).filter(|query| !query.is_empty());
    let chats = shell.check(chat::list(app, &user.id, query).await)?;
    let open = opened.as_ref().map(|(chat, _)| open_chat(shell, chat));
    let turns: Vec<Turn> =
        opened.iter().flat_map(|(_, messages)| messages).map(|message| Turn::new(shell, message)).collect();
    let last_model = opened.as_ref().and_then(|(chat, _)| chat.model.clone()).or_else(|| {
        // A new chat goes on with the model that was asked last.
        chats.iter().find_map(|chat| chat.model.clone())
    });
    let (models, obstacle) = offer(app, shell, view.model.or(last_model)).await?;
    let page = ChatPage {
        s: shell,
        list: ChatList::new(shell, &view.query, &chats, open.as_ref().map(|chat| chat.id.as_str()), Timestamp::now()),
        busy: turns.iter().any(|turn| matches!(turn.body, Body::Writing(_))),
        action: open.as_ref().map_or_else(|| "/chat".to_owned(), |chat| format!("/chat/{}/messages", chat.id)),
        open,
        turns,
        greeting: (shell.t.chat.greeting)(user.name.split_whitespace().next().unwrap_or_default()),
        obstacle,
        problem: view.problem,
        ask: view.ask,
        models,
    };
    Ok(reply::page(shell, status, &page))
}

fn open_chat(shell: &Shell, chat: &Chat) -> OpenChat {
    let title = title(shell, chat);
    OpenChat { id: chat.id.to_string(), delete_lead: (shell.t.chat.delete_lead)(&title), title }
}

/// The models to choose from, or what stands in the way.
async fn offer(
    app: &App,
    shell: &Shell,
    wanted: Option<String>,
) -> Result<(Vec<ModelChoice>, Option<Obstacle>), Refused> {
    let t = &shell.t.chat;
    let catalogue = models::list(app).await;
    let wanted = wanted.filter(|wanted| catalogue.models().iter().any(|model| model.id == *wanted));
    let choices: Vec<ModelChoice> = catalogue
        .models()
        .iter()
        .enumerate()
        .map(|(index, model)| ModelChoice {
            id: model.id.clone(),
            name: model.label.clone(),
            chosen: wanted.as_ref().map_or(index == 0, |wanted| *wanted == model.id),
        })
        .collect();
    if !choices.is_empty() {
        return Ok((choices, None));
    }
    let link = shell.is_admin();
    let obstacle = if connection::current(app).is_configured() {
        let lead = match catalogue.problem() {
            Some(problem) if link => problem.to_string(),
            _ => t.no_models.to_owned(),
        };
        Obstacle { title: t.models_unknown.to_owned(), lead, link }
    } else if link {
        Obstacle { title: t.not_connected.to_owned(), lead: t.not_connected_admin.to_owned(), link }
    } else {
        let people = shell.check(users::all(&app.db).await)?;
        let admins: Vec<&str> = people
            .iter()
            .filter(|person| person.role == Role::Admin && person.deleted_at.is_none())
            .map(|person| person.name.as_str())
            .collect();
        Obstacle { title: t.not_connected.to_owned(), lead: (t.not_connected_user)(&admins.join(", ")), link }
    };
    Ok((choices, Some(obstacle)))
}

/// The model a program of the reader's would ask first.
pub(super) async fn first_model(app: &App) -> String {
    models::list(app).await.models().first().map_or_else(|| "openai/gpt-4o-mini".to_owned(), |model| model.id.clone())
}

#[derive(Deserialize)]
pub(super) struct Fresh {
    #[serde(default)]
    query: String,
    #[serde(default)]
    ask: String,
}

/// `GET /chat`: nothing asked yet.
pub(super) async fn fresh(
    State(app): State<App>,
    Member { shell, user }: Member,
    Query(fresh): Query<Fresh>,
) -> Result<Response, Refused> {
    let view = View { query: fresh.query, ask: fresh.ask, ..View::default() };
    draw(&app, &shell, &user, StatusCode::OK, view).await
}

/// `GET /chat/{id}`
pub(super) async fn show(
    State(app): State<App>,
    Member { shell, user }: Member,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let chat = Some(shell.check(parse(&id))?);
    draw(&app, &shell, &user, StatusCode::OK, View { chat, ..View::default() }).await
}

#[derive(Deserialize)]
pub(super) struct Question {
    pub(super) text: String,
    #[serde(default)]
    pub(super) model: String,
}

/// `POST /chat`: begins a chat with its first question.
pub(super) async fn begin(
    State(app): State<App>,
    Member { shell, user }: Member,
    Form(form): Form<Question>,
) -> Result<Response, Refused> {
    let chat = shell.check(chat::create(&app, &user.id, Some(&form.model)).await)?;
    match chat::send(&app, &user.id, chat.id, &form.text, &form.model).await {
        Ok(_) => Ok(reply::redirect(&format!("/chat/{}", chat.id))),
        Err(error) => {
            shell.check(chat::remove(&app, &user.id, chat.id).await)?;
            not_put(&app, &shell, &user, None, form, error).await
        }
    }
}

/// The page again, with the question still in the composer and the reason above it.
pub(super) async fn not_put(
    app: &App,
    shell: &Shell,
    user: &CurrentUser,
    chat: Option<Uuid>,
    form: Question,
    error: ChatError,
) -> Result<Response, Refused> {
    let Some(sentence) = said::chat(shell.locale, &error) else { return shell.check(Err(error)) };
    let problem = Some(Notice::bad(sentence));
    let view = View { chat, ask: form.text, model: Some(form.model), problem, ..View::default() };
    draw(app, shell, user, status_of(&error), view).await
}

/// The status the JSON API answers the same refusal with.
pub(super) fn status_of(error: &ChatError) -> StatusCode {
    match error {
        ChatError::Busy => StatusCode::CONFLICT,
        ChatError::Ask(error) => error.status(),
        ChatError::NotFound => StatusCode::NOT_FOUND,
        ChatError::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
        ChatError::Empty | ChatError::TooLong(_) | ChatError::BadTitle(_) => StatusCode::BAD_REQUEST,
    }
}

#[derive(Deserialize)]
pub(super) struct NewTitle {
    title: String,
}

/// `POST /chat/{id}/rename`
pub(super) async fn rename(
    State(app): State<App>,
    Member { shell, user }: Member,
    Path(id): Path<String>,
    Form(form): Form<NewTitle>,
) -> Result<Response, Refused> {
    let chat = shell.check(parse(&id))?;
    match chat::rename(&app, &user.id, chat, &form.title).await {
        Ok(()) => Ok(reply::redirect(&format!("/chat/{chat}"))),
        Err(error) => {
            let Some(sentence) = said::chat(shell.locale, &error) else { return shell.check(Err(error)) };
            let view = View { chat: Some(chat), problem: Some(Notice::bad(sentence)), ..View::default() };
            draw(&app, &shell, &user, status_of(&error), view).await
        }
    }
}

/// `POST /chat/{id}/delete`
pub(super) async fn delete(
    State(app): State<App>,
    Member { shell, user }: Member,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let chat = shell.check(parse(&id))?;
    shell.check(chat::remove(&app, &user.id, chat).await)?;
    Ok(reply::redirect("/chat"))
}

/// `POST /chat/{id}/stop`: whatever is being written in it.
pub(super) async fn stop(
    State(app): State<App>,
    Member { shell, user }: Member,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let chat = shell.check(parse(&id))?;
    let (_, messages) = shell.check(chat::get(&app, &user.id, chat).await)?;
    for message in messages.iter().filter(|message| message.status == MessageStatus::Streaming) {
        shell.check(chat::stop(&app, &user.id, message.id).await)?;
    }
    Ok(if shell.by_htmx { reply::nothing() } else { reply::redirect(&format!("/chat/{chat}")) })
}

/// An id of an address. One that is none names nothing that is there.
pub(super) fn parse(id: &str) -> Result<Uuid, Refusal> {
    id.parse().map_err(|_| Refusal::NotFound)
}
