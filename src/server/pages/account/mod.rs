//! `/account`: the reader's own name, language, password and API keys.

mod activity;
mod keys;
mod texts;

use std::{collections::HashMap, convert::Infallible};

use askama::Template;
use axum::{
    Form,
    extract::{FromRef, FromRequestParts, Path, Query, State},
    http::{Method, request::Parts},
    response::Response,
    routing::{get, post},
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    audit_entry::{AuditEntryTexts, AuditList},
    error_page::ErrorPage,
    form_problem::FormOutcome,
    layout::{ICONS, Layout, Notice, SignedInVisitor},
    navigation::Entry,
    response,
};
use crate::{
    Endpoint,
    audit::{AuditLog, Whose},
    auth::{self, ApiKey, ApiKeyWish, Confirmations, CurrentUser, PasswordHasher, Scope, Scopes, Sessions},
    database::Database,
    i18n::Locale,
    models::Models,
    public_origin::PublicOrigin,
    usage::{KeyUsage, UsageReports},
    users,
};
use keys::{KeyRow, NewKey};
use texts::AccountTexts;

/// The routes of this page.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/account", handler: || get(show) },
    Endpoint { method: Method::GET, path: "/account/activity", handler: || get(activity::show) },
    Endpoint { method: Method::POST, path: "/account/profile", handler: || post(change_profile) },
    Endpoint { method: Method::POST, path: "/account/password", handler: || post(change_password) },
    Endpoint { method: Method::POST, path: "/account/keys", handler: || post(create_key) },
    Endpoint { method: Method::POST, path: "/account/keys/{id}/revoke", handler: || post(revoke_key) },
];

/// Number of entries of the audit log on the page.
const NEWEST: u32 = 5;

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
    a: AuditEntryTexts,
    /// The newest entries of the audit log about the reader.
    list: AuditList,
    new_key: Option<NewKey>,
    /// True when a key for administration needs the reader's password.
    confirm: bool,
    notice: Option<Notice>,
}

/// An option of the language menu.
struct Language {
    code: &'static str,
    name: &'static str,
    chosen: bool,
}

/// The parts of the server that the page shows.
struct AccountParts {
    db: Database,
    reports: UsageReports,
    confirmations: Confirmations,
    audit: AuditLog,
}

impl<S> FromRequestParts<S> for AccountParts
where
    S: Sync,
    Database: FromRef<S>,
    UsageReports: FromRef<S>,
    Confirmations: FromRef<S>,
    AuditLog: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self {
            db: Database::from_ref(state),
            reports: UsageReports::from_ref(state),
            confirmations: Confirmations::from_ref(state),
            audit: AuditLog::from_ref(state),
        })
    }
}

impl<'a> AccountPage<'a> {
    fn new(
        layout: &'a Layout,
        name: &'a str,
        email: &'a str,
        locale: Option<&str>,
        keys: Vec<ApiKey>,
        mut usage: HashMap<String, KeyUsage>,
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
                .map(|key| KeyRow::new(layout, t, usage.remove(&key.id).unwrap_or_default(), key, now))
                .collect(),
            a: AuditEntryTexts(layout.locale),
            list: AuditList::empty(),
            new_key: None,
            confirm: false,
            notice: None,
        }
    }
}

async fn draw(
    AccountParts { db, reports, confirmations, audit }: &AccountParts,
    layout: &Layout,
    user: &CurrentUser,
    outcome: FormOutcome,
    new_key: Option<NewKey>,
) -> Result<Response, ErrorPage> {
    let keys = layout.check(auth::list_api_keys(db, &user.id).await)?;
    let usage = layout.check(reports.by_key(&user.id).await)?;
    let locale = user.locale.as_deref();
    let mut page = AccountPage::new(layout, &user.name, &user.email, locale, keys, usage, Timestamp::now());
    page.confirm = user.is_admin() && !layout.check(confirmations.is_fresh(user).await)?;
    let newest = layout.check(audit.newest(Whose::Of(&user.id), NEWEST).await)?;
    page.list = AuditList::of(layout, &user.id, &newest);
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
    parts: AccountParts,
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
    draw(&parts, &layout, &user, outcome, None).await
}

#[derive(Deserialize)]
struct Profile {
    name: String,
    #[serde(default)]
    locale: String,
}

