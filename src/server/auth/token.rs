//! Random tokens: 256 bits, shown to their owner once, kept as a hash.

use std::fmt;

use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// A fresh token in clear, on its way to its owner.
#[derive(Debug, Clone)]
pub struct Token(SecretString);

impl Token {
    /// A session token: 64 hex digits.
    pub(super) fn session() -> Self {
        Self(SecretString::from(random()))
    }

    /// An API key: `sk-` and 64 hex digits.
    pub(super) fn api_key() -> Self {
        Self(SecretString::from(format!("{API_KEY_PREFIX}{}", random())))
    }

    /// The token itself, to hand it over.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is stored instead of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.expose())
    }
}

/// What API keys begin with, in the habit of the OpenAI API.
pub(super) const API_KEY_PREFIX: &str = "sk-";

fn random() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

/// The SHA-256 of a token. Enough for 256 random bits: there is nothing to guess that salt or stretching would protect.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token in clear.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
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
