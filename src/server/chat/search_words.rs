//! The words of a text as the search compares them, and the query that finds them.

use std::collections::HashSet;

use icu_normalizer::DecomposingNormalizerBorrowed;

use super::error::ChatError;
use crate::user::UserId;

/// Most characters of a search.
pub const SEARCH_LENGTH: usize = 200;
/// Most words of a search.
pub const SEARCH_WORDS: usize = 16;
/// Letters of a word that are compared; what follows them is left out on both sides.
const WORD_LENGTH: usize = 64;
/// Begins the word that names the owner of an entry. No word of a text has it, as it is no letter.
const OWNER_MARK: char = '\u{e000}';

/// Returns what the index gets of a text: its owner and each of its words once.
pub(super) fn indexed(text: &str, owner: &UserId) -> String {
    let mut seen = HashSet::new();
    let mut words = owner_word(owner);
    for_each_word(text, |word| {
        if !seen.contains(word) {
            words.push(' ');
            words.push_str(word);
            seen.insert(word.to_owned());
        }
    });
    words
}

/// Returns the expression that finds the owner's entries with all words of a search, the last of
/// which may be only begun; `None` when it has no word.
pub(super) fn query(text: &str, owner: &UserId) -> Result<Option<String>, ChatError> {
    let too_long = ChatError::BadSearch { characters: SEARCH_LENGTH, words: SEARCH_WORDS };
    if text.chars().nth(SEARCH_LENGTH).is_some() {
        return Err(too_long);
    }
    let mut words = Vec::new();
    for_each_word(text, |word| words.push(word.to_owned()));
    if words.len() > SEARCH_WORDS {
        return Err(too_long);
    }
    if words.is_empty() {
        return Ok(None);
    }
    // Words are letters and digits alone, so that nothing in the quotes has a meaning.
    Ok(Some(format!("\"{}\" AND \"{}\" *", owner_word(owner), words.join("\" AND \""))))
}

fn owner_word(owner: &UserId) -> String {
    let mut word = String::from(OWNER_MARK);
    word.extend(owner.as_str().chars().filter(char::is_ascii_alphanumeric));
    word
}

/// Calls `each` with the words of a text in their order, in small letters without accents.
fn for_each_word(text: &str, mut each: impl FnMut(&str)) {
    let (mut word, mut letters) = (String::new(), 0);
    for letter in DecomposingNormalizerBorrowed::new_nfkd().normalize_iter(text.chars()) {
        if is_accent(letter) {
            continue;
        }
        if !letter.is_alphanumeric() {
            if letters > 0 {
                each(&word);
                word.clear();
                letters = 0;
            }
        } else if letters < WORD_LENGTH {
            letters += 1;
            letter
                .to_lowercase()
                .filter(|letter| !is_accent(*letter))
                .for_each(|letter| push_folded(letter, &mut word));
        }
    }
    if letters > 0 {
        each(&word);
    }
}

/// True for an accent that stands behind its letter.
fn is_accent(letter: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&letter)
}

/// Adds a small letter, without the stroke that does not count as an accent of its own.
fn push_folded(letter: char, word: &mut String) {
    match letter {
        'ł' => word.push('l'),
        'ø' => word.push('o'),
        'đ' | 'ð' => word.push('d'),
        'ħ' => word.push('h'),
        'ŧ' => word.push('t'),
        'ı' => word.push('i'),
        'ς' => word.push('σ'),
        'ß' => word.push_str("ss"),
        'æ' => word.push_str("ae"),
        'œ' => word.push_str("oe"),
        'þ' => word.push_str("th"),
        letter => word.push(letter),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        for_each_word(text, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn words_are_folded_to_plain_small_letters() {
        for (text, expected) in [
            ("Zażółć GĘŚLĄ jaźń", &["zazolc", "gesla", "jazn"][..]),
            ("Z\u{307}o\u{301}łty", &["zolty"]),
            ("Łódź, ŁÓDŹ; łódź", &["lodz", "lodz", "lodz"]),
            ("e-mail: jan.kowalski@firma.pl", &["e", "mail", "jan", "kowalski", "firma", "pl"]),
            ("Straße Ærø İstanbul Ísland", &["strasse", "aero", "istanbul", "island"]),
            ("ﬁnal ２０２６ x²", &["final", "2026", "x2"]),
            ("ΟΔΟΣ οδος", &["οδοσ", "οδοσ"]),
            ("Привет 你好 مرحبا", &["привет", "你好", "مرحبا"]),
            ("\"* AND ( -:^ \0 …", &["and"]),
            ("", &[]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
        assert_eq!(words(&"ą".repeat(1_000)), ["a".repeat(WORD_LENGTH)]);
    }

    #[test]
    fn query_has_nothing_but_quoted_words() {
        let owner = UserId::from("0190-ab".to_owned());
        for (text, expected) in [
            ("Faktura", Some("\"\u{e000}0190ab\" AND \"faktura\" *")),
            ("to \"be\" OR NOT*", Some("\"\u{e000}0190ab\" AND \"to\" AND \"be\" AND \"or\" AND \"not\" *")),
            ("\u{e000}0190cd", Some("\"\u{e000}0190ab\" AND \"0190cd\" *")),
            ("^*\"():- \u{e000}", None),
        ] {
            assert_eq!(query(text, &owner).unwrap().as_deref(), expected, "{text}");
        }
        assert!(query(&"a".repeat(SEARCH_LENGTH), &owner).is_ok());
        assert!(query(&"ł".repeat(SEARCH_LENGTH + 1), &owner).is_err());
        assert!(query(&"a ".repeat(SEARCH_WORDS), &owner).is_ok());
        assert!(query(&"a ".repeat(SEARCH_WORDS + 1), &owner).is_err());
        assert_eq!(indexed("To be, or not TO be", &owner), "\u{e000}0190ab to be or not");
    }
}
