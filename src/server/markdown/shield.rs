//! Characters that stand for themselves although CommonMark gives them a meaning: those of TeX, of
//! prices and products, and punctuation beside stars in languages without spaces between words.
//!
//! They are replaced by characters of the same length before a text is parsed, so that offsets
//! stay, and put back into what the parser reads. Nothing is lost where one was replaced in vain.

use std::borrow::Cow;

use super::formula::Setting;

/// Characters with a meaning, and the control characters that replace them.
const SHIELDED: [(char, char); 23] = [
    ('\\', '\u{1}'),
    ('*', '\u{2}'),
    ('_', '\u{3}'),
    ('~', '\u{4}'),
    ('=', '\u{5}'),
    ('-', '\u{6}'),
    ('+', '\u{7}'),
    ('#', '\u{8}'),
    ('>', '\u{e}'),
    ('.', '\u{f}'),
    (',', '\u{10}'),
    (':', '\u{11}'),
    (';', '\u{12}'),
    ('!', '\u{13}'),
    ('?', '\u{14}'),
    (')', '\u{15}'),
    ('$', '\u{16}'),
    ('\n', '\u{17}'),
    ('&', '\u{18}'),
    ('<', '\u{19}'),
    ('|', '\u{1a}'),
    ('[', '\u{1b}'),
    (']', '\u{1c}'),
];
/// Marks of formulas as they are shielded, the longer one first, and how such a formula is set.
/// Nothing else has these characters.
const MARKS: [(&str, &str, Setting); 4] = [
    ("\u{1}(", "\u{1})", Setting::Inline),
    ("\u{1}\u{1b}", "\u{1}\u{1c}", Setting::Display),
    ("\u{16}\u{16}", "\u{16}\u{16}", Setting::Display),
    ("\u{16}", "\u{16}", Setting::Inline),
];
/// Blocks of punctuation of three bytes each, and the private characters that replace them.
const PUNCTUATION: [(u32, u32, u32); 3] =
    [(0x2010, 0x2060, 0xe000), (0x3000, 0x3040, 0xe100), (0xff00, 0xfff0, 0xe200)];
/// Most bytes of an address that are looked at.
const LONGEST_ADDRESS: usize = 256;
/// Longest formula, in bytes.
const LONGEST_FORMULA: usize = 2048;

/// Returns a text of the same length whose characters have no other meaning than they are meant to.
pub(super) fn shield(text: &str) -> Cow<'_, str> {
    if !text.contains(['\\', '$', '*', '_', '~']) || text.chars().any(|c| replaced_by(c).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut shielded = text.as_bytes().to_vec();
    formulas(text, &mut shielded);
    runs(text, &mut shielded);
    String::from_utf8(shielded).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Puts the characters back.
pub(super) fn unshield(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| replaced_by(c).is_some()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| replaced_by(c).unwrap_or(c)).collect())
}

/// A part of a shielded text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// Text without formulas.
    Text(Cow<'t, str>),
    /// A formula as it was written, the TeX in it, and how it is set.
    Formula { source: String, tex: String, setting: Setting },
}

/// Splits a shielded text at its formulas.
pub(super) fn pieces(shielded: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = shielded;
    while let Some((start, open, close, setting)) = MARKS
        .iter()
        .filter_map(|(open, close, setting)| Some((rest.find(open)?, *open, *close, *setting)))
        .min_by_key(|(at, open, ..)| (*at, usize::MAX - open.len()))
    {
        let begin = start + open.len();
        let Some(length) = rest[begin..].find(close) else { break };
        let end = begin + length + close.len();
        if start > 0 {
            pieces.push(Piece::Text(unshield(&rest[..start])));
        }
        let (source, tex) = (unshield(&rest[start..end]), unshield(&rest[begin..begin + length]));
        pieces.push(Piece::Formula { source: source.into_owned(), tex: without_quote_marks(&tex), setting });
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(unshield(rest)));
    }
    pieces
}

/// Returns a formula without the marks of a quote that its lines begin with.
fn without_quote_marks(tex: &str) -> String {
    let mut lines = tex.lines();
    let first = lines.next().unwrap_or_default();
    let quoted: Option<Vec<&str>> = lines.map(|line| line.trim_start().strip_prefix('>')).collect();
    match quoted.filter(|lines| !lines.is_empty()) {
        Some(lines) => format!("{first}\n{}", lines.join("\n")),
        None => tex.to_owned(),
    }
}

