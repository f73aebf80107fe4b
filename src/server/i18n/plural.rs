//! Counted nouns: a number followed by the form of the noun that goes with it.

/// Returns `1 day`, `2 days`.
pub(crate) fn english(n: i64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Returns `1 model`, `2 modele`, `5 modeli`: Polish has a form for one, for a few (2–4 but not
/// 12–14) and for many.
pub(crate) fn polish(n: i64, one: &str, few: &str, many: &str) -> String {
    format!("{n} {}", polish_noun(n, one, few, many))
}

/// Returns the form of a Polish noun that goes with a number.
pub(crate) fn polish_noun<'a>(n: i64, one: &'a str, few: &'a str, many: &'a str) -> &'a str {
    match (n, n % 10, n % 100) {
        (1, ..) => one,
        (_, 2..=4, hundredth) if !(12..=14).contains(&hundredth) => few,
        _ => many,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polish_noun_takes_the_form_of_its_number() {
        for (n, noun) in [(1, "model"), (2, "modele"), (5, "modeli"), (12, "modeli"), (22, "modele"), (111, "modeli")] {
            assert_eq!(polish(n, "model", "modele", "modeli"), format!("{n} {noun}"));
        }
    }
}
