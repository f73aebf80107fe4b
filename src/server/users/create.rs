//! Adding people.

use jiff::Timestamp;
use secrecy::SecretString;

use super::{Role, User, UserError, UserId, user};
use crate::{App, ServeError};

/// Somebody to add.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Their name.
    pub name: String,
    /// Their e-mail.
    pub email: String,
    /// Their first password.
    pub password: SecretString,
    /// What they may do.
    pub role: Role,
}

/// What has to be true in the very moment somebody is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// There has never been anybody.
    Nobody,
    /// There is room for one more.
    Room,
}

/// Adds somebody while there is room.
pub async fn create(app: &App, new: NewUser) -> Result<User, UserError> {
    insert(app, new, When::Room).await
}

/// Adds somebody by one statement that asks its question and inserts at once, so that of many at the same time exactly
/// as many get in as may.
pub(crate) async fn insert(app: &App, new: NewUser, when: When) -> Result<User, UserError> {
    let now = Timestamp::now();
    let user = User {
        id: UserId::fresh(),
        name: user::checked_name(&new.name)?,
        email: user::checked_email(&new.email)?,
        role: new.role,
        locale: None,
        created_at: now,
        updated_at: now,
        last_active_at: None,
        deleted_at: None,
    };
    let hash = app.passwords.hash(&new.password).await?;
    let statement = match when {
        When::Nobody => {
            "INSERT INTO user (id, name, email, role, password_hash, created_at, updated_at)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6 WHERE NOT EXISTS (SELECT 1 FROM user) AND ?7 > 0"
        }
        When::Room => {
            "INSERT INTO user (id, name, email, role, password_hash, created_at, updated_at)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6 WHERE (SELECT count(*) FROM user WHERE deleted_at IS NULL) < ?7"
        }
    };
    let (row, most) = (user.clone(), app.config.max_users);
    let inserted = app
        .db
        .write(move |connection| {
            Box::pin(async move {
                let done = sqlx::query(statement)
                    .bind(row.id.as_str())
                    .bind(row.name)
                    .bind(row.email)
                    .bind(row.role.as_str())
                    .bind(hash)
                    .bind(row.created_at.as_millisecond())
                    .bind(most)
                    .execute(connection)
                    .await?;
                Ok(done.rows_affected() == 1)
            })
        })
        .await;
    match inserted {
        Ok(true) => Ok(user),
        Ok(false) if when == When::Nobody => Err(UserError::NotFirst),
        Ok(false) => Err(UserError::Full(most)),
        Err(error) if error.is_unique_violation() => Err(UserError::EmailTaken),
        Err(error) => Err(error.into()),
    }
}

/// Makes the admin that the environment declares, while there is nobody.
pub(crate) async fn create_declared_admin(app: &App) -> Result<(), ServeError> {
    let (Some(email), Some(password)) = (&app.config.admin_email, &app.config.admin_password) else {
        return Ok(());
    };
    if super::anybody(&app.db).await? {
        return Ok(());
    }
    let admin = NewUser {
        name: app.config.admin_name.clone(),
        email: email.clone(),
        password: password.clone(),
        role: Role::Admin,
    };
    match insert(app, admin, When::Nobody).await {
        Ok(user) => {
            tracing::info!(email = %user.email, "the declared admin was made");
            Ok(())
        }
        Err(UserError::NotFirst) => Ok(()),
        Err(UserError::Database(error)) => Err(error.into()),
        Err(error) => Err(ServeError::Configuration(format!(
            "the admin declared by WEBUI_ADMIN_EMAIL, WEBUI_ADMIN_PASSWORD and WEBUI_ADMIN_NAME can't be made: {error}"
        ))),
    }
}
