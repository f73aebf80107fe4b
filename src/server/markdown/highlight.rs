//! Colours for code: comments, strings, numbers and words of the language, told apart by one small scanner.
//!
//! It knows how families of languages write comments and strings, not their grammars; that is enough to read by, costs no
//! regular expressions and no tables in memory, and can never lose or change a letter.

use super::escape;

/// What sets languages apart as far as this scanner cares.
struct Family {
    names: &'static [&'static str],
    line_comments: &'static [&'static str],
    block_comment: Option<(&'static str, &'static str)>,
    /// Characters that open and close a string.
    quotes: &'static str,
    keywords: &'static [&'static str],
}

const C_LIKE: &[&str] = &[
    "abstract",
    "as",
    "async",
    "await",
    "bool",
    "boolean",
    "break",
    "case",
    "catch",
    "char",
    "class",
    "const",
    "continue",
    "crate",
    "default",
    "defer",
    "do",
    "double",
    "else",
    "enum",
    "export",
    "extends",
    "false",
    "final",
    "finally",
    "float",
    "fn",
    "for",
    "from",
    "func",
    "function",
    "go",
    "if",
    "impl",
    "implements",
    "import",
    "in",
    "instanceof",
    "int",
    "interface",
    "let",
    "long",
    "loop",
    "match",
    "mod",
    "mut",
    "namespace",
    "new",
    "nil",
    "null",
    "of",
    "override",
    "package",
    "private",
    "protected",
    "pub",
    "public",
    "range",
    "return",
    "self",
    "Self",
    "static",
    "string",
    "struct",
    "super",
    "switch",
    "this",
    "throw",
    "throws",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "undefined",
    "unsafe",
    "use",
    "using",
    "val",
    "var",
    "virtual",
    "void",
    "where",
    "while",
    "yield",
];

/// The first family that has the name is taken; the last one has none and is for JSON and other notations.
const FAMILIES: &[Family] = &[
    Family {
        names: &["python", "py"],
        line_comments: &["#"],
        block_comment: None,
        quotes: "\"'",
        keywords: &[
            "False", "None", "True", "and", "as", "assert", "async", "await", "break", "case", "class", "continue",
            "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
            "lambda", "match", "nonlocal", "not", "or", "pass", "raise", "return", "self", "try", "while", "with",
            "yield",
        ],
    },
    Family {
        names: &[
            "c",
            "cpp",
            "c++",
            "cs",
            "csharp",
            "dart",
            "go",
            "java",
            "javascript",
            "js",
            "jsx",
            "kotlin",
            "kt",
            "php",
            "rs",
            "rust",
            "scala",
            "swift",
            "ts",
            "tsx",
            "typescript",
        ],
        line_comments: &["//"],
        block_comment: Some(("/*", "*/")),
        quotes: "\"'`",
        keywords: C_LIKE,
    },
    Family {
        names: &["css", "scss"],
        line_comments: &[],
        block_comment: Some(("/*", "*/")),
        quotes: "\"'",
        keywords: &[],
    },
    Family {
        names: &["bash", "console", "dockerfile", "sh", "shell", "zsh"],
        line_comments: &["#"],
        block_comment: None,
        quotes: "\"'",
        keywords: &[
            "case",
            "do",
            "done",
            "elif",
            "else",
            "esac",
            "export",
            "fi",
            "for",
            "function",
            "if",
            "in",
            "local",
            "return",
            "then",
            "while",
            "ADD",
            "ARG",
            "CMD",
            "COPY",
            "ENTRYPOINT",
            "ENV",
            "EXPOSE",
            "FROM",
            "RUN",
            "USER",
            "WORKDIR",
        ],
    },
    Family {
        names: &["sql", "mysql", "postgresql", "sqlite"],
        line_comments: &["--"],
        block_comment: Some(("/*", "*/")),
        quotes: "\"'",
        keywords: &[
            "ALTER", "AND", "AS", "ASC", "BETWEEN", "BY", "CASE", "CREATE", "DELETE", "DESC", "DISTINCT", "DROP",
            "ELSE", "END", "EXISTS", "FROM", "GROUP", "HAVING", "IN", "INDEX", "INNER", "INSERT", "INTO", "IS", "JOIN",
            "LEFT", "LIKE", "LIMIT", "NOT", "NULL", "ON", "OR", "ORDER", "OUTER", "PRIMARY", "RIGHT", "SELECT", "SET",
            "TABLE", "THEN", "UNION", "UPDATE", "VALUES", "VIEW", "WHEN", "WHERE", "WITH",
        ],
    },
    Family {
        names: &["conf", "ini", "r", "rb", "ruby", "toml", "yaml", "yml"],
        line_comments: &["#"],
        block_comment: None,
        quotes: "\"'",
        keywords: &[
            "begin", "class", "def", "do", "else", "elsif", "end", "false", "if", "nil", "no", "null", "true",
            "unless", "yes",
        ],
    },
    Family {
        names: &["json", "json5", "jsonc"],
        line_comments: &["//"],
        block_comment: None,
        quotes: "\"",
        keywords: &["false", "null", "true"],
    },
];

