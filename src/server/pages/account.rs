//! `/account`: one's own name, language, password and API keys.

use askama::Template;
use axum::{
    Form,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    notice::Notice,
    refusal::Refused,
    reply, said,
    shell::{Member, Shell},
};
use crate::{
    App,
    auth::{self, ApiKey, AuthError, CurrentUser},
    i18n::Locale,
    users,
};

#[derive(Template)]
#[template(path = "account.html")]
pub(super) struct AccountPage<'a> {
    pub(super) s: &'a Shell,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) languages: Vec<Language>,
    pub(super) keys: Vec<KeyRow>,
    pub(super) new_key: Option<NewKey>,
    pub(super) notice: Option<Notice>,
}

/// One language to choose, in its own words.
pub(super) struct Language {
    pub(super) code: &'static str,
    pub(super) name: &'static str,
    pub(super) chosen: bool,
}

/// One key of the table.
pub(super) struct KeyRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) hint: String,
    pub(super) created: String,
    pub(super) last_used: String,
    pub(super) revoke_title: String,
}

/// A key that was just made, in clear this once.
pub(super) struct NewKey {
    pub(super) title: String,
    pub(super) secret: String,
    pub(super) snippet: String,
}

impl<'a> AccountPage<'a> {
    pub(super) fn new(
        s: &'a Shell,
        name: &str,
        email: &str,
        locale: Option<&str>,
        keys: Vec<ApiKey>,
        now: Timestamp,
    ) -> Self {
        let t = &s.t.account;
        let chosen = locale.and_then(Locale::parse);
        Self {
            s,
            name: name.to_owned(),
            email: email.to_owned(),
            languages: [(Locale::En, "English"), (Locale::Pl, "Polski")]
                .map(|(locale, name)| Language { code: locale.code(), name, chosen: chosen == Some(locale) })
                .into(),
            keys: keys
                .into_iter()
                .map(|key| KeyRow {
                    created: s.locale.ago(key.created_at, now, &s.zone),
                    last_used: key
                        .last_used_at
                        .map_or_else(|| t.never.to_owned(), |then| s.locale.ago(then, now, &s.zone)),
                    revoke_title: (t.revoke_title)(&key.name),
                    id: key.id,
                    name: key.name,
                    hint: key.hint,
                })
                .collect(),
            new_key: None,
            notice: None,
        }
    }
}

async fn draw(
    app: &App,
    shell: &Shell,
    user: &CurrentUser,
    status: StatusCode,
    notice: Option<Notice>,
    new_key: Option<NewKey>,
) -> Result<Response, Refused> {
    let keys = shell.check(auth::list_api_keys(app, &user.id).await)?;
    let mut page = AccountPage::new(shell, &user.name, &user.email, user.locale.as_deref(), keys, Timestamp::now());
    page.notice = notice;
    page.new_key = new_key;
    Ok(reply::page(shell, status, &page))
}

/// A refusal the reader can mend is told on the page; any other has a page of its own.
async fn told(app: &App, shell: &Shell, user: &CurrentUser, error: AuthError) -> Result<Response, Refused> {
    let Some(problem) = said::auth(shell.t, &error) else { return shell.check(Err(error)) };
    draw(app, shell, user, StatusCode::BAD_REQUEST, Some(Notice::bad(problem)), None).await
}

#[derive(Deserialize)]
pub(super) struct Done {
    #[serde(default)]
    done: String,
}

/// `GET /account`
pub(super) async fn show(
    State(app): State<App>,
    Member { shell, user }: Member,
    axum::extract::Query(query): axum::extract::Query<Done>,
) -> Result<Response, Refused> {
    let t = &shell.t.account;
    let notice = match query.done.as_str() {
        "profile" => Some(Notice::good(t.saved)),
        "password" => Some(Notice::good(t.password_changed)),
        "revoked" => Some(Notice::good(t.revoked)),
        _ => None,
    };
    draw(&app, &shell, &user, StatusCode::OK, notice, None).await
}

#[derive(Deserialize)]
pub(super) struct Profile {
    name: String,
    #[serde(default)]
    locale: String,
}

/// `POST /account/profile`
pub(super) async fn change_profile(
    State(app): State<App>,
    Member { shell, user }: Member,
    Form(form): Form<Profile>,
) -> Result<Response, Refused> {
    let locale = Locale::parse(&form.locale).map(Locale::code);
    let changed = match users::set_name(&app, &user.id, &form.name).await {
        Ok(_) => users::set_locale(&app, &user.id, locale).await,
        Err(error) => Err(error),
    };
    match changed {
        // A redirect, so that the new language and name are there from the first line on.
        Ok(()) => Ok(reply::redirect("/account?done=profile")),
        Err(error) => told(&app, &shell, &user, error.into()).await,
    }
}

#[derive(Deserialize)]
pub(super) struct Passwords {
    current: SecretString,
    new: SecretString,
}

/// `POST /account/password`
pub(super) async fn change_password(
    State(app): State<App>,
    Member { shell, user }: Member,
    Form(form): Form<Passwords>,
) -> Result<Response, Refused> {
    match auth::change_password(&app, &user, form.current, form.new).await {
        Ok(()) => Ok(reply::redirect("/account?done=password")),
        Err(error) => told(&app, &shell, &user, error).await,
    }
}

#[derive(Deserialize)]
pub(super) struct KeyName {
    name: String,
}

/// `POST /account/keys`
pub(super) async fn create_key(
    State(app): State<App>,
    Member { shell, user }: Member,
    headers: HeaderMap,
    Form(form): Form<KeyName>,
) -> Result<Response, Refused> {
    match auth::create_api_key(&app, &user, &form.name).await {
        Ok(made) => {
            let model = super::chat::first_model(&app).await;
            let key = NewKey {
                title: (shell.t.account.key_created)(&made.key.name),
                snippet: snippet(&origin(&headers), made.secret.expose(), &model),
                secret: made.secret.expose().to_owned(),
            };
            draw(&app, &shell, &user, StatusCode::OK, None, Some(key)).await
        }
        Err(error) => told(&app, &shell, &user, error).await,
    }
}

/// `POST /account/keys/{id}/revoke`
pub(super) async fn revoke_key(
    State(app): State<App>,
    Member { shell, user }: Member,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    shell.check(auth::remove_api_key(&app, &user.id, &id).await)?;
    Ok(reply::redirect("/account?done=revoked"))
}

/// The address the reader's browser used to get here.
fn origin(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST.as_str()).unwrap_or("localhost:8080");
    let scheme = if text("x-forwarded-proto").is_some_and(|proto| proto.eq_ignore_ascii_case("https")) {
        "https"
    } else {
        "http"
    };
    format!("{scheme}://{host}")
}

/// A program that works when it is pasted.
fn snippet(origin: &str, key: &str, model: &str) -> String {
    format!(
        "from openai import OpenAI\n\n\
         client = OpenAI(\n    base_url=\"{origin}/v1\",\n    api_key=\"{key}\",\n)\n\
         answer = client.chat.completions.create(\n    model=\"{model}\",\n    messages=[{{\"role\": \"user\", \"content\": \"Hello!\"}}],\n)\n\
         print(answer.choices[0].message.content)\n"
    )
}
