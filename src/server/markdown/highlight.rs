//! Colours for code: comments, strings, numbers and keywords, found by one small scanner.
//!
//! The scanner knows how families of languages write comments and strings, not their grammars. It
//! needs no regular expressions and never loses or changes a character.

use super::{escape, languages::Family};

/// Most bytes of a code block that are coloured: every token may become an element.
const MOST_COLOURED: usize = 128 << 10;

/// Returns code as HTML: escaped, with a `<span>` around every coloured token. An unknown language
/// stays plain.
pub(super) fn highlight(language: &str, code: &str) -> String {
    let Some(family) = Family::of_language(language) else { return escape(code) };
    let mut html = String::with_capacity(code.len() * 2);
    let mut rest = code;
    let mut strings = Strings::default();
    while !rest.is_empty() {
        if code.len() - rest.len() > MOST_COLOURED {
            html.push_str(&escape(rest));
            break;
        }
        let (length, class) = token(family, rest, before(code, rest).is_whitespace(), &mut strings);
        let (token, after) = rest.split_at(length);
        match class {
            Some(class) => html.push_str(&format!("<span class=\"{class}\">{}</span>", escape(token))),
            None => html.push_str(&escape(token)),
        }
        rest = after;
    }
    html
}

/// Returns the end of the last line of code that ends outside a comment or a string of several
/// lines.
pub(super) fn last_line_outside(language: &str, code: &str) -> usize {
    let Some(family) = Family::of_language(language) else { return code.rfind('\n').map_or(0, |at| at + 1) };
    let (mut end, mut rest) = (0, code);
    let mut strings = Strings::default();
    while !rest.is_empty() {
        let is_line_end = rest.starts_with('\n');
        let (length, _) = token(family, rest, before(code, rest).is_whitespace(), &mut strings);
        rest = &rest[length..];
        if is_line_end {
            end = code.len() - rest.len();
        }
    }
    end
}

/// Returns the character in front of the rest of a text, or a space at its beginning.
fn before(text: &str, rest: &str) -> char {
    text[..text.len() - rest.len()].chars().next_back().unwrap_or(' ')
}

/// Returns the length of the token at the start of `rest`, at least one character, and its class.
fn token(family: &Family, rest: &str, after_space: bool, strings: &mut Strings) -> (usize, Option<&'static str>) {
    // `#` within a word, as in a URL, starts no comment.
    if family.line_comments.iter().any(|mark| rest.starts_with(mark) && (after_space || *mark != "#")) {
        return (rest.find('\n').unwrap_or(rest.len()), Some("c"));
    }
    if let Some((open, close)) = family.block_comment
        && let Some(inside) = rest.strip_prefix(open)
    {
        return (inside.find(close).map_or(rest.len(), |at| open.len() + at + close.len()), Some("c"));
    }
    let first = rest.chars().next().unwrap_or(' ');
    if family.quotes.contains(first) {
        return match strings.length(rest, first) {
            Some(length) => (length, Some("s")),
            // An apostrophe without a partner on its line: a lifetime, or a word.
            None => (first.len_utf8(), None),
        };
    }
    if first.is_ascii_digit() {
        return (span(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_')), Some("n"));
    }
    if first.is_alphabetic() || first == '_' {
        let length = span(rest, |c| c.is_alphanumeric() || c == '_');
        return (length, family.has_keyword(&rest[..length]).then_some("k"));
    }
    (first.len_utf8(), None)
}

fn span(text: &str, matches: impl Fn(char) -> bool) -> usize {
    text.find(|c| !matches(c)).unwrap_or(text.len())
}

/// The strings of a text, each looked for once.
#[derive(Default)]
struct Strings {
    /// Quotes that were found to have no partner, and the length of the rest that holds none.
    unpaired: Vec<(char, usize)>,
}

impl Strings {
    /// Returns the length of the string at the start of `rest`, if there is one.
    fn length(&mut self, rest: &str, quote: char) -> Option<usize> {
        if self.unpaired.iter().any(|(known, end)| *known == quote && rest.len() > *end) {
            return None;
        }
        let length = string(rest, quote);
        if length.is_none() {
            let searched = if quote == '`' { rest.len() } else { rest.find('\n').unwrap_or(rest.len()) };
            self.unpaired.retain(|(known, _)| *known != quote);
            self.unpaired.push((quote, rest.len() - searched));
        }
        length
    }
}

/// Returns the length of the string at the start of `rest`: to its quote on the same line, to three
/// quotes when it opens with three, or to the next back tick on any line.
fn string(rest: &str, quote: char) -> Option<usize> {
    let triple: String = std::iter::repeat_n(quote, 3).collect();
    if let Some(inside) = rest.strip_prefix(&triple) {
        return Some(inside.find(&triple).map_or(rest.len(), |at| at + 6));
    }
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' if quote != '`' => return None,
            c if c == quote => return Some(at + c.len_utf8()),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keywords_strings_numbers_and_comments_are_coloured() {
        let table = [
            (
                "rust",
                "let x = 'a; // <hi>",
                "<span class=\"k\">let</span> x = &#39;a; <span class=\"c\">// &lt;hi&gt;</span>",
            ),
            (
                "py",
                "print(\"a\\\"b\", 12)",
                "print(<span class=\"s\">&quot;a\\&quot;b&quot;</span>, <span class=\"n\">12</span>)",
            ),
            (
                "py",
                "\"\"\"a\nb\"\"\" # c",
                "<span class=\"s\">&quot;&quot;&quot;a\nb&quot;&quot;&quot;</span> <span class=\"c\"># c</span>",
            ),
            (
                "sql",
                "select 1 -- one",
                "<span class=\"k\">select</span> <span class=\"n\">1</span> <span class=\"c\">-- one</span>",
            ),
            ("sh", "curl http://a/#b", "curl http://a/#b"),
            ("klingon", "let <x>", "let &lt;x&gt;"),
        ];
        for (language, code, html) in table {
            assert_eq!(highlight(language, code), html);
        }
    }

    proptest! {
        #[test]
        fn highlighting_loses_no_character(code in "[a-z0-9 \n\"'`#/*\\\\<>&\u{142}-]{0,80}", language in "rust|py|sql|sh|json|css|yaml|x") {
            let html = highlight(&language, &code);
            let plain = html.replace("</span>", "").replace("<span class=\"c\">", "").replace("<span class=\"s\">", "")
                .replace("<span class=\"n\">", "").replace("<span class=\"k\">", "");
            prop_assert_eq!(plain, escape(&code));
        }
    }
}
