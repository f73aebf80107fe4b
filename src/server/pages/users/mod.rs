//! `/users`: the accounts of the instance, and invitations to it.

pub(super) mod invitations;
mod texts;

use std::{convert::Infallible, sync::Arc};

use askama::Template;
use axum::{
    Form,
    extract::{FromRef, FromRequestParts, Path, State},
    http::{Method, request::Parts},
    response::Response,
    routing::{get, post},
};
use jiff::Timestamp;
use rand::Rng;
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    error_page::ErrorPage,
    form_problem::FormOutcome,
    layout::{AdminVisitor, ICONS, Layout, Notice, initials},
    navigation::Entry,
    response,
};
use crate::{
    Config, Endpoint, account_link,
    auth::{Confirmations, CurrentUser, PasswordHasher, Sessions},
    database::Database,
    public_origin::PublicOrigin,
    users::{self, NewUser, PasswordReset, Role, User, UserChange, UserId},
};
use texts::UsersTexts;

/// The routes of this page.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/users", handler: || get(show) },
    Endpoint { method: Method::POST, path: "/users", handler: || post(add) },
    Endpoint { method: Method::POST, path: "/users/{id}/password", handler: || post(reset_password) },
    Endpoint { method: Method::POST, path: "/users/{id}/password-link", handler: || post(make_password_link) },
    Endpoint { method: Method::POST, path: "/users/{id}/remove", handler: || post(remove) },
];

/// The page's entry in the navigation.
pub(super) const ENTRY: Entry = Entry { path: "/users", icon: ICONS.users, title: |locale| UsersTexts(locale).title() };

#[derive(Template)]
#[template(path = "users/users.html")]
struct UsersPage<'a> {
    layout: &'a Layout,
    t: UsersTexts,
    rows: Vec<Row>,
    seats: String,
    /// Width of the bar of used accounts, in percent.
    filled: i64,
    full: bool,
    /// True when a reset needs the reader's own password.
    confirm: bool,
    notice: Option<Notice>,
    /// The form that was refused, to be corrected.
    form: Option<AddForm>,
    blank: AddForm,
}

/// A row of the table of users.
struct Row {
    id: String,
    name: String,
    email: String,
    initials: String,
    role: &'static str,
    admin: bool,
    own: bool,
    last_active: String,
    reset_lead: String,
    remove_title: String,
}

/// The form that adds a user.
#[derive(Default)]
struct AddForm {
    /// Prefix of the element ids, since the page can hold the form twice.
    prefix: &'static str,
    name: String,
    email: String,
    admin: bool,
    notice: Option<Notice>,
}

impl<'a> UsersPage<'a> {
    fn new(layout: &'a Layout, own: &UserId, users: &[User], most: i64, now: Timestamp) -> Self {
        let t = UsersTexts(layout.locale);
        let used = i64::try_from(users.len()).unwrap_or(i64::MAX);
        let rows = users
            .iter()
            .map(|user| Row {
                id: user.id.as_str().to_owned(),
                initials: initials(&user.name),
                admin: user.role == Role::Admin,
                role: if user.role == Role::Admin { t.role_admin() } else { t.role_user() },
                own: user.id == *own,
                last_active: user
                    .last_active_at
                    .map_or_else(|| t.never().to_owned(), |then| layout.locale.ago(then, now, &layout.zone)),
                reset_lead: t.reset_lead(&user.name),
                remove_title: t.remove_title(&user.name),
                name: user.name.clone(),
                email: user.email.clone(),
            })
            .collect();
        Self {
            layout,
            t,
            rows,
            seats: t.seats(used, most),
            filled: (used * 100 / most.max(1)).min(100),
            full: used >= most,
            confirm: false,
            notice: None,
            form: None,
            blank: AddForm { prefix: "add", ..AddForm::default() },
        }
    }
}

/// The parts of the server that the page shows.
struct UsersParts {
    db: Database,
    config: Arc<Config>,
    confirmations: Confirmations,
}