/// Returns where a formula on lines of its own begins that has no end yet, and may get one.
pub(super) fn open_formula(text: &str) -> Option<usize> {
    let near = text.floor_char_boundary(text.len().saturating_sub(LONGEST_FORMULA));
    let near = text[near..].rfind("\n\n").map_or(near, |blank| near + blank);
    let dollars = text[near..].match_indices("$$").map(|(at, _)| near + at).collect::<Vec<_>>();
    let dollars = dollars.last().copied().filter(|_| dollars.len() % 2 == 1);
    let bracket = text[near..].rfind("\\[").map(|at| near + at).filter(|at| !text[*at..].contains("\\]"));
    dollars.into_iter().chain(bracket).min()
}

/// Returns the character that this one replaces.
fn replaced_by(replacement: char) -> Option<char> {
    if replacement < ' ' {
        return SHIELDED.iter().find(|(_, other)| *other == replacement).map(|(c, _)| *c);
    }
    let code = u32::from(replacement);
    let (from, _, to) = PUNCTUATION.into_iter().find(|(from, end, to)| (*to..to + (end - from)).contains(&code))?;
    char::from_u32(code - to + from)
}

/// Replaces a character, if there is a replacement.
fn put(shielded: &mut [u8], at: usize, character: char) {
    let code = u32::from(character);
    let private = PUNCTUATION.into_iter().find(|(from, end, _)| (*from..*end).contains(&code));
    let replacement = match private {
        Some((from, _, to)) => char::from_u32(code - from + to),
        None => SHIELDED.iter().find(|(c, _)| *c == character).map(|(_, other)| *other),
    };
    if let Some(replacement) = replacement {
        replacement.encode_utf8(&mut shielded[at..at + character.len_utf8()]);
    }
}

/// Shields `\(…\)`, `\[…\]`, `$$…$$` and `$…$`. A formula has no blank line in it.
fn formulas(text: &str, shielded: &mut [u8]) {
    // The ends that were looked for in vain, and up to where.
    let mut searched = [0; 4];
    let mut at = 0;
    while let Some(found) = text[at..].find(['\\', '$']) {
        let start = at + found;
        let rest = &text[start..];
        let (kind, open, close) = if rest.starts_with("\\(") {
            (0, "\\(", "\\)")
        } else if rest.starts_with("\\[") {
            (1, "\\[", "\\]")
        } else if rest.starts_with("$$") {
            (2, "$$", "$$")
        } else if rest.starts_with('$') {
            (3, "$", "$")
        } else {
            // A backslash and what it escapes.
            at = start + 1 + text[start + 1..].chars().next().map_or(0, char::len_utf8);
            continue;
        };
        let begin = start + open.len();
        match end_of(text, begin, close, &mut searched[kind]) {
            // A back tick means that one of the marks is code.
            Some(end) if !text[begin..end].contains('`') && is_formula(kind, text, begin, end) => {
                let end = end + close.len();
                for (offset, character) in text[start..end].char_indices().filter(|(_, c)| c.is_ascii()) {
                    // Parentheses are left: a line may begin with a number and one.
                    if !matches!(character, '.' | ',' | ':' | ';' | '!' | '?' | ')') {
                        put(shielded, start + offset, character);
                    }
                }
                at = end;
            }
            _ => at = begin,
        }
    }
}

/// Returns the position of the mark that ends a formula.
fn end_of(text: &str, begin: usize, close: &str, searched: &mut usize) -> Option<usize> {
    let from = text.floor_char_boundary(begin.max(*searched));
    let limit = text.floor_char_boundary(begin + LONGEST_FORMULA).max(from);
    let window = &text[from..limit];
    let blank = window.find("\n\n").unwrap_or(window.len());
    match window[..blank].find(close) {
        Some(found) => Some(from + found),
        None => {
            // It may begin at the edge.
            *searched = (from + blank).saturating_sub(close.len()).max(from);
            None
        }
    }
}

