//! Password hashing: argon2id with OWASP's parameters, one at a time, off the runtime's threads.
//! Hashes that were taken over from another program are checked by their own parameters.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use icu_normalizer::ComposingNormalizerBorrowed;
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

/// Fewest characters of a password.
pub const MIN_LENGTH: usize = 8;
/// Most bytes of a password, so that nobody can make the server hash megabytes.
pub const MAX_LENGTH: usize = 1024;

/// Most hashes that wait for people who are known, by a session or a device.
const KNOWN_WAITING: usize = 32;
/// Most hashes that wait for strangers: half a second of work.
const STRANGERS_WAITING: usize = 24;
/// Seconds after which a caller that was refused may try again.
pub(crate) const BUSY_SECONDS: u64 = 2;

/// The password is too short or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("A password has at least {MIN_LENGTH} characters and at most {MAX_LENGTH} bytes.")]
pub struct WeakPassword;

/// As many passwords as may be are waiting to be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Too many people are signing in at this moment. Please try again in {BUSY_SECONDS} seconds.")]
pub struct HasherBusy;

/// A password that was not hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashError {
    /// It is too short or too long.
    Weak(WeakPassword),
    /// Too many others are waiting.
    Busy(HasherBusy),
}

/// Hashes and checks passwords. A hash takes 19 MiB and some 20 ms; one at a time bounds both, and
/// only so many wait. Cloning is cheap; clones wait for each other.
#[derive(Debug, Clone)]
pub struct PasswordHasher {
    queue: Arc<Queue>,
    /// True for callers that nothing is known of, who have places of their own.
    strangers: bool,
}

#[derive(Debug)]
struct Queue {
    running: Arc<Semaphore>,
    known: AtomicUsize,
    strangers: AtomicUsize,
}

/// A place in the queue, free again when it is dropped.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PasswordHasher {
    pub(crate) fn new() -> Self {
        let running = Arc::new(Semaphore::new(1));
        let queue = Queue { running, known: AtomicUsize::new(0), strangers: AtomicUsize::new(0) };
        Self { queue: Arc::new(queue), strangers: false }
    }

    /// Returns the same hasher for callers that nothing is known of.
    pub(crate) fn for_strangers(&self) -> Self {
        Self { strangers: true, ..self.clone() }
    }

    /// The PHC string of a new password.
    pub async fn hash(&self, password: &SecretString) -> Result<String, HashError> {
        let password = normalised(password);
        check(&password).map_err(HashError::Weak)?;
        let hashed = self.run_alone(move || hash(password.expose_secret().as_bytes())).await;
        hashed.map_err(HashError::Busy)?.ok_or(HashError::Busy(HasherBusy))
    }

    /// Returns true when the password matches the hash. Without a hash the same work is done and
    /// the result is false, so that the response time does not reveal which e-mails have accounts.
    pub async fn verify(&self, password: &SecretString, hash: Option<String>) -> Result<bool, HasherBusy> {
        let (password, composed) = (password.clone(), normalised(password));
        self.run_alone(move || {
            let known = hash.is_some();
            let (typed, composed) = (password.expose_secret(), composed.expose_secret());
            let fits = typed.len() <= MAX_LENGTH && composed.len() <= MAX_LENGTH;
            let hash = hash.unwrap_or_else(|| PLACEHOLDER.to_owned());
            let matches = fits
                && (is_password_of(composed.as_bytes(), &hash)
                    // Earlier versions hashed it as it was typed.
                    || (typed != composed && is_password_of(typed.as_bytes(), &hash)));
            matches && known
        })
        .await
    }

    /// Does the work when its turn has come. The permit goes along with the work, which is not
    /// stopped when its caller leaves.
    async fn run_alone<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, HasherBusy> {
        let (waiting, most) = match self.strangers {
            true => (&self.queue.strangers, STRANGERS_WAITING),
            false => (&self.queue.known, KNOWN_WAITING),
        };
        let place = (waiting.fetch_add(1, Ordering::Relaxed) < most, Place(waiting));
        if !place.0 {
            return Err(HasherBusy);
        }
        let permit = Arc::clone(&self.queue.running).acquire_owned().await.map_err(|_| HasherBusy)?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(|_| HasherBusy)
    }
}

/// Returns the password with each letter as one character (NFC), whatever keyboard it comes from.
fn normalised(password: &SecretString) -> SecretString {
    let composed = ComposingNormalizerBorrowed::new_nfc().normalize(password.expose_secret());
    SecretString::from(composed.into_owned())
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

/// Most bytes of a password that bcrypt reads, and that the programs with such hashes compare.
const BCRYPT_LENGTH: usize = 72;
/// Bounds of hashes that are taken over: bcrypt's cost, and argon2's memory in KiB, passes and lanes.
const MOST_WORK: (u32, (u32, u32, u32)) = (14, (256 * 1024, 10, 4));

/// Returns true for a hash of another program that [`PasswordHasher::verify`] can check with
/// bounded work.
pub(crate) fn is_checkable(hash: &str) -> bool {
    if let Some(cost) = bcrypt_cost(hash) {
        return (4..=MOST_WORK.0).contains(&cost);
    }
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    let Ok(params) = Params::try_from(&hash) else { return false };
    let (memory, passes, lanes) = MOST_WORK.1;
    hash.algorithm == Algorithm::Argon2id.ident()
        && hash.salt.is_some()
        && hash.hash.is_some()
        && params.m_cost() <= memory
        && params.t_cost() <= passes
        && params.p_cost() <= lanes
}

/// Returns true for a hash that is not as [`PasswordHasher::hash`] makes it.
pub(super) fn is_foreign(hash: &str) -> bool {
    let own = PasswordHash::new(hash).is_ok_and(|hash| {
        hash.algorithm == Algorithm::Argon2id.ident()
            && Params::try_from(&hash).is_ok_and(|params| {
                (params.m_cost(), params.t_cost(), params.p_cost())
                    == (PARAMS.m_cost(), PARAMS.t_cost(), PARAMS.p_cost())
            })
    });
    !own
}

/// Returns the cost of a bcrypt hash; `None` for other texts.
fn bcrypt_cost(hash: &str) -> Option<u32> {
    let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| hash.strip_prefix(prefix))?;
    let (cost, digest) = rest.split_once('$')?;
    if digest.len() == 53 && cost.len() == 2 { cost.parse().ok() } else { None }
}

