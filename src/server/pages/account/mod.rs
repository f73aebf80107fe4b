//! `/account`: the reader's own name, language, password and API keys.

mod texts;

use askama::Template;
use axum::{
    Form,
    extract::{Path, Query, State},
    http::{HeaderMap, Method, header},
    response::Response,
    routing::{get, post},
};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    error_page::ErrorPage,
    form_problem::FormOutcome,
    layout::{ICONS, Layout, Notice, SignedInVisitor},
    navigation::Entry,
    response,
};
use crate::{
    Endpoint,
    auth::{self, ApiKey, CurrentUser, PasswordHasher, Sessions, Throttle},
    database::Database,
    i18n::Locale,
    models::Models,
    users,
};
use texts::AccountTexts;

/// The routes of this page.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/account", handler: || get(show) },
    Endpoint { method: Method::POST, path: "/account/profile", handler: || post(change_profile) },
    Endpoint { method: Method::POST, path: "/account/password", handler: || post(change_password) },
    Endpoint { method: Method::POST, path: "/account/keys", handler: || post(create_key) },
    Endpoint { method: Method::POST, path: "/account/keys/{id}/revoke", handler: || post(revoke_key) },
];

/// The page's entry in the navigation.
pub(super) const ENTRY: Entry =
    Entry { path: "/account", icon: ICONS.account, title: |locale| AccountTexts(locale).title() };

#[derive(Template)]
#[template(path = "account/account.html")]
struct AccountPage<'a> {
    layout: &'a Layout,
    t: AccountTexts,
    name: &'a str,
    email: &'a str,
    languages: Vec<Language>,
    keys: Vec<KeyRow>,
    new_key: Option<NewKey>,
    notice: Option<Notice>,
}

/// An option of the language menu.
struct Language {
    code: &'static str,
    name: &'static str,
    chosen: bool,
}

/// A row of the table of keys.
struct KeyRow {
    id: String,
    name: String,
    hint: String,
    created: String,
    last_used: String,
    revoke_title: String,
}

/// A key that was just created; the only time it is shown in clear.
struct NewKey {
    title: String,
    secret: String,
    snippet: String,
}