impl<S> FromRequestParts<S> for UsersParts
where
    S: Sync,
    Database: FromRef<S>,
    Arc<Config>: FromRef<S>,
    Confirmations: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self {
            db: Database::from_ref(state),
            config: Arc::from_ref(state),
            confirmations: Confirmations::from_ref(state),
        })
    }
}

async fn draw(
    UsersParts { db, config, confirmations }: &UsersParts,
    layout: &Layout,
    user: &CurrentUser,
    outcome: FormOutcome,
    form: Option<AddForm>,
) -> Result<Response, ErrorPage> {
    let mut users = layout.check(users::all(db).await)?;
    users.retain(|user| user.deleted_at.is_none());
    let mut page = UsersPage::new(layout, &user.id, &users, i64::from(config.max_users), Timestamp::now());
    page.confirm = !layout.check(confirmations.is_fresh(user).await)?;
    page.notice = outcome.notice;
    page.form = form;
    Ok(response::html(layout, outcome.status, &page))
}

async fn show(parts: UsersParts, AdminVisitor { layout, user }: AdminVisitor) -> Result<Response, ErrorPage> {
    draw(&parts, &layout, &user, FormOutcome::none(), None).await
}

#[derive(Deserialize)]
struct Addition {
    name: String,
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    role: String,
}

async fn add(
    parts: UsersParts,
    State(passwords): State<PasswordHasher>,
    AdminVisitor { layout, user }: AdminVisitor,
    Form(form): Form<Addition>,
) -> Result<Response, ErrorPage> {
    let t = UsersTexts(layout.locale);
    let role = if form.role == "admin" { Role::Admin } else { Role::User };
    let (password, generated) = given_or_generated(form.password);
    let new = NewUser { name: form.name.clone(), email: form.email.clone(), password, role };
    match users::create(&parts.db, &passwords, parts.config.max_users, user.actor(), new).await {
        Ok(added) => {
            let outcome = FormOutcome::success(success(t, t.added(&added.name), generated));
            draw(&parts, &layout, &user, outcome, None).await
        }
        Err(error) => {
            let mut outcome = layout.form_problem(error)?;
            let form = AddForm {
                prefix: "again",
                name: form.name,
                email: form.email,
                admin: role == Role::Admin,
                notice: outcome.notice.take(),
            };
            draw(&parts, &layout, &user, outcome, Some(form)).await
        }
    }
}

#[derive(Deserialize)]
struct Reset {
    #[serde(default)]
    password: String,
    /// Of a checkbox: absent when it is not ticked.
    revoke_keys: Option<String>,
    /// The reader's own password.
    current: Option<SecretString>,
}

async fn reset_password(
    parts: UsersParts,
    State(sessions): State<Sessions>,
    State(passwords): State<PasswordHasher>,
    AdminVisitor { layout, user }: AdminVisitor,
    Path(id): Path<String>,
    Form(form): Form<Reset>,
) -> Result<Response, ErrorPage> {
    let t = UsersTexts(layout.locale);
    let (password, generated) = given_or_generated(form.password);
    let by = match parts.confirmations.confirm(&user, form.current).await {
        Ok(by) => by,
        Err(error) => {
            let outcome = layout.form_problem(error)?;
            return draw(&parts, &layout, &user, outcome, None).await;
        }
    };
    let revoke_keys = form.revoke_keys.is_some();
    let change = UserChange { password: Some(PasswordReset { password, by }), revoke_keys, ..UserChange::default() };
    let outcome = match users::update(&parts.db, &sessions, &passwords, &user, &UserId::from(id), change).await {
        Ok(changed) => FormOutcome::success(success(t, t.reset_done(&changed.name, revoke_keys), generated)),
        Err(error) => layout.form_problem(error)?,
    };
    draw(&parts, &layout, &user, outcome, None).await
}

#[derive(Deserialize)]
struct LinkRequest {
    /// The reader's own password.
    current: Option<SecretString>,
}

