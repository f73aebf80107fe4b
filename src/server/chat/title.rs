//! Titles of chats.

/// Most characters of a title.
pub const TITLE_LENGTH: usize = 100;
/// Most characters of a title derived from a question.
const DERIVED_LENGTH: usize = 60;
/// The title of a chat before its first question.
pub(super) const UNTITLED: &str = "";

/// Returns the title of a chat that begins with this question.
pub(super) fn from_question(question: &str) -> String {
    let words = question.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= DERIVED_LENGTH {
        return words;
    }
    let cut: String = words.chars().take(DERIVED_LENGTH).collect();
    // At the end of a word, unless that would leave almost nothing.
    let end = cut.rfind(' ').filter(|end| *end > DERIVED_LENGTH / 2).unwrap_or(cut.len());
    format!("{}…", cut[..end].trim_end_matches([',', ';', ':', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_is_the_beginning_of_the_question() {
        assert_eq!(from_question("  Why is\nthe sky blue? "), "Why is the sky blue?");
        let long = "Please explain, in simple words, how a heat pump works and what it costs to run one";
        assert_eq!(from_question(long), "Please explain, in simple words, how a heat pump works and…");
        assert_eq!(from_question(&"ż".repeat(100)), format!("{}…", "ż".repeat(60)));
    }
}
