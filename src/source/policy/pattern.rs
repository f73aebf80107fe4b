//! Patterns of a policy: text in which `*` stands for any letters, also none.

/// Returns whether one of the patterns matches the whole text.
pub(super) fn matches_any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, text))
}

/// Returns whether a pattern matches the whole text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        // The first place leaves the most for what follows.
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_stands_for_any_letters() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "a/b:c", true),
            ("a*", "ba", false),
            ("*.example.com", "abc.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "abc.example.com.evil.net", false),
            ("r.example/*@sha256:*", "r.example/mai:1@sha256:00", true),
            ("r.example/*@sha256:*", "r.example/mai:1", false),
            ("a*a", "a", false),
            ("a*b*b", "ab", false),
            ("a*b*b", "abb", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
