//! An account in a copy of the data, with which a program tries whether a server works on it.

use std::path::PathBuf;

use mai_contract::files::DATABASE;
use rand::RngCore;
use secrecy::SecretString;

use super::audit::Actor;
use super::auth::PasswordHasher;
use super::database::{Database, DatabaseError};
use super::offline_data::OfflineData;
use super::users::{self, NewUser, Role, UserError};

/// Bytes of randomness in its e-mail, and in its password.
const RANDOM: (usize, usize) = (8, 32);

/// An administrator that was added to a copy of the data.
#[derive(Debug)]
pub struct ProbeAccount {
    /// Its e-mail, below a name that no host has.
    pub email: String,
    /// Its password.
    pub password: SecretString,
    /// Number of accounts beside it.
    pub people: u64,
}

/// Failure to add an account.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// There is no database: a server would begin anew.
    #[error("there is no {} in it, so a server would begin without people and chats", .0.display())]
    NoDatabase(PathBuf),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The account was refused.
    #[error("an account for the drill could not be added: {0}")]
    Account(#[from] UserError),
}

impl OfflineData {
    /// Brings the database up to date, as a start does, removes the settings of the pages, so that
    /// a server calls no upstream, and adds an administrator with a random password.
    ///
    /// Only for a copy that is thrown away: whoever knows the password may do everything.
    pub async fn add_probe_account(&self) -> Result<ProbeAccount, ProbeError> {
        let file = self.database();
        if !file.symlink_metadata().is_ok_and(|file| file.is_file()) {
            return Err(ProbeError::NoDatabase(DATABASE.into()));
        }
        let db = Database::open(&file).await?;
        let added = add(&db).await;
        db.close().await;
        added
    }
}

async fn add(db: &Database) -> Result<ProbeAccount, ProbeError> {
    db.write(|connection| {
        Box::pin(async move {
            sqlx::query("DELETE FROM setting").execute(connection).await?;
            Ok(())
        })
    })
    .await?;
    let people = users::count(db).await?;
    let email = format!("{}@drill.invalid", random(RANDOM.0));
    let password = SecretString::from(random(RANDOM.1));
    let new = NewUser { name: "Drill".to_owned(), email: email.clone(), password: password.clone(), role: Role::Admin };
    users::create(db, &PasswordHasher::new(), u32::MAX, Actor::server(), new).await?;
    Ok(ProbeAccount { email, password, people: u64::try_from(people).unwrap_or(0) })
}

fn random(bytes: usize) -> String {
    let mut random = vec![0; bytes];
    rand::rng().fill_bytes(&mut random);
    hex::encode(random)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{App, Config};

    #[tokio::test]
    async fn probe_account_is_added_to_a_full_copy_without_settings() {
        let directory = tempfile::tempdir().unwrap();
        let config = || Config { max_users: 1, ..Config::for_directory(directory.path()) };
        let app = App::start(config()).await.unwrap();
        users::register(&app.db, &app.passwords, &app.config, None, "Ann", "ann@example.com", "correct horse".into())
            .await
            .unwrap();
        app.db
            .write(|connection| {
                Box::pin(async move {
                    sqlx::query("INSERT INTO setting VALUES ('connection', '{}')").execute(connection).await?;
                    Ok(())
                })
            })
            .await
            .unwrap();
        app.close().await;

        let data = OfflineData::lock(directory.path()).unwrap();
        let probe = data.add_probe_account().await.unwrap();
        assert_eq!(probe.people, 1);
        drop(data);
        let app = App::start(config()).await.unwrap();
        let settings: i64 = sqlx::query_scalar("SELECT count(*) FROM setting WHERE key = 'connection'")
            .fetch_one(app.db.reader())
            .await
            .unwrap();
        assert_eq!((users::count(&app.db).await.unwrap(), settings), (2, 0));
        app.close().await;
    }

    #[tokio::test]
    async fn data_without_a_database_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let data = OfflineData::lock(directory.path()).unwrap();
        let error = data.add_probe_account().await.unwrap_err().to_string();
        assert!(error.contains("no mai.db in it"), "{error}");
        assert!(!directory.path().join(DATABASE).exists());
    }
}
