//! Seals the upstream key with the secret of the instance, so that a copy of the database alone
//! reveals nothing.

use rand::RngCore;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// The key can't be opened with this secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the saved upstream key was sealed with another WEBUI_SECRET_KEY")]
pub(super) struct SealBroken;

/// Seals `text`, bound to `context`: in another row or with another URL it does not
/// open.
pub(super) fn seal(secret: &SecretString, context: &str, text: &str) -> Result<String, SealBroken> {
    let mut nonce = [0; 12];
    rand::rng().fill_bytes(&mut nonce);
    let mut sealed = text.as_bytes().to_vec();
    key(secret)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut sealed)
        .map_err(|_| SealBroken)?;
    Ok(hex::encode([&nonce[..], &sealed].concat()))
}

/// Opens what [`seal`] sealed.
pub(super) fn open(secret: &SecretString, context: &str, sealed: &str) -> Result<SecretString, SealBroken> {
    let mut bytes = hex::decode(sealed).map_err(|_| SealBroken)?;
    let (nonce, text) = bytes.split_at_mut_checked(12).ok_or(SealBroken)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealBroken)?;
    let text = key(secret)?.open_in_place(nonce, Aad::from(context), text).map_err(|_| SealBroken)?;
    std::str::from_utf8(text).map(SecretString::from).map_err(|_| SealBroken)
}

/// The secret can be any text, so it is hashed to a key of the right length, apart from its other
/// uses.
fn key(secret: &SecretString) -> Result<LessSafeKey, SealBroken> {
    let mut hash = Sha256::new();
    hash.update(b"mai upstream key v1\0");
    hash.update(secret.expose_secret().as_bytes());
    UnboundKey::new(&AES_256_GCM, &hash.finalize()).map(LessSafeKey::new).map_err(|_| SealBroken)
}

/// Returns the id of a connection: the same for the same base URL and key, and of no use to whoever
/// has a copy of the database.
pub(super) fn connection_id(secret: &SecretString, base_url: &str, key: Option<&SecretString>) -> String {
    let mut hash = Sha256::new();
    hash.update(b"mai connection id v1\0");
    for part in [secret.expose_secret(), base_url, key.map_or("", |key| key.expose_secret())] {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sealed_key_opens_with_its_secret_and_context() {
        let secret = SecretString::from("the secret");
        let sealed = seal(&secret, "https://a", "sk-or-v1-1234").unwrap();
        assert!(!sealed.contains(&hex::encode("sk-or")));
        assert_eq!(open(&secret, "https://a", &sealed).unwrap().expose_secret(), "sk-or-v1-1234");
        assert!(open(&SecretString::from("another"), "https://a", &sealed).is_err());
        assert!(open(&secret, "https://b", &sealed).is_err());
        assert!(open(&secret, "https://a", "00").is_err());
    }

    #[test]
    fn connection_id_follows_secret_address_and_key() {
        let secret = |text: &str| SecretString::from(text);
        let id = |salt: &str, base_url: &str, key: &str| connection_id(&secret(salt), base_url, Some(&secret(key)));
        let own = id("s", "https://a", "k");
        assert_eq!(own, id("s", "https://a", "k"));
        for other in [id("t", "https://a", "k"), id("s", "https://b", "k"), id("s", "https://a", "l")] {
            assert_ne!(own, other);
        }
        assert_ne!(id("s", "https://a", "bk"), id("s", "https://ab", "k"));
        assert_eq!(connection_id(&secret("s"), "https://a", None), id("s", "https://a", ""));
    }

    #[test]
    fn sealing_twice_gives_different_texts() {
        let secret = SecretString::from("the secret");
        assert_ne!(seal(&secret, "x", "same").unwrap(), seal(&secret, "x", "same").unwrap());
    }
}
