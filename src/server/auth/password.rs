//! Passwords: argon2id with the parameters OWASP names, one at a time, off the runtime's thread.

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version, password_hash::phc::PasswordHash,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

/// Fewest characters of a password.
pub const MIN_LENGTH: usize = 8;
/// Most bytes of a password; more would only be a way to make the server hash megabytes.
pub const MAX_LENGTH: usize = 1024;

/// The password is too short or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("A password has at least {MIN_LENGTH} characters and at most {MAX_LENGTH} bytes.")]
pub struct WeakPassword;

/// Hashes and checks passwords. A hash takes 19 MiB and some 20 ms, so one at a time is both enough and a bound.
#[derive(Debug)]
pub struct PasswordHasher {
    turn: Semaphore,
}

impl PasswordHasher {
    pub(in crate::server) fn new() -> Self {
        Self { turn: Semaphore::new(1) }
    }

    /// The PHC string of a new password.
    pub async fn hash(&self, password: &SecretString) -> Result<String, WeakPassword> {
        check(password)?;
        let password = password.clone();
        self.in_turn(move || argon2().hash_password(password.expose_secret().as_bytes()).map(|hash| hash.to_string()))
            .await
            .and_then(Result::ok)
            .ok_or(WeakPassword)
    }

    /// Whether the password is the one hashed. Without a hash the same work is done and the answer is no, so that the
    /// time an answer takes doesn't tell which e-mails have accounts.
    pub async fn verify(&self, password: &SecretString, hash: Option<String>) -> bool {
        let password = password.clone();
        self.in_turn(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| PLACEHOLDER.to_owned());
            let fits = password.expose_secret().len() <= MAX_LENGTH;
            fits && PasswordHash::new(&hash)
                .is_ok_and(|hash| argon2().verify_password(password.expose_secret().as_bytes(), &hash).is_ok())
                && known
        })
        .await
        .unwrap_or(false)
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let _turn = self.turn.acquire().await.ok()?;
        tokio::task::spawn_blocking(work).await.ok()
    }
}

/// The hash of a random password nobody knows, with the same parameters as real ones.
const PLACEHOLDER: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$ZwJ1kNg0XG8xvmc0qzqmTTmZc0OH5OjkCmRxZCvKiVo";

fn check(password: &SecretString) -> Result<(), WeakPassword> {
    let text = password.expose_secret();
    if text.chars().count() < MIN_LENGTH || text.len() > MAX_LENGTH { Err(WeakPassword) } else { Ok(()) }
}

/// m = 19 MiB, t = 2, p = 1 (OWASP Password Storage Cheat Sheet), which are also the crate's defaults.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}
