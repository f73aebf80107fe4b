//! Password hashing: argon2id with OWASP's parameters, one at a time, off the runtime's threads.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

/// Fewest characters of a password.
pub const MIN_LENGTH: usize = 8;
/// Most bytes of a password, so that nobody can make the server hash megabytes.
pub const MAX_LENGTH: usize = 1024;

/// The password is too short or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("A password has at least {MIN_LENGTH} characters and at most {MAX_LENGTH} bytes.")]
pub struct WeakPassword;

/// Hashes and checks passwords. A hash takes 19 MiB and some 20 ms; one at a time bounds both.
/// Cloning is cheap; clones wait for each other.
#[derive(Debug, Clone)]
pub struct PasswordHasher {
    permits: Arc<Semaphore>,
}

impl PasswordHasher {
    pub(crate) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(1)) }
    }

    /// The PHC string of a new password.
    pub async fn hash(&self, password: &SecretString) -> Result<String, WeakPassword> {
        check(password)?;
        let password = password.clone();
        self.run_alone(move || hash(password.expose_secret().as_bytes())).await.flatten().ok_or(WeakPassword)
    }

    /// Returns true when the password matches the hash. Without a hash the same work is done and
    /// the result is false, so that the response time does not reveal which e-mails have accounts.
    pub async fn verify(&self, password: &SecretString, hash: Option<String>) -> bool {
        let password = password.clone();
        self.run_alone(move || {
            let known = hash.is_some();
            let fits = password.expose_secret().len() <= MAX_LENGTH;
            let hash = hash.unwrap_or_else(|| PLACEHOLDER.to_owned());
            fits && is_password_of(password.expose_secret().as_bytes(), &hash) && known
        })
        .await
        .unwrap_or(false)
    }

    async fn run_alone<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let _permit = self.permits.acquire().await.ok()?;
        tokio::task::spawn_blocking(work).await.ok()
    }
}

/// The hash of a random, unknown password, with the same parameters as real ones.
const PLACEHOLDER: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$ZwJ1kNg0XG8xvmc0qzqmTTmZc0OH5OjkCmRxZCvKiVo";

fn check(password: &SecretString) -> Result<(), WeakPassword> {
    let text = password.expose_secret();
    if text.chars().count() < MIN_LENGTH || text.len() > MAX_LENGTH { Err(WeakPassword) } else { Ok(()) }
}

/// m = 19 MiB, t = 2, p = 1 (OWASP Password Storage Cheat Sheet), which are also the crate's
/// defaults.
const PARAMS: Params = Params::DEFAULT;

/// The PHC string of a password with a fresh salt.
fn hash(password: &[u8]) -> Option<String> {
    let mut salt = [0; 16];
    rand::rng().fill_bytes(&mut salt);
    let output = digest(PARAMS, Version::V0x13, password, &salt)?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&PARAMS).ok()?,
        salt: Some(Salt::new(&salt).ok()?),
        hash: Some(output),
    };
    Some(hash.to_string())
}

/// Returns true when a PHC string, which holds its own parameters, matches the password.
fn is_password_of(password: &[u8], hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    let (Some(salt), Some(expected), Ok(params)) = (&hash.salt, &hash.hash, Params::try_from(&hash)) else {
        return false;
    };
    let version = hash.version.map_or(Ok(Version::V0x13), Version::try_from);
    let (true, Ok(version)) = (hash.algorithm == Algorithm::Argon2id.ident(), version) else { return false };
    // `Output` compares in constant time.
    digest(params, version, password, salt).is_some_and(|output| output == *expected)
}

/// Hashes in a buffer of more than 32 MiB, of which only the needed part is touched. glibc returns
/// a buffer of that size to the system when it is freed; the crate's own 19 MiB it would keep once
/// for each thread that ever hashed, and an idle server would stay at a hundred megabytes.
fn digest(params: Params, version: Version, password: &[u8], salt: &[u8]) -> Option<Output> {
    const RETURNED_WHEN_FREED: usize = 33 * 1024 * 1024 / Block::SIZE;
    let mut memory = Vec::with_capacity(params.block_count().max(RETURNED_WHEN_FREED));
    memory.resize(params.block_count(), Block::new());
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let mut output = vec![0; length];
    Argon2::new(Algorithm::Argon2id, version, params)
        .hash_password_into_with_memory(password, salt, &mut output, &mut memory)
        .ok()?;
    Output::new(&output).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use argon2::PasswordVerifier as _;

    use super::*;

    #[test]
    fn hash_is_standard_argon2id() {
        let hash = hash(b"correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(Argon2::default().verify_password(b"correct horse", hash.as_str()).is_ok());
        assert!(is_password_of(b"correct horse", &hash) && !is_password_of(b"wrong horse", &hash));
        // Made by the reference implementation's test suite with other parameters.
        let reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(is_password_of(b"password", reference) && !is_password_of(b"passwore", reference));
    }

    #[tokio::test]
    async fn placeholder_costs_as_much_and_matches_nothing() {
        let placeholder = PasswordHash::new(PLACEHOLDER).unwrap();
        assert_eq!(Params::try_from(&placeholder).unwrap().block_count(), PARAMS.block_count());
        assert!(placeholder.hash.is_some() && placeholder.salt.is_some());
        let hasher = PasswordHasher::new();
        assert!(!hasher.verify(&SecretString::from("correct horse"), None).await);
    }

    #[tokio::test]
    async fn empty_hash_matches_no_password() {
        assert!(!PasswordHasher::new().verify(&SecretString::from(""), Some(String::new())).await);
    }
}
