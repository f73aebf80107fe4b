//! Registration of accounts by their own users.

use std::net::IpAddr;

use secrecy::SecretString;

use super::create::{CreatedBy, InsertIf, NewUser, insert};
use super::error::UserError;
use super::find::{anybody, count};
use crate::auth::PasswordHasher;
use crate::database::Database;
use crate::user::{Role, User};
use crate::{Config, Signup};

/// Registers an account: the first one as admin, and later ones as users when [`Signup::Open`]
/// allows them.
pub async fn register(
    db: &Database,
    passwords: &PasswordHasher,
    config: &Config,
    address: Option<IpAddr>,
    name: &str,
    email: &str,
    password: SecretString,
) -> Result<User, UserError> {
    // Both are checked before anything is hashed, so that a closed or full server does no work for
    // strangers. The statement that inserts checks again.
    let first = !anybody(db).await?;
    let (role, condition) = match (config.signup, first) {
        (Signup::Closed, _) | (Signup::FirstUserOnly, false) => return Err(UserError::RegistrationClosed),
        (Signup::FirstUserOnly | Signup::Open, true) => (Role::Admin, InsertIf::NoUsers),
        (Signup::Open, false) => (Role::User, InsertIf::SeatFree),
    };
    let max_users = config.max_users;
    if count(db).await? >= i64::from(max_users) {
        return Err(UserError::Full(max_users));
    }
    let passwords = &passwords.for_strangers();
    let new = NewUser { name: name.to_owned(), email: email.to_owned(), password, role };
    let by = CreatedBy::Owner(address);
    match insert(db, passwords, max_users, by.clone(), new.clone(), condition).await {
        // A concurrent registration was faster; when registration is open, the slower one is a
        // user.
        Err(UserError::NotFirst) if config.signup == Signup::Open => {
            let new = NewUser { role: Role::User, ..new };
            insert(db, passwords, max_users, by, new, InsertIf::SeatFree).await
        }
        Err(UserError::NotFirst) => Err(UserError::RegistrationClosed),
        result => result,
    }
}
