//! The id of a user at the upstream.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::user::UserId;

/// Returns the id of a user at the upstream: stable, different at each instance, and not
/// reversible.
pub(super) fn upstream_user(secret: &SecretString, user: &UserId) -> String {
    let mut hash = Sha256::new();
    hash.update(b"mai upstream user v1\0");
    hash.update(secret.expose_secret().as_bytes());
    hash.update(b"\0");
    hash.update(user.as_str().as_bytes());
    format!("mai_user_{}", hex::encode(&hash.finalize()[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_user_is_a_stable_pseudonym() {
        let (secret, other) = (SecretString::from("s"), SecretString::from("t"));
        let id = upstream_user(&secret, &UserId::from("u"));
        assert_eq!(id, upstream_user(&secret, &UserId::from("u")));
        assert_ne!(id, upstream_user(&other, &UserId::from("u")));
        assert_ne!(id, upstream_user(&secret, &UserId::from("v")));
        assert!(id.strip_prefix("mai_user_").is_some_and(|hex| hex.len() == 16));
    }
}
