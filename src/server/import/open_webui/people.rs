//! Accounts with their passwords, and API keys.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use uuid::Uuid;

use super::SOURCE;
use super::source::{Source, SourceRow};
use super::time;
use crate::audit::{self, Action, Actor, Event};
use crate::auth::{TokenHash, is_checkable};
use crate::database::{Database, DatabaseError};
use crate::import::record::{self, NewRecord};
use crate::import::report::Table;
use crate::import::{ImportError, Reason, Report};
use crate::user::{Role, UserId, normalised_email};
use crate::users::checked_email;

const LONGEST_NAME: usize = 100;

/// People by their ids in the old server; `None` where one was not taken.
pub(super) type People = HashMap<String, Option<UserId>>;

/// An account as it is to be written.
struct Person {
    external_id: String,
    email: String,
    name: String,
    role: Role,
    /// Empty where the person cannot sign in.
    password_hash: String,
    created_at: i64,
}

enum Outcome {
    Taken(UserId),
    Joined(UserId),
    AlreadyThere(UserId),
    RemovedHere,
}

/// Takes the accounts. Nothing is written where two of them have one address.
pub(super) async fn take(source: &mut Source, db: &Database, report: &mut Report) -> Result<People, ImportError> {
    let mut rows = Vec::new();
    let mut by_address: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for number in source.row_numbers("user").await? {
        report.table("user").read += 1;
        match source.row("user", number).await?.and_then(|row| Some((row.text("id")?, row))) {
            Some((id, row)) => {
                by_address
                    .entry(normalised_email(&row.text("email").unwrap_or_default()))
                    .or_default()
                    .push(id.clone());
                rows.push((id, row));
            }
            None => report.table("user").skip(Reason::NotReadable, &format!("row {number}")),
        }
    }
    if let Some(ids) = by_address.into_values().find(|ids| ids.len() > 1) {
        return Err(ImportError::SameAddress(ids));
    }
    let mut people = People::new();
    for (id, row) in rows {
        let person = read(source, &id, &row, report).await?;
        let Some(person) = person else {
            people.insert(id, None);
            continue;
        };
        let is_pending = is_pending(&row);
        let has_password = !person.password_hash.is_empty();
        let outcome = db.write(move |connection| Box::pin(write(connection, person))).await?;
        let table = report.table("user");
        let local = match outcome {
            Outcome::Taken(local) => {
                table.taken += 1;
                if is_pending {
                    table.remark(Reason::Pending, &id);
                } else if !has_password {
                    table.remark(Reason::NoPassword, &id);
                }
                Some(local)
            }
            Outcome::Joined(local) => {
                table.taken += 1;
                table.remark(Reason::AccountExists, &id);
                Some(local)
            }
            Outcome::AlreadyThere(local) => {
                table.already_there += 1;
                Some(local)
            }
            Outcome::RemovedHere => {
                table.skip(Reason::RemovedHere, &id);
                None
            }
        };
        if let Some(local) = &local
            && !is_pending
            && let Some(key) = row.text("api_key").filter(|key| !key.is_empty())
        {
            take_key(db, report.table("user.api_key"), &id, local.clone(), &key, None).await?;
        }
        people.insert(id, local);
    }
    take_keys(source, db, report, &people).await?;
    Ok(people)
}

/// Returns true for an account that waits for approval: it has a role, and none of ours.
fn is_pending(user: &SourceRow) -> bool {
    user.text("role").is_some_and(|role| role.parse::<Role>().is_err())
}

async fn read(
    source: &mut Source,
    id: &str,
    row: &SourceRow,
    report: &mut Report,
) -> Result<Option<Person>, ImportError> {
    let Ok(email) = checked_email(&row.text("email").unwrap_or_default()) else {
        report.table("user").skip(Reason::BadAddress, id);
        return Ok(None);
    };
    let role: Option<Role> = row.text("role").and_then(|role| role.parse().ok());
    let auth = source.rows_with("auth", "id", id).await?.into_iter().next();
    let is_active = auth.as_ref().is_some_and(|auth| auth.text("active").is_none_or(|active| active != "0"));
    let password = auth.and_then(|auth| auth.text("password")).filter(|hash| is_checkable(hash));
    let may_sign_in = is_active && role.is_some();
    let name: String = row.text("name").unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    let name: String = name.trim().chars().take(LONGEST_NAME).collect();
    let before_at = || email.split('@').next().unwrap_or_default().chars().take(LONGEST_NAME).collect();
    Ok(Some(Person {
        external_id: id.to_owned(),
        name: if name.is_empty() { before_at() } else { name },
        role: role.unwrap_or(Role::User),
        password_hash: password.filter(|_| may_sign_in).unwrap_or_default(),
        created_at: row.columns.get("created_at").and_then(time::milliseconds).unwrap_or_else(now),
        email,
    }))
}

