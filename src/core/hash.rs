//! Hash of a list of texts.

use sha2::{Digest, Sha256};

/// Returns the SHA-256, in hex, of texts with their lengths, so that no two lists share a preimage.
pub fn hash_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hex::encode(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::hash_texts;

    #[test]
    fn hash_tells_lists_with_the_same_letters_apart() {
        assert_ne!(hash_texts(["ab", "c"]), hash_texts(["a", "bc"]));
        assert_ne!(hash_texts(["a", ""]), hash_texts(["a"]));
        assert_eq!(hash_texts(["a", "b"]), hash_texts(["a", "b"]));
        assert_eq!(hash_texts([]).len(), 64);
    }
}