/// Code as HTML: escaped, with `<span>`s around what has a colour. A language that isn't known stays plain.
pub(super) fn highlight(language: &str, code: &str) -> String {
    let family = FAMILIES.iter().find(|family| family.names.iter().any(|name| name.eq_ignore_ascii_case(language)));
    let Some(family) = family else { return escape(code) };
    let mut html = String::with_capacity(code.len() * 2);
    let mut rest = code;
    while !rest.is_empty() {
        let (length, class) = family.token(rest, before(code, rest).is_whitespace());
        let (token, after) = rest.split_at(length);
        match class {
            Some(class) => html.push_str(&format!("<span class=\"{class}\">{}</span>", escape(token))),
            None => html.push_str(&escape(token)),
        }
        rest = after;
    }
    html
}

/// The character in front of the rest of a text; a space at its beginning.
fn before(text: &str, rest: &str) -> char {
    text[..text.len() - rest.len()].chars().next_back().unwrap_or(' ')
}

impl Family {
    /// The length of the token that `rest` begins with, at least one character, and its colour.
    fn token(&self, rest: &str, after_space: bool) -> (usize, Option<&'static str>) {
        // `#` within a word, as in a URL, begins no comment.
        if self.line_comments.iter().any(|mark| rest.starts_with(mark) && (after_space || *mark != "#")) {
            return (rest.find('\n').unwrap_or(rest.len()), Some("c"));
        }
        if let Some((open, close)) = self.block_comment
            && let Some(inside) = rest.strip_prefix(open)
        {
            return (inside.find(close).map_or(rest.len(), |at| open.len() + at + close.len()), Some("c"));
        }
        let first = rest.chars().next().unwrap_or(' ');
        if self.quotes.contains(first) {
            return match string(rest, first) {
                Some(length) => (length, Some("s")),
                // An apostrophe that closes nothing on its line: a lifetime, or a word.
                None => (first.len_utf8(), None),
            };
        }
        if first.is_ascii_digit() {
            return (span(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_')), Some("n"));
        }
        if first.is_alphabetic() || first == '_' {
            let length = span(rest, |c| c.is_alphanumeric() || c == '_');
            let word = &rest[..length];
            let upper = self.names.contains(&"sql");
            let known = self.keywords.iter().any(|k| *k == word || (upper && k.eq_ignore_ascii_case(word)));
            return (length, known.then_some("k"));
        }
        (first.len_utf8(), None)
    }
}

fn span(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// The length of a string that begins here: to its quote on the same line, or to three of them when it opens with three,
/// or to the next back tick wherever it is.
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
    fn words_strings_numbers_and_comments_have_their_colours() {
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
        /// Whatever the code: taking the colours away gives it back, letter by letter.
        #[test]
        fn not_a_letter_is_lost(code in "[a-z0-9 \n\"'`#/*\\\\<>&\u{142}-]{0,80}", language in "rust|py|sql|sh|json|css|yaml|x") {
            let html = highlight(&language, &code);
            let plain = html.replace("</span>", "").replace("<span class=\"c\">", "").replace("<span class=\"s\">", "")
                .replace("<span class=\"n\">", "").replace("<span class=\"k\">", "");
            prop_assert_eq!(plain, escape(&code));
        }
    }
}
