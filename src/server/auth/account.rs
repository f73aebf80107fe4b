//! Registering an account and changing its password.

use jiff::Timestamp;
use secrecy::SecretString;
use sqlx::Row;

use super::{AuthError, Credential, CurrentUser, SignedIn, sessions, sign_in};
use crate::{
    App, Signup,
    users::{self, NewUser, Role, UserError, When},
};

/// Registers whoever comes and signs them in: the first person as admin, and later ones as users when
/// [`Signup::Open`] lets them.
pub async fn register(app: &App, name: &str, email: &str, password: SecretString) -> Result<SignedIn, AuthError> {
    // Both asked before anything is hashed, so that a closed or full server does no work for strangers. The statement
    // that inserts asks again.
    let somebody = users::anybody(&app.db).await?;
    let (role, when) = match (app.config.signup, somebody) {
        (Signup::Closed, _) | (Signup::FirstUserOnly, true) => return Err(AuthError::RegistrationClosed),
        (Signup::FirstUserOnly | Signup::Open, false) => (Role::Admin, When::Nobody),
        (Signup::Open, true) => (Role::User, When::Room),
    };
    let most = app.config.max_users;
    if users::count(&app.db).await? >= i64::from(most) {
        return Err(UserError::Full(most).into());
    }
    let new = NewUser { name: name.to_owned(), email: email.to_owned(), password, role };
    match users::insert(app, new.clone(), when).await {
        Ok(user) => sign_in::start_session(app, user.id, None).await,
        // Somebody was faster; when registration is open, the slower one is a user.
        Err(UserError::NotFirst) if app.config.signup == Signup::Open => {
            let user = users::insert(app, NewUser { role: Role::User, ..new }, When::Room).await?;
            sign_in::start_session(app, user.id, None).await
        }
        Err(UserError::NotFirst) => Err(AuthError::RegistrationClosed),
        Err(error) => Err(error.into()),
    }
}

/// Changes the caller's password and ends all their other sessions. API keys are their own credentials and stay.
pub async fn change_password(
    app: &App,
    user: &CurrentUser,
    current: SecretString,
    new: SecretString,
) -> Result<(), AuthError> {
    app.throttle.count(&user.email, None)?;
    let old = sqlx::query("SELECT password_hash FROM user WHERE id = ? AND deleted_at IS NULL")
        .bind(user.id.as_str())
        .fetch_optional(app.db.reader())
        .await
        .and_then(|row| row.map(|row| row.try_get::<String, _>("password_hash")).transpose())
        .map_err(crate::database::DatabaseError::from)?;
    if !app.passwords.verify(&current, old.clone()).await {
        return Err(AuthError::WrongPassword);
    }
    let hash = app.passwords.hash(&new).await.map_err(UserError::from)?;
    let keep = match user.credential {
        Credential::Session(token) => Some(token),
        Credential::ApiKey => None,
    };
    let id = user.id.clone();
    let changed = app
        .db
        .write(move |connection| {
            Box::pin(async move {
                let changed = sqlx::query(
                    "UPDATE user SET password_hash = ?, updated_at = ?
                     WHERE id = ? AND password_hash = ? AND deleted_at IS NULL",
                )
                .bind(hash)
                .bind(Timestamp::now().as_millisecond())
                .bind(id.as_str())
                .bind(old)
                .execute(&mut *connection)
                .await?
                .rows_affected();
                sessions::end_sessions_of(connection, &id, keep).await?;
                Ok(changed == 1)
            })
        })
        .await?;
    app.sessions.forget_user(&user.id);
    if changed { Ok(()) } else { Err(AuthError::WrongPassword) }
}
