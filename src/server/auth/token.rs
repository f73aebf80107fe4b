//! Random tokens: 256 bits, shown to their owner once, stored as a hash.

use std::fmt;

use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// A new token in clear.
#[derive(Debug, Clone)]
pub struct Token(SecretString);

impl Token {
    /// A session token: 64 hex digits.
    pub(super) fn session() -> Self {
        Self(SecretString::from(random()))
    }

    /// The token of a one-time link: 64 hex digits.
    pub(crate) fn link() -> Self {
        Self(SecretString::from(random()))
    }

    /// An API key: `sk-` and 64 hex digits.
    pub(super) fn api_key() -> Self {
        Self(SecretString::from(format!("{API_KEY_PREFIX}{}", random())))
    }

    /// The token in clear.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The hash that is stored instead of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::new(self.expose())
    }
}

/// The prefix of API keys, as in the OpenAI API.
pub(super) const API_KEY_PREFIX: &str = "sk-";

fn random() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

/// The SHA-256 of a token. Salt or stretching would add nothing to 256 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token in clear.
    pub fn new(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Returns the first digits, to tell sessions apart. They open nothing.
    pub fn short_id(&self) -> String {
        hex::encode(&self.0[..4])
    }

    /// The 32 bytes, as the database keeps them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}
