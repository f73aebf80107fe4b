//! Removal of users: access ends at once, their usage stays.

use jiff::Timestamp;

use super::error::UserError;
use super::link;
use crate::audit::{self, Action, Event};
use crate::auth::{CurrentUser, Sessions};
use crate::database::Database;
use crate::user::{Role, UserId, find};

/// Removes a user on behalf of the admin `by`. Sessions and keys end at once; the name stays for
/// the usage it caused. Only a person removes another admin: a leaked key must not leave its owner
/// as the last one.
pub async fn remove(db: &Database, sessions: &Sessions, by: &CurrentUser, id: &UserId) -> Result<(), UserError> {
    if by.id == *id {
        return Err(UserError::Yourself);
    }
    let (owner, by_person, actor) = (id.clone(), by.is_person(), by.actor());
    let outcome = db
        .write(move |connection| {
            Box::pin(async move {
                let Some(user) = find(connection, &owner).await? else { return Ok(Err(UserError::NotFound)) };
                if user.role == Role::Admin && !by_person {
                    return Ok(Err(UserError::PersonOnly));
                }
                let now = Timestamp::now().as_millisecond();
                let removed = sqlx::query(
                    "UPDATE user SET deleted_at = ?2, updated_at = ?2, password_hash = ''
                     WHERE id = ?1 AND deleted_at IS NULL AND (role <> 'admin'
                        OR (SELECT count(*) FROM user WHERE role = 'admin' AND deleted_at IS NULL) > 1)",
                )
                .bind(owner.as_str())
                .bind(now)
                .execute(&mut *connection)
                .await?;
                if removed.rows_affected() == 0 {
                    return Ok(Err(UserError::LastAdmin));
                }
                audit::record(connection, Event::new(Action::AccountRemoved, actor).of(&owner)).await?;
                link::end_those_of(connection, &owner).await?;
                for statement in ["DELETE FROM session WHERE user_id = ?", "DELETE FROM api_key WHERE user_id = ?"] {
                    sqlx::query(statement).bind(owner.as_str()).execute(&mut *connection).await?;
                }
                Ok(Ok(()))
            })
        })
        .await?;
    sessions.forget_user(id);
    outcome
}