/// Returns true for the inside of a formula: not the text between two prices, nor a bracket that is
/// escaped so that it begins no link.
fn is_formula(kind: usize, text: &str, begin: usize, end: usize) -> bool {
    let inside = &text[begin..end];
    let outer = text[end..].chars().nth(if kind == 3 { 1 } else { 2 });
    match kind {
        1 => outer != Some('(') && inside.contains(['\\', '^', '_', '{', '=', '+', '-', '*', '/', '<', '>']),
        3 => {
            !inside.is_empty()
                && !inside.contains('\n')
                && !inside.starts_with(char::is_whitespace)
                && !inside.ends_with(char::is_whitespace)
                && !outer.is_some_and(char::is_alphanumeric)
                && inside.contains(['\\', '^', '_', '{', '='])
        }
        _ => true,
    }
}

/// Returns true within an address, which must stay as it is to be one.
fn is_in_address(text: &str, at: usize) -> bool {
    let near = &text[text.floor_char_boundary(at.saturating_sub(LONGEST_ADDRESS))..at];
    let word = near.rsplit(char::is_whitespace).next().unwrap_or_default();
    ["](", "://", "www.", "<"].into_iter().any(|mark| word.contains(mark))
}

/// Shields single tildes, stars between digits, names such as `__init__`, and the punctuation
/// within emphasis that touches a word.
fn runs(text: &str, shielded: &mut [u8]) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = text[at..].find(['*', '_', '~']) {
        let start = at + found;
        let mark = bytes[start];
        let length = bytes[start..].iter().take_while(|byte| **byte == mark).count();
        let end = start + length;
        if is_in_address(text, start) {
            at = end;
            continue;
        }
        let (before, after) = (text[..start].chars().next_back(), text[end..].chars().next());
        let is = |c: Option<char>, test: fn(char) -> bool| c.is_some_and(test);
        match (mark, length) {
            (b'~', 1) => put(shielded, start, '~'),
            (b'*', 1) if is(before, |c| c.is_ascii_digit()) && is(after, |c| c.is_ascii_digit()) => {
                put(shielded, start, '*');
            }
            (b'_', 2) if !is(before, char::is_alphanumeric) => {
                let name = text[end..].find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
                let name = &text[end..name.map_or(text.len(), |length| end + length)];
                let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
                    && name.strip_suffix("__").is_some_and(|inner| !inner.is_empty() && !inner.ends_with('_'));
                if is_name {
                    for offset in (start..end + name.len()).filter(|offset| bytes[*offset] == b'_') {
                        put(shielded, offset, '_');
                    }
                    at = end + name.len();
                    continue;
                }
            }
            (b'*', _) => {
                // A word touches the other side: the run then begins or ends emphasis within it.
                if let Some(inner) = before.filter(|c| is_wide(*c) || length > 1 && is_end_of_sentence(*c))
                    && is(after, char::is_alphanumeric)
                {
                    put(shielded, start - inner.len_utf8(), inner);
                }
                if let Some(inner) = after.filter(|c| is_wide(*c))
                    && is(before, char::is_alphanumeric)
                {
                    put(shielded, end, inner);
                }
            }
            _ => {}
        }
        at = end;
    }
}

fn is_wide(character: char) -> bool {
    let code = u32::from(character);
    PUNCTUATION.into_iter().any(|(from, end, _)| (from..end).contains(&code)) && !character.is_alphanumeric()
}