async fn change_profile(
    parts: AccountParts,
    State(sessions): State<Sessions>,
    State(passwords): State<PasswordHasher>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Form(form): Form<Profile>,
) -> Result<Response, ErrorPage> {
    let locale = Locale::parse(&form.locale).map(Locale::code);
    let changed = match users::set_name(&parts.db, &sessions, &passwords, &user, &form.name).await {
        Ok(_) => users::set_locale(&parts.db, &sessions, &user.id, locale).await,
        Err(error) => Err(error),
    };
    match changed {
        // A redirect, so that the whole page is drawn in the new language and with the new name.
        Ok(()) => Ok(response::redirect("/account?done=profile")),
        Err(error) => draw(&parts, &layout, &user, layout.form_problem(error)?, None).await,
    }
}

#[derive(Deserialize)]
struct Passwords {
    current: SecretString,
    new: SecretString,
}

async fn change_password(
    parts: AccountParts,
    State(sessions): State<Sessions>,
    State(passwords): State<PasswordHasher>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Form(form): Form<Passwords>,
) -> Result<Response, ErrorPage> {
    match auth::change_password(&parts.db, &sessions, &passwords, &parts.confirmations, &user, form.current, form.new)
        .await
    {
        Ok(()) => Ok(response::redirect("/account?done=password")),
        Err(error) => draw(&parts, &layout, &user, layout.form_problem(error)?, None).await,
    }
}

/// The form of a new key. A checkbox that is not ticked is absent.
#[derive(Deserialize)]
struct KeyForm {
    name: String,
    chat: Option<String>,
    usage: Option<String>,
    admin: Option<String>,
    /// Days until it expires; absent or 0: it does not.
    #[serde(default)]
    days: u16,
    /// The reader's password.
    current: Option<SecretString>,
}

impl KeyForm {
    fn wish(&self) -> ApiKeyWish {
        let boxes = [(Scope::Chat, &self.chat), (Scope::Usage, &self.usage), (Scope::Admin, &self.admin)];
        let chosen: Scopes = boxes.iter().filter(|(_, ticked)| ticked.is_some()).map(|(scope, _)| *scope).collect();
        let life = SignedDuration::from_hours(24 * i64::from(self.days));
        ApiKeyWish {
            name: self.name.clone(),
            scopes: if chosen.is_empty() { Scopes::DEFAULT } else { chosen },
            expires_at: (self.days > 0).then(|| Timestamp::now() + life),
        }
    }
}

async fn create_key(
    parts: AccountParts,
    State(models): State<Models>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    origin: PublicOrigin,
    Form(form): Form<KeyForm>,
) -> Result<Response, ErrorPage> {
    match auth::create_api_key(&parts.db, &parts.confirmations, &user, form.wish(), form.current.clone()).await {
        Ok(created) => {
            let key = NewKey::new(AccountTexts(layout.locale), &created, &origin, &models).await;
            draw(&parts, &layout, &user, FormOutcome::none(), Some(key)).await
        }
        Err(error) => draw(&parts, &layout, &user, layout.form_problem(error)?, None).await,
    }
}

async fn revoke_key(
    State(db): State<Database>,
    State(sessions): State<Sessions>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Path(id): Path<String>,
) -> Result<Response, ErrorPage> {
    layout.check(auth::remove_api_key(&db, &sessions, &user, &id).await)?;
    Ok(response::redirect("/account?done=revoked"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::{super::snapshot, *};
    use mai_openrouter::NanoUsd;

    #[test]
    fn account_page_matches_its_snapshot() {
        snapshot::assert_page("account", "/account", |layout| {
            let key = ApiKey {
                id: snapshot::id(7).to_string(),
                name: "Report script".to_owned(),
                hint: "9f3c".to_owned(),
                scopes: Scopes::DEFAULT,
                created_at: "2026-11-20T10:00:00Z".parse().unwrap(),
                expires_at: None,
                last_used_at: None,
            };
            let expired = ApiKey {
                id: snapshot::id(8).to_string(),
                scopes: Scope::ALL.into_iter().collect(),
                expires_at: Some("2026-11-21T10:00:00Z".parse().unwrap()),
                last_used_at: Some("2026-11-20T11:00:00Z".parse().unwrap()),
                ..key.clone()
            };
            let usage = KeyUsage { requests: 2, total_tokens: 12345, cost: NanoUsd::new(41_000_000), unknown_cost: 0 };
            let usage = HashMap::from([(expired.id.clone(), usage)]);
            let keys = vec![key, expired];
            let name = snapshot::NAME;
            let mut page = AccountPage::new(layout, name, "anna@abc.example", Some("pl"), keys, usage, snapshot::now());
            page.confirm = true;
            page.new_key = Some(NewKey {
                title: page.t.key_created("Report script"),
                secret: "sk-0123".to_owned(),
                snippet: Some("print(\"<hello>\")".to_owned()),
            });
            page.render()
        });
    }
}