impl<'a> AccountPage<'a> {
    fn new(
        layout: &'a Layout,
        name: &'a str,
        email: &'a str,
        locale: Option<&str>,
        keys: Vec<ApiKey>,
        now: Timestamp,
    ) -> Self {
        let t = AccountTexts(layout.locale);
        let chosen = locale.and_then(Locale::parse);
        Self {
            layout,
            t,
            name,
            email,
            languages: Locale::ALL
                .map(|locale| Language { code: locale.code(), name: locale.name(), chosen: chosen == Some(locale) })
                .into(),
            keys: keys
                .into_iter()
                .map(|key| KeyRow {
                    created: layout.locale.ago(key.created_at, now, &layout.zone),
                    last_used: key
                        .last_used_at
                        .map_or_else(|| t.never().to_owned(), |then| layout.locale.ago(then, now, &layout.zone)),
                    revoke_title: t.revoke_title(&key.name),
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
    db: &Database,
    layout: &Layout,
    user: &CurrentUser,
    outcome: FormOutcome,
    new_key: Option<NewKey>,
) -> Result<Response, ErrorPage> {
    let keys = layout.check(auth::list_api_keys(db, &user.id).await)?;
    let mut page = AccountPage::new(layout, &user.name, &user.email, user.locale.as_deref(), keys, Timestamp::now());
    page.notice = outcome.notice;
    page.new_key = new_key;
    Ok(response::html(layout, outcome.status, &page))
}

/// The change that a redirect back to the page reports.
#[derive(Deserialize)]
struct Done {
    #[serde(default)]
    done: String,
}

async fn show(
    State(db): State<Database>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Query(query): Query<Done>,
) -> Result<Response, ErrorPage> {
    let t = AccountTexts(layout.locale);
    let outcome = match query.done.as_str() {
        "profile" => FormOutcome::success(Notice::success(t.saved())),
        "password" => FormOutcome::success(Notice::success(t.password_changed())),
        "revoked" => FormOutcome::success(Notice::success(t.revoked())),
        _ => FormOutcome::none(),
    };
    draw(&db, &layout, &user, outcome, None).await
}

#[derive(Deserialize)]
struct Profile {
    name: String,
    #[serde(default)]
    locale: String,
}

async fn change_profile(
    State(db): State<Database>,
    State(sessions): State<Sessions>,
    State(passwords): State<PasswordHasher>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Form(form): Form<Profile>,
) -> Result<Response, ErrorPage> {
    let locale = Locale::parse(&form.locale).map(Locale::code);
    let changed = match users::set_name(&db, &sessions, &passwords, &user.id, &form.name).await {
        Ok(_) => users::set_locale(&db, &sessions, &user.id, locale).await,
        Err(error) => Err(error),
    };
    match changed {
        // A redirect, so that the whole page is drawn in the new language and with the new name.
        Ok(()) => Ok(response::redirect("/account?done=profile")),
        Err(error) => draw(&db, &layout, &user, layout.form_problem(error)?, None).await,
    }
}

#[derive(Deserialize)]
struct Passwords {
    current: SecretString,
    new: SecretString,
}

async fn change_password(
    State(db): State<Database>,
    State(sessions): State<Sessions>,
    State(passwords): State<PasswordHasher>,
    State(throttle): State<Throttle>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Form(form): Form<Passwords>,
) -> Result<Response, ErrorPage> {
    match auth::change_password(&db, &sessions, &passwords, &throttle, &user, form.current, form.new).await {
        Ok(()) => Ok(response::redirect("/account?done=password")),
        Err(error) => draw(&db, &layout, &user, layout.form_problem(error)?, None).await,
    }
}

#[derive(Deserialize)]
struct KeyName {
    name: String,
}

async fn create_key(
    State(db): State<Database>,
    State(models): State<Models>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    headers: HeaderMap,
    Form(form): Form<KeyName>,
) -> Result<Response, ErrorPage> {
    match auth::create_api_key(&db, &user, &form.name).await {
        Ok(created) => {
            let key = NewKey {
                title: AccountTexts(layout.locale).key_created(&created.key.name),
                snippet: snippet(&origin(&headers), created.secret.expose(), &example_model(&models).await),
                secret: created.secret.expose().to_owned(),
            };
            draw(&db, &layout, &user, FormOutcome::none(), Some(key)).await
        }
        Err(error) => draw(&db, &layout, &user, layout.form_problem(error)?, None).await,
    }
}

async fn revoke_key(
    State(db): State<Database>,
    State(sessions): State<Sessions>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Path(id): Path<String>,
) -> Result<Response, ErrorPage> {
    layout.check(auth::remove_api_key(&db, &sessions, &user.id, &id).await)?;
    Ok(response::redirect("/account?done=revoked"))
}

/// Returns the first model on offer, for the example program.
async fn example_model(models: &Models) -> String {
    models.list().await.models().first().map_or_else(|| "openai/gpt-4o-mini".to_owned(), |model| model.id.clone())
}

/// Returns the scheme and host that the reader's browser used.
fn origin(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST.as_str()).unwrap_or("localhost:8080");
    let https = text("x-forwarded-proto").is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
    format!("{}://{host}", if https { "https" } else { "http" })
}

/// Returns an example program that runs as it is.
fn snippet(origin: &str, key: &str, model: &str) -> String {
    format!(
        "from openai import OpenAI\n\n\
         client = OpenAI(\n    base_url=\"{origin}/v1\",\n    api_key=\"{key}\",\n)\n\
         answer = client.chat.completions.create(\n    model=\"{model}\",\n    messages=[{{\"role\": \"user\", \"content\": \"Hello!\"}}],\n)\n\
         print(answer.choices[0].message.content)\n"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::{super::snapshot, *};

    #[test]
    fn account_page_matches_its_snapshot() {
        snapshot::assert_page("account", "/account", |layout| {
            let key = ApiKey {
                id: snapshot::id(7).to_string(),
                name: "Report script".to_owned(),
                hint: "9f3c".to_owned(),
                created_at: "2026-11-20T10:00:00Z".parse().unwrap(),
                last_used_at: None,
            };
            let mut page =
                AccountPage::new(layout, snapshot::NAME, "anna@abc.example", Some("pl"), vec![key], snapshot::now());
            page.new_key = Some(NewKey {
                title: page.t.key_created("Report script"),
                secret: "sk-0123".to_owned(),
                snippet: "print(\"<hello>\")".to_owned(),
            });
            page.render()
        });
    }
}
