//! Invitations: an administrator says who may come, and each of them chooses a password.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqliteExecutor};
use uuid::Uuid;

use super::create::{CreatedBy, InsertIf, NewUser, insert};
use super::error::UserError;
use super::link::{self, LinkError};
use super::validate;
use crate::audit::{self, Action, Actor, Event};
use crate::auth::{CurrentUser, PasswordHasher, Token, TokenHash};
use crate::database::{Database, DatabaseError};
use crate::user::{Role, User};

/// Time for which an invitation works.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Somebody to invite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitee {
    /// Their name, which they can change.
    pub name: String,
    /// Their e-mail.
    pub email: String,
    /// Their rights.
    pub role: Role,
}

impl Invitee {
    /// Somebody whose name and e-mail make sense.
    pub fn new(name: &str, email: &str, role: Role) -> Result<Self, UserError> {
        Ok(Self { name: validate::name(name)?, email: validate::email(email)?, role })
    }
}

/// An invitation that nobody has used.
#[derive(Debug, Clone)]
pub struct Invitation {
    /// Its id.
    pub id: String,
    /// The person.
    pub invitee: Invitee,
    /// Time at which it ends.
    pub expires_at: Timestamp,
}

/// An invitation with the token of its link, which is known at this moment alone.
#[derive(Debug, Clone)]
pub struct Invited {
    /// The invitation.
    pub invitation: Invitation,
    /// The token.
    pub token: Token,
}

/// The effect of [`invite`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InviteMode {
    /// Nothing is kept: the outcome alone is of interest.
    Preview,
    /// The invitations count.
    Send,
}

/// Invites people, each for itself: a problem with one of them concerns no other. Invitations take
/// seats, so that everybody who is invited can come.
pub async fn invite(
    db: &Database,
    max_users: u32,
    by: &CurrentUser,
    people: Vec<Invitee>,
    mode: InviteMode,
) -> Result<Vec<Result<Invited, UserError>>, UserError> {
    if !by.is_person() {
        return Err(UserError::PersonOnly);
    }
    let actor = by.actor();
    let invited = db.write(move |connection| {
        Box::pin(async move {
            let now = Timestamp::now();
            sqlx::query("SAVEPOINT invitations").execute(&mut *connection).await?;
            link::remove_old(connection, now).await?;
            let mut outcomes = Vec::with_capacity(people.len());
            for invitee in people {
                outcomes.push(invite_one(connection, max_users, &actor, invitee, now).await?);
            }
            if mode == InviteMode::Preview {
                sqlx::query("ROLLBACK TO invitations").execute(&mut *connection).await?;
            }
            sqlx::query("RELEASE invitations").execute(connection).await?;
            Ok(outcomes)
        })
    });
    Ok(invited.await?)
}

async fn invite_one(
    connection: &mut SqliteConnection,
    max_users: u32,
    actor: &Actor,
    invitee: Invitee,
    now: Timestamp,
) -> Result<Result<Invited, UserError>, DatabaseError> {
    let row = sqlx::query(
        "SELECT EXISTS (SELECT 1 FROM user WHERE email = ?1 AND deleted_at IS NULL) AS is_there,
            EXISTS (SELECT 1 FROM account_link WHERE email = ?1 AND used_at IS NULL AND expires_at > ?2) AS is_invited",
    )
    .bind(&invitee.email)
    .bind(now.as_millisecond())
    .fetch_one(&mut *connection)
    .await?;
    if row.try_get("is_there")? {
        return Ok(Err(UserError::EmailTaken));
    }
    if row.try_get("is_invited")? {
        return Ok(Err(UserError::AlreadyInvited));
    }
    if seats_taken(connection, now).await? >= i64::from(max_users) {
        return Ok(Err(UserError::Full(max_users)));
    }
    // One that has ended makes room for another.
    sqlx::query("DELETE FROM account_link WHERE email = ? AND used_at IS NULL")
        .bind(&invitee.email)
        .execute(&mut *connection)
        .await?;
    let (id, token, expires_at) = (Uuid::now_v7().to_string(), Token::link(), now + LIFETIME);
    sqlx::query(
        "INSERT INTO account_link (id, token_hash, name, email, role, created_by, created_at, expires_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&id)
    .bind(link::bound(&token))
    .bind(&invitee.name)
    .bind(&invitee.email)
    .bind(invitee.role.as_str())
    .bind(actor.user.as_ref().map_or("", |user| user.as_str()))
    .bind(now.as_millisecond())
    .bind(expires_at.as_millisecond())
    .execute(&mut *connection)
    .await?;
    let event = Event::new(Action::Invited, actor.clone());
    audit::record(connection, event.with("email", invitee.email.as_str()).with("role", invitee.role.as_str())).await?;
    Ok(Ok(Invited { invitation: Invitation { id, invitee, expires_at }, token }))
}

/// Returns the number of accounts and of invitations that work.
async fn seats_taken(connection: &mut SqliteConnection, now: Timestamp) -> Result<i64, DatabaseError> {
    let accounts: i64 =
        sqlx::query_scalar("SELECT count(*) FROM user WHERE deleted_at IS NULL").fetch_one(&mut *connection).await?;
    Ok(accounts + count_open(connection, now).await?)
}

/// Returns the invitations that nobody has used, by name; those that have ended as well.
pub async fn invitations(db: &Database) -> Result<Vec<Invitation>, UserError> {
    let rows = sqlx::query(
        "SELECT * FROM account_link WHERE email IS NOT NULL AND used_at IS NULL ORDER BY name COLLATE NOCASE, id",
    )
    .fetch_all(db.reader())
    .await
    .map_err(DatabaseError::from)?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>().map_err(DatabaseError::from)?)
}