fn is_end_of_sentence(character: char) -> bool {
    matches!(character, '.' | ',' | ':' | ';' | '!' | '?' | ')')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Labels, render};
    use super::*;

    fn html(text: &str) -> String {
        let html = render(text, Labels { copy: "Copy", plain: "Plain" }).to_string();
        as_written(&html).replace("</p>\n", "").replace("<p>", "")
    }

    /// Returns HTML with each formula as it was written.
    fn as_written(html: &str) -> String {
        let mut parts = html.split("<math");
        let mut out = parts.next().unwrap().to_owned();
        for part in parts {
            let (_, annotation) = part.split_once("x-tex\">").unwrap();
            let (source, after) = annotation.split_once("</annotation></semantics></math>").unwrap();
            out += &(source.to_owned() + after);
        }
        out
    }

    #[test]
    fn formulas_are_told_from_the_text_around_them() {
        let formula =
            |source: &str, tex: &str, setting| Piece::Formula { source: source.into(), tex: tex.into(), setting };
        for (text, expected) in [
            ("a $5 b", vec![Piece::Text("a $5 b".into())]),
            (
                r"a $x_1$$y_2$ b",
                vec![
                    Piece::Text("a ".into()),
                    formula("$x_1$", "x_1", Setting::Inline),
                    formula("$y_2$", "y_2", Setting::Inline),
                    Piece::Text(" b".into()),
                ],
            ),
            ("\\[ x\n= [1] & <2 \\]", vec![formula("\\[ x\n= [1] & <2 \\]", " x\n= [1] & <2 ", Setting::Display)]),
            ("$$\n> x\n> $$", vec![formula("$$\n> x\n> $$", "\n x\n ", Setting::Display)]),
        ] {
            assert_eq!(pieces(&shield(text)), expected, "{text}");
        }
    }

    #[test]
    fn formula_without_an_end_is_open_for_a_while() {
        for (text, expected) in [
            ("a $$\nx\n- y", Some(2)),
            ("a $$\nx\n$$ b", None),
            ("a \\[\nx", Some(2)),
            ("a \\[\nx\\] b", None),
            ("a $$\nx\n\nb", None),
            ("$5", None),
        ] {
            assert_eq!(open_formula(text), expected, "{text}");
        }
        assert_eq!(open_formula(&format!("$$ {}", "x".repeat(LONGEST_FORMULA))), None);
    }

    #[test]
    fn text_is_shown_as_models_mean_it() {
        for (text, expected) in [
            (r"a \(x_1 * y_2\) b *c*", r"a \(x_1 * y_2\) b <em>c</em>"),
            ("\\[\na_1\n=\n- b * c > d\n\\]", "\\[\na_1\n=\n- b * c &gt; d\n\\]"),
            ("$$\nx\n=\na*b*c \\\\ d\n$$", "$$\nx\n=\na*b*c \\\\ d\n$$"),
            (r"$a_b*c*d$ and $\alpha*b*$", r"$a_b*c*d$ and $\alpha*b*$"),
            ("$5 *or* $6, US$ 7 *to* $8", "$5 <em>or</em> $6, US$ 7 <em>to</em> $8"),
            (r"\(no *end*", "(no <em>end</em>"),
            (r"\* no \[link\](x) \_", "* no [link](x) _"),
            ("~5 to ~10, ~a~, ~~gone~~", "~5 to ~10, ~a~, <del>gone</del>"),
            ("2*3*4 and a*b*c", "2*3*4 and a<em>b</em>c"),
            ("__init__ and __main__.py, __two words__", "__init__ and __main__.py, <strong>two words</strong>"),
            ("これは**「重要」**な点", "これは<strong>「重要」</strong>な点"),
            ("**注意：**10回。这是**我的事。**所以", "<strong>注意：</strong>10回。这是<strong>我的事。</strong>所以"),
            ("**Uwaga:**tekst *„cudzysłów”*tekst", "<strong>Uwaga:</strong>tekst <em>„cudzysłów”</em>tekst"),
            (r"see \[1\] and \[x\]", "see [1] and [x]"),
            (r"`\(` and *a* `\)`", r"<code>\(</code> and <em>a</em> <code>\)</code>"),
            ("`__init__` `2*3*4`", "<code>__init__</code> <code>2*3*4</code>"),
        ] {
            assert_eq!(html(text), expected, "{text}");
        }
    }

    #[test]
    fn code_and_addresses_keep_their_characters() {
        let out = html("[a](https://a.example/__init__.py?a=2*3*4)\n\n```py\ndef __init__(self): 2*3*4\n```");
        assert!(out.contains("href=\"https://a.example/__init__.py?a=2*3*4\""), "{out}");
        assert!(out.contains("__init__(<span class=\"k\">self</span>): <span class=\"n\">2</span>*"), "{out}");
    }

    proptest! {
        #[test]
        fn shielding_keeps_length_and_characters(text in "[a1*_~$\\\\()\\[\\]&<|。「”`\n .:]{0,60}") {
            let shielded = shield(&text);
            prop_assert_eq!(shielded.len(), text.len());
            let back = unshield(&shielded).into_owned();
            prop_assert_eq!(back, text.clone());
        }
    }
}