/// Returns true when a hash, which holds its own parameters, matches the password.
fn is_password_of(password: &[u8], hash: &str) -> bool {
    // Other programs cut a password by its bytes, in the middle of a letter too.
    let cut = &password[..password.len().min(BCRYPT_LENGTH)];
    if bcrypt_cost(hash).is_some() {
        return is_checkable(hash) && bcrypt::verify(cut, hash).unwrap_or(false);
    }
    matches_argon2(password, hash) || (cut.len() < password.len() && is_foreign(hash) && matches_argon2(cut, hash))
}

fn matches_argon2(password: &[u8], hash: &str) -> bool {
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

    #[test]
    fn bcrypt_of_other_programs_is_checked_by_72_bytes() {
        // Of the reference implementation's test vectors.
        let known = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        assert!(is_password_of(b"U*U", known) && !is_password_of(b"U*V", known));
        // The 72nd byte is in the middle of a letter.
        let long = format!("a{}", "\u{142}".repeat(50));
        let cut = bcrypt::hash_with_salt(&long.as_bytes()[..72], 4, [7; 16]).unwrap();
        let hash = cut.format_for_version(bcrypt::Version::TwoB);
        assert!(is_checkable(&hash) && is_foreign(&hash));
        assert!(is_password_of(long.as_bytes(), &hash));
        assert!(!is_password_of(&long.as_bytes()[..71], &hash));
    }

    #[test]
    fn hashes_with_unbounded_work_are_not_checkable() {
        let digest = "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        let argon2 = |memory: u32| {
            format!(
                "$argon2id$v=19$m={memory},t=3,p=4$c29tZXNhbHRzb21lc2FsdA$ZwJ1kNg0XG8xvmc0qzqmTTmZc0OH5OjkCmRxZCvKiVo"
            )
        };
        assert!(is_checkable(&format!("$2b$12${digest}")) && is_checkable(&argon2(65_536)));
        assert!(is_foreign(&argon2(65_536)) && !is_foreign(&hash(b"correct horse").unwrap()));
        for hash in [format!("$2b$31${digest}"), argon2(4_000_000), String::new(), "plain".to_owned()] {
            assert!(!is_checkable(&hash), "{hash}");
        }
    }

    #[tokio::test]
    async fn placeholder_costs_as_much_and_matches_nothing() {
        let placeholder = PasswordHash::new(PLACEHOLDER).unwrap();
        assert_eq!(Params::try_from(&placeholder).unwrap().block_count(), PARAMS.block_count());
        assert!(placeholder.hash.is_some() && placeholder.salt.is_some());
        let hasher = PasswordHasher::new();
        assert_eq!(hasher.verify(&SecretString::from("correct horse"), None).await, Ok(false));
    }

    #[tokio::test]
    async fn empty_hash_matches_no_password() {
        let verified = PasswordHasher::new().verify(&SecretString::from(""), Some(String::new())).await;
        assert_eq!(verified, Ok(false));
    }

    #[tokio::test]
    async fn password_is_the_same_from_every_keyboard() {
        let hasher = PasswordHasher::new();
        let (composed, decomposed) = ("za\u{17c}\u{f3}\u{142}\u{107}", "zaz\u{307}o\u{301}\u{142}c\u{301}");
        let padded = |text: &str| SecretString::from(format!("{text} 1234"));
        let new = hasher.hash(&padded(decomposed)).await.unwrap();
        // As an earlier version stored it.
        let old = hash(padded(decomposed).expose_secret().as_bytes()).unwrap();
        for (typed, stored, expected) in
            [(composed, &new, true), (decomposed, &new, true), (decomposed, &old, true), ("zazolc", &new, false)]
        {
            assert_eq!(hasher.verify(&padded(typed), Some(stored.clone())).await, Ok(expected), "{typed}");
        }
    }

    #[tokio::test]
    async fn strangers_who_wait_leave_room_for_known_people() {
        let hasher = PasswordHasher::new();
        let strangers = hasher.for_strangers();
        let held = Arc::clone(&hasher.queue.running).acquire_owned().await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..STRANGERS_WAITING {
            let mut verify = Box::pin(strangers.run_alone(|| ()));
            assert!(futures::poll!(&mut verify).is_pending());
            waiting.push(verify);
        }
        assert_eq!(strangers.run_alone(|| ()).await, Err(HasherBusy));
        let mut known = Box::pin(hasher.run_alone(|| ()));
        assert!(futures::poll!(&mut known).is_pending());
        // One who leaves makes room.
        waiting.pop();
        let mut next = Box::pin(strangers.run_alone(|| ()));
        assert!(futures::poll!(&mut next).is_pending());
        drop(held);
        drop(waiting);
        assert_eq!((known.await, next.await), (Ok(()), Ok(())));
    }
}
