//! The token by which a server knows its reconciler.

use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

/// Purpose for which the token is derived.
const PURPOSE: &[u8] = b"mai internal v1";

/// The token with which the reconciler asks a server what it asks nobody else. Both sides derive it
/// from the session key of the instance, so it needs no setting of its own.
#[derive(Clone)]
pub struct InternalToken(hmac::Key);

impl InternalToken {
    /// Derives the token from the session key of an instance; nothing from one that is blank, which no
    /// server uses.
    pub fn from_session_key(key: &SecretString) -> Option<Self> {
        let key = key.expose_secret();
        (!key.trim().is_empty()).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())))
    }

    /// Returns the token as it is sent.
    pub fn text(&self) -> SecretString {
        SecretString::from(hex::encode(hmac::sign(&self.0, PURPOSE)))
    }

    /// Returns whether both are the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.is(other.text().expose_secret())
    }

    /// Returns whether a text is the token. The time it takes does not tell how much of it is right.
    pub fn is(&self, text: &str) -> bool {
        hex::decode(text).is_ok_and(|given| hmac::verify(&self.0, PURPOSE, &given).is_ok())
    }
}

impl std::fmt::Debug for InternalToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InternalToken")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn token_is_known_by_its_session_key_alone() {
        let token = |key: &str| InternalToken::from_session_key(&SecretString::from(key));
        let (own, other) = (token("key").unwrap(), token("key2").unwrap());
        let text = own.text();
        let text = text.expose_secret();
        assert_eq!(text.len(), 64);
        assert!(own.is(text) && own.is(&text.to_uppercase()) && !other.is(text));
        for wrong in ["", "key", &text[..62], &format!("{text}00"), &"0".repeat(64)] {
            assert!(!own.is(wrong), "{wrong}");
        }
        assert!(token("").is_none() && token(" \n").is_none());
        assert!(!format!("{own:?}").contains(text));
    }
}