fn read(row: &SqliteRow) -> Result<Invitation, sqlx::Error> {
    let expires_at = Timestamp::from_millisecond(row.try_get("expires_at")?).unwrap_or_default();
    let role = Role::from_column(row.try_get("role")?);
    let invitee = Invitee { name: row.try_get("name")?, email: row.try_get("email")?, role };
    Ok(Invitation { id: row.try_get("id")?, invitee, expires_at })
}

/// Gives an invitation another link, which works for as long again; the former one does not any more. One
/// that has ended needs a free seat.
pub async fn renew(db: &Database, max_users: u32, by: &CurrentUser, id: &str) -> Result<Invited, UserError> {
    if !by.is_person() {
        return Err(UserError::PersonOnly);
    }
    let (id, token, now) = (id.to_owned(), Token::link(), Timestamp::now());
    let (hash, event) = (link::bound(&token), Event::new(Action::InvitationRenewed, by.actor()));
    let renewed = db.write(move |connection| {
        Box::pin(async move {
            let is_full = seats_taken(connection, now).await? >= i64::from(max_users);
            let ended = "SELECT EXISTS (SELECT 1 FROM account_link WHERE id = ? AND email IS NOT NULL
                AND used_at IS NULL AND expires_at <= ?)";
            let ended = sqlx::query_scalar::<_, bool>(ended).bind(&id).bind(now.as_millisecond());
            if is_full && ended.fetch_one(&mut *connection).await? {
                return Ok(Err(UserError::Full(max_users)));
            }
            let row = sqlx::query(
                "UPDATE account_link SET token_hash = ?2, expires_at = ?3
                 WHERE id = ?1 AND email IS NOT NULL AND used_at IS NULL RETURNING *",
            )
            .bind(id)
            .bind(hash)
            .bind((now + LIFETIME).as_millisecond())
            .fetch_optional(&mut *connection)
            .await?;
            let invitation = row.as_ref().map(read).transpose()?;
            if let Some(Invitation { invitee, .. }) = &invitation {
                audit::record(connection, event.with("email", invitee.email.as_str())).await?;
            }
            Ok(invitation.ok_or(UserError::NotFound))
        })
    });
    let invitation = renewed.await??;
    Ok(Invited { invitation, token })
}

/// Withdraws an invitation.
pub async fn withdraw(db: &Database, by: &CurrentUser, id: &str) -> Result<(), UserError> {
    if !by.is_person() {
        return Err(UserError::PersonOnly);
    }
    let (id, event) = (id.to_owned(), Event::new(Action::InvitationWithdrawn, by.actor()));
    let withdrawn = db.write(move |connection| {
        Box::pin(async move {
            let email: Option<String> = sqlx::query_scalar(
                "DELETE FROM account_link WHERE id = ? AND email IS NOT NULL AND used_at IS NULL RETURNING email",
            )
            .bind(id)
            .fetch_optional(&mut *connection)
            .await?;
            if let Some(email) = &email {
                audit::record(connection, event.with("email", email.as_str())).await?;
            }
            Ok(email.is_some())
        })
    });
    if withdrawn.await? { Ok(()) } else { Err(UserError::NotFound) }
}

/// Returns the person whom a link invites.
pub async fn invitee(db: &Database, token: &str) -> Result<Invitee, UserError> {
    let row = link::find(db, token).await??;
    // The link of a reset invites nobody.
    let is_invitation = row.try_get::<Option<String>, _>("email").map_err(DatabaseError::from)?.is_some();
    if !is_invitation {
        return Err(LinkError::Unknown.into());
    }
    Ok(read(&row).map_err(DatabaseError::from)?.invitee)
}

/// Makes the account of somebody who was invited.
pub async fn accept(
    db: &Database,
    passwords: &PasswordHasher,
    max_users: u32,
    token: &str,
    name: &str,
    password: SecretString,
    address: Option<IpAddr>,
) -> Result<User, UserError> {
    let Invitee { email, role, .. } = invitee(db, token).await?;
    let new = NewUser { name: name.to_owned(), email, password, role };
    let condition = InsertIf::Invited(TokenHash::new(token));
    match insert(db, &passwords.for_strangers(), max_users, CreatedBy::Owner(address), new, condition).await {
        // The link may have been used while the password was hashed.
        Err(UserError::Full(most)) => Err(invitee(db, token).await.err().unwrap_or(UserError::Full(most))),
        outcome => outcome,
    }
}

/// Returns the number of invitations that take a seat.
pub async fn count_invited(db: &Database) -> Result<i64, DatabaseError> {
    Ok(count_open(db.reader(), Timestamp::now()).await?)
}

async fn count_open(executor: impl SqliteExecutor<'_>, now: Timestamp) -> Result<i64, sqlx::Error> {
    let open = "SELECT count(*) FROM account_link WHERE email IS NOT NULL AND used_at IS NULL AND expires_at > ?";
    sqlx::query_scalar(open).bind(now.as_millisecond()).fetch_one(executor).await
}