async fn make_password_link(
    parts: UsersParts,
    origin: PublicOrigin,
    AdminVisitor { layout, user }: AdminVisitor,
    Path(id): Path<String>,
    Form(form): Form<LinkRequest>,
) -> Result<Response, ErrorPage> {
    let t = UsersTexts(layout.locale);
    let outcome = match parts.confirmations.confirm(&user, form.current).await {
        Ok(by) => match users::make_password_link(&parts.db, &by, &UserId::from(id)).await {
            Ok((owner, token)) => {
                let link = account_link::password(&origin, &token);
                FormOutcome::success(
                    Notice::success(t.link_made_lead()).with_title(t.link_made(&owner.name)).with_secret(link),
                )
            }
            Err(error) => layout.form_problem(error)?,
        },
        Err(error) => layout.form_problem(error)?,
    };
    draw(&parts, &layout, &user, outcome, None).await
}

async fn remove(
    parts: UsersParts,
    State(sessions): State<Sessions>,
    AdminVisitor { layout, user }: AdminVisitor,
    Path(id): Path<String>,
) -> Result<Response, ErrorPage> {
    let id = UserId::from(id);
    let removed = layout.check(users::get(&parts.db, &id).await)?;
    let outcome = match users::remove(&parts.db, &sessions, &user, &id).await {
        Ok(()) => FormOutcome::success(Notice::success(UsersTexts(layout.locale).removed(&removed.name))),
        Err(error) => layout.form_problem(error)?,
    };
    draw(&parts, &layout, &user, outcome, None).await
}

/// Returns the notice of a success, with the generated password where there is one.
fn success(t: UsersTexts, text: String, generated: Option<String>) -> Notice {
    match generated {
        Some(password) => Notice::success(t.hand_over()).with_title(text).with_secret(password),
        None => Notice::success(text),
    }
}

/// Returns the password of the form, or a generated one twice: to be stored and to be shown.
fn given_or_generated(given: String) -> (SecretString, Option<String>) {
    if !given.is_empty() {
        return (SecretString::from(given), None);
    }
    let password = generate_password();
    (SecretString::from(password.clone()), Some(password))
}

/// Returns four groups of four letters and digits that are not mistaken for each other: 79 bits.
fn generate_password() -> String {
    const ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let mut random = rand::rng();
    let groups: Vec<String> = (0..4)
        .map(|_| {
            (0..4)
                .filter_map(|_| ALPHABET.get(random.random_range(0..ALPHABET.len())))
                .map(|&byte| char::from(byte))
                .collect()
        })
        .collect();
    groups.join("-")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::{super::snapshot, *};

    #[test]
    fn generated_password_is_long_readable_and_unique() {
        let one = generate_password();
        assert_eq!(one.len(), 19);
        assert!(one.split('-').all(|group| group.len() == 4), "{one}");
        assert_ne!(one, generate_password());
    }

    fn user(number: u128, name: &str, email: &str, role: Role, last_active: Option<&str>) -> User {
        User {
            id: UserId::from(snapshot::id(number).to_string()),
            name: name.to_owned(),
            email: email.to_owned(),
            role,
            locale: None,
            created_at: snapshot::now(),
            updated_at: snapshot::now(),
            last_active_at: last_active.map(|at| at.parse().unwrap()),
            deleted_at: None,
        }
    }

    #[test]
    fn users_page_matches_its_snapshot() {
        let users = [
            user(1, snapshot::NAME, "anna@abc.example", Role::Admin, Some("2026-11-24T08:05:00Z")),
            user(2, "Jan Kowalski", "jan@abc.example", Role::User, Some("2026-11-24T05:01:00Z")),
            user(3, "Zofia Wiśniewska", "zofia@abc.example", Role::User, None),
        ];
        snapshot::assert_page("users", "/users", |layout| {
            let mut page = UsersPage::new(layout, &users[0].id, &users, 3, snapshot::now());
            page.notice = Some(success(page.t, page.t.added("Jan Kowalski"), Some("abcd-efgh-jkmn-pqrs".to_owned())));
            page.render()
        });
    }
}
