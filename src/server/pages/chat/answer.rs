//! Questions and answers of a chat: asking, asking again, and one answer alone.

use askama::Template;
use axum::{
    Form,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    ChatVisitor, Question, parse, redraw,
    texts::ChatTexts,
    turn::{Body, Turn},
};
use crate::{
    chat::{self, Answers, ChatError},
    database::Database,
    markdown::Renderer,
    pages::{
        budget_words::BudgetLine,
        error_page::ErrorPage,
        layout::{Layout, Notice, SignedInVisitor},
        response,
    },
    usage::{Budgets, UsageReports},
    users::UserId,
};

#[derive(Template)]
#[template(path = "chat/turns.html")]
struct Turns<'a> {
    layout: &'a Layout,
    t: ChatTexts,
    turns: Vec<Turn>,
    /// The line about the reader's budget, as it is now.
    budget: Option<BudgetLine>,
}

#[derive(Template)]
#[template(path = "layout/notice.html")]
struct NoticePart<'a> {
    layout: &'a Layout,
    notice: Notice,
}

/// Answers htmx with a notice above the composer instead of a turn of the thread.
fn composer_notice(layout: &Layout, error: ChatError) -> Result<Response, ErrorPage> {
    let outcome = layout.form_problem(error)?;
    let Some(notice) = outcome.notice else { return Ok(response::no_content()) };
    let part = response::html(layout, outcome.status, &NoticePart { layout, notice });
    Ok(([("hx-retarget", "#problem"), ("hx-reswap", "innerHTML")], part).into_response())
}

async fn turns(
    db: &Database,
    renderer: &Renderer,
    budgets: &Budgets,
    layout: &Layout,
    user: &UserId,
    ids: &[Uuid],
) -> Result<Response, ErrorPage> {
    let mut turns = Vec::with_capacity(ids.len());
    for id in ids {
        let message = layout.check(chat::message(db, user, *id).await)?;
        turns.push(Turn::new(renderer, layout, &message).await);
    }
    let budget = BudgetLine::new(layout, &budgets.of_person(user));
    Ok(response::html(layout, StatusCode::OK, &Turns { layout, t: ChatTexts(layout.locale), turns, budget }))
}

pub(super) async fn ask(
    State(answers): State<Answers>,
    visitor: ChatVisitor,
    Path(id): Path<String>,
    Form(form): Form<Question>,
) -> Result<Response, ErrorPage> {
    let ChatVisitor { db, renderer, budgets, layout, user, .. } = &visitor;
    let chat = layout.check(parse(&id))?;
    match answers.send(&user.id, chat, &form.text, &form.model).await {
        Ok(asked) if layout.by_htmx => {
            turns(db, renderer, budgets, layout, &user.id, &[asked.question, asked.answer]).await
        }
        Ok(_) => Ok(response::redirect(&format!("/chat/{chat}"))),
        Err(error) if layout.by_htmx => composer_notice(layout, error),
        Err(error) => redraw(&visitor, Some(chat), form, error).await,
    }
}

#[derive(Deserialize)]
pub(super) struct Regeneration {
    #[serde(default)]
    model: String,
}

/// Asks the last question again, with the model chosen now or else the same one.
pub(super) async fn regenerate(
    State(answers): State<Answers>,
    visitor: ChatVisitor,
    Path((id, message)): Path<(String, String)>,
    Form(form): Form<Regeneration>,
) -> Result<Response, ErrorPage> {
    let ChatVisitor { db, renderer, budgets, layout, user, .. } = &visitor;
    let chat = layout.check(parse(&id))?;
    let before = layout.check(chat::message(db, &user.id, layout.check(parse(&message))?).await)?;
    let model = if form.model.is_empty() { before.model.unwrap_or_default() } else { form.model };
    match answers.regenerate(&user.id, chat, &model).await {
        Ok(answer) if layout.by_htmx => turns(db, renderer, budgets, layout, &user.id, &[answer]).await,
        Ok(_) => Ok(response::redirect(&format!("/chat/{chat}"))),
        Err(error) if layout.by_htmx => composer_notice(layout, error),
        Err(error) => redraw(&visitor, Some(chat), Question { text: String::new(), model }, error).await,
    }
}

/// Answers htmx with one message alone, for an answer that has just ended.
pub(super) async fn show(
    State(db): State<Database>,
    State(renderer): State<Renderer>,
    State(reports): State<UsageReports>,
    State(budgets): State<Budgets>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Path((id, message)): Path<(String, String)>,
) -> Result<Response, ErrorPage> {
    let message = layout.check(parse(&message))?;
    if layout.by_htmx {
        // The price is there as soon as the answer has ended.
        reports.catch_up().await;
        turns(&db, &renderer, &budgets, &layout, &user.id, &[message]).await
    } else {
        Ok(response::redirect(&format!("/chat/{}#m-{message}", layout.check(parse(&id))?)))
    }
}
