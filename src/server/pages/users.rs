//! `/users`: who may use this assistant.

use askama::Template;
use axum::{
    Form,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use jiff::Timestamp;
use rand::Rng;
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    notice::Notice,
    refusal::Refused,
    reply, said,
    shell::{Boss, Shell, initials},
};
use crate::{
    App,
    auth::CurrentUser,
    users::{self, NewUser, Role, User, UserChange, UserId},
};

#[derive(Template)]
#[template(path = "users.html")]
pub(super) struct UsersPage<'a> {
    pub(super) s: &'a Shell,
    pub(super) rows: Vec<Row>,
    pub(super) seats: String,
    /// How much of the bar is filled, of 100.
    pub(super) filled: i64,
    pub(super) full: bool,
    pub(super) notice: Option<Notice>,
    /// A form to mend, after a refusal.
    pub(super) form: Option<AddForm>,
    pub(super) blank: AddForm,
}

/// One person of the table.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) initials: String,
    pub(super) role: &'static str,
    pub(super) admin: bool,
    pub(super) own: bool,
    pub(super) last_active: String,
    pub(super) reset_lead: String,
    pub(super) remove_title: String,
}

/// The form that adds somebody.
#[derive(Default)]
pub(super) struct AddForm {
    /// Tells the ids of two forms on one page apart.
    pub(super) prefix: &'static str,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) admin: bool,
    pub(super) problem: Option<String>,
}

impl<'a> UsersPage<'a> {
    pub(super) fn new(s: &'a Shell, own: &UserId, people: &[User], most: i64, now: Timestamp) -> Self {
        let t = s.t;
        let used = i64::try_from(people.len()).unwrap_or(i64::MAX);
        let rows = people
            .iter()
            .map(|user| Row {
                id: user.id.as_str().to_owned(),
                initials: initials(&user.name),
                admin: user.role == Role::Admin,
                role: if user.role == Role::Admin { t.shell.role_admin } else { t.shell.role_user },
                own: user.id == *own,
                last_active: user
                    .last_active_at
                    .map_or_else(|| t.users.never.to_owned(), |then| s.locale.ago(then, now, &s.zone)),
                reset_lead: (t.users.reset_lead)(&user.name),
                remove_title: (t.users.remove_title)(&user.name),
                name: user.name.clone(),
                email: user.email.clone(),
            })
            .collect();
        Self {
            s,
            rows,
            seats: (t.users.seats)(used, most),
            filled: (used * 100 / most.max(1)).min(100),
            full: used >= most,
            notice: None,
            form: None,
            blank: AddForm { prefix: "add", ..AddForm::default() },
        }
    }
}

async fn draw(
    app: &App,
    shell: &Shell,
    user: &CurrentUser,
    status: StatusCode,
    notice: Option<Notice>,
    form: Option<AddForm>,
) -> Result<Response, Refused> {
    let mut people = shell.check(users::all(&app.db).await)?;
    people.retain(|person| person.deleted_at.is_none());
    let mut page = UsersPage::new(shell, &user.id, &people, i64::from(app.config.max_users), Timestamp::now());
    page.notice = notice;
    page.form = form;
    Ok(reply::page(shell, status, &page))
}

/// `GET /users`
pub(super) async fn show(State(app): State<App>, Boss { shell, user }: Boss) -> Result<Response, Refused> {
    draw(&app, &shell, &user, StatusCode::OK, None, None).await
}

#[derive(Deserialize)]
pub(super) struct Addition {
    name: String,
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    role: String,
}

/// `POST /users`. An empty password gets one made up, which is shown this once.
pub(super) async fn add(
    State(app): State<App>,
    Boss { shell, user }: Boss,
    Form(form): Form<Addition>,
) -> Result<Response, Refused> {
    let t = shell.t;
    let role = if form.role == "admin" { Role::Admin } else { Role::User };
    let (password, made_up) = given_or_made_up(form.password);
    let new = NewUser { name: form.name.clone(), email: form.email.clone(), password, role };
    match users::create(&app, new).await {
        Ok(added) => {
            let notice = Notice::good((t.users.added)(&added.name)).with_secret(made_up);
            draw(&app, &shell, &user, StatusCode::OK, Some(notice), None).await
        }
        Err(error) => {
            let Some(problem) = said::user(t, &error) else { return shell.check(Err(error)) };
            let form = AddForm {
                prefix: "again",
                name: form.name,
                email: form.email,
                admin: role == Role::Admin,
                problem: Some(problem),
            };
            draw(&app, &shell, &user, StatusCode::BAD_REQUEST, None, Some(form)).await
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Reset {
    #[serde(default)]
    password: String,
}

/// `POST /users/{id}/password`
pub(super) async fn reset_password(
    State(app): State<App>,
    Boss { shell, user }: Boss,
    Path(id): Path<String>,
    Form(form): Form<Reset>,
) -> Result<Response, Refused> {
    let (password, made_up) = given_or_made_up(form.password);
    let change = UserChange { password: Some(password), ..UserChange::default() };
    match users::update(&app, &UserId::from(id), change).await {
        Ok(changed) => {
            let notice = Notice::good((shell.t.users.reset_done)(&changed.name)).with_secret(made_up);
            draw(&app, &shell, &user, StatusCode::OK, Some(notice), None).await
        }
        Err(error) => {
            let Some(problem) = said::user(shell.t, &error) else { return shell.check(Err(error)) };
            draw(&app, &shell, &user, StatusCode::BAD_REQUEST, Some(Notice::bad(problem)), None).await
        }
    }
}

/// `POST /users/{id}/remove`
pub(super) async fn remove(
    State(app): State<App>,
    Boss { shell, user }: Boss,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let id = UserId::from(id);
    let person = shell.check(users::get(&app, &id).await)?;
    match users::remove(&app, &user, &id).await {
        Ok(()) => {
            let notice = Notice::good((shell.t.users.removed)(&person.name));
            draw(&app, &shell, &user, StatusCode::OK, Some(notice), None).await
        }
        Err(error) => {
            let Some(problem) = said::user(shell.t, &error) else { return shell.check(Err(error)) };
            draw(&app, &shell, &user, StatusCode::BAD_REQUEST, Some(Notice::bad(problem)), None).await
        }
    }
}

/// The password of the form, or a fresh one to be shown once.
fn given_or_made_up(given: String) -> (SecretString, Option<String>) {
    if !given.is_empty() {
        return (SecretString::from(given), None);
    }
    let made_up = made_up_password();
    (SecretString::from(made_up.clone()), Some(made_up))
}

/// Four groups of four letters and digits that can't be mistaken for each other: 79 bits.
fn made_up_password() -> String {
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
    use super::*;

    #[test]
    fn a_made_up_password_is_long_readable_and_never_the_same() {
        let one = made_up_password();
        assert_eq!(one.len(), 19);
        assert!(one.split('-').all(|group| group.len() == 4), "{one}");
        assert_ne!(one, made_up_password());
    }
}