async fn write(connection: &mut sqlx::SqliteConnection, person: Person) -> Result<Outcome, DatabaseError> {
    let id = person.external_id.as_str();
    if let Some(recorded) = record::find(connection, SOURCE, "user", id).await? {
        let living: Option<String> = sqlx::query_scalar("SELECT id FROM user WHERE id = ? AND deleted_at IS NULL")
            .bind(recorded.local_id)
            .fetch_optional(connection)
            .await?;
        return Ok(living.map_or(Outcome::RemovedHere, |id| Outcome::AlreadyThere(UserId::from(id))));
    }
    let same: Option<String> = sqlx::query_scalar("SELECT id FROM user WHERE email = ? AND deleted_at IS NULL")
        .bind(&person.email)
        .fetch_optional(&mut *connection)
        .await?;
    let outcome = match same {
        Some(id) => Outcome::Joined(UserId::from(id)),
        None => {
            let user = UserId::new();
            sqlx::query(
                "INSERT INTO user (id, name, email, role, password_hash, created_at, updated_at)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(user.as_str())
            .bind(&person.name)
            .bind(&person.email)
            .bind(person.role.as_str())
            .bind(&person.password_hash)
            .bind(person.created_at)
            .bind(now())
            .execute(&mut *connection)
            .await?;
            let event = Event::new(Action::AccountAdded, Actor::server()).of(&user);
            audit::record(connection, event.with("role", person.role.as_str())).await?;
            Outcome::Taken(user)
        }
    };
    if let Outcome::Taken(user) | Outcome::Joined(user) = &outcome {
        let fingerprint = record::fingerprint(id);
        let new = NewRecord {
            source: SOURCE,
            kind: "user",
            external_id: id,
            user: Some(user),
            local_id: Some(user.as_str()),
            fingerprint: &fingerprint,
            changed_at: None,
            original: None,
        };
        record::save(connection, new).await?;
    }
    Ok(outcome)
}

async fn take_keys(
    source: &mut Source,
    db: &Database,
    report: &mut Report,
    people: &People,
) -> Result<(), ImportError> {
    if !source.has("api_key", "key") {
        return Ok(());
    }
    for number in source.row_numbers("api_key").await? {
        let row = source.row("api_key", number).await?;
        let found = row.and_then(|row| Some((row.text("id")?, row.text("user_id")?, row.text("key")?, row)));
        let table = report.table("api_key");
        let Some((id, owner, key, row)) = found else {
            table.read += 1;
            table.skip(Reason::NotReadable, &format!("row {number}"));
            continue;
        };
        let is_pending = source.rows_with("user", "id", &owner).await?.first().is_some_and(is_pending);
        match people.get(&owner) {
            Some(Some(_)) if is_pending => {
                table.read += 1;
                table.skip(Reason::Pending, &id);
            }
            Some(Some(user)) => {
                let expires_at = row.text("expires_at").map(|at| at.parse::<i64>().unwrap_or(0).saturating_mul(1000));
                take_key(db, table, &id, user.clone(), &key, expires_at).await?;
            }
            owner => {
                table.read += 1;
                table.skip(if owner.is_some() { Reason::OwnerNotTaken } else { Reason::OwnerUnknown }, &id);
            }
        }
    }
    Ok(())
}

/// Takes a key by its hash, so that programs go on with it.
async fn take_key(
    db: &Database,
    table: &mut Table,
    id: &str,
    user: UserId,
    key: &str,
    expires_at: Option<i64>,
) -> Result<(), ImportError> {
    table.read += 1;
    if !key.starts_with("sk-") || key.len() < 24 || !key.is_ascii() || expires_at.is_some_and(|at| at <= now()) {
        table.skip(Reason::BadKey, id);
        return Ok(());
    }
    let (hash, hint, external_id) = (TokenHash::new(key), key[key.len() - 4..].to_owned(), id.to_owned());
    let taken = db
        .write(move |connection| {
            Box::pin(async move {
                let recorded = record::find(connection, SOURCE, "api_key", &external_id).await?;
                if recorded.is_some_and(|recorded| recorded.fingerprint == hash.as_bytes()) {
                    return Ok(None);
                }
                let local = Uuid::now_v7().to_string();
                let inserted = sqlx::query(
                    "INSERT INTO api_key (id, user_id, name, key_hash, hint, created_at, scopes, expires_at)
                     VALUES (?, ?, 'Open WebUI', ?, ?, ?, 'chat usage', ?) ON CONFLICT (key_hash) DO NOTHING",
                )
                .bind(&local)
                .bind(user.as_str())
                .bind(hash.as_bytes())
                .bind(&hint)
                .bind(now())
                .bind(expires_at)
                .execute(&mut *connection)
                .await?;
                if inserted.rows_affected() == 0 {
                    return Ok(Some(false));
                }
                let event = Event::new(Action::KeyCreated, Actor::server())
                    .of(&user)
                    .with("key_id", local.as_str())
                    .with("name", "Open WebUI")
                    .with("hint", hint)
                    .with("scopes", vec!["chat", "usage"])
                    .with("expires_at", expires_at.map(|at| at / 1000));
                audit::record(connection, event).await?;
                let new = NewRecord {
                    source: SOURCE,
                    kind: "api_key",
                    external_id: &external_id,
                    user: Some(&user),
                    local_id: Some(&local),
                    fingerprint: hash.as_bytes(),
                    changed_at: None,
                    original: None,
                };
                record::save(connection, new).await?;
                Ok(Some(true))
            })
        })
        .await?;
    match taken {
        None => table.already_there += 1,
        Some(true) => table.taken += 1,
        Some(false) => table.skip(Reason::KeyNotTaken, id),
    }
    Ok(())
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}
