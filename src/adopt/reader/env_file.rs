//! Files of variables (`.env`, `env_file`), in the dialect that Compose reads.

use super::interpolation::{Unresolved, Variables, interpolated, settle_text};

/// Reads the variables of a file. Those of `known` may be used in values, and win over the file's own
/// there, as they do in Compose.
pub fn read_env_file(text: &str, known: &Variables) -> Variables {
    let mut found = Variables::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while !rest.is_empty() {
        let line = rest.split_inclusive('\n').next().unwrap_or_default();
        let statement = line.trim_start();
        let Some((name, at)) = assignment(statement) else {
            rest = &rest[line.len()..];
            continue;
        };
        let value_start = line.len() - statement.len() + at;
        let (value, after) = value(&rest[value_start..]);
        let value = match value {
            Text::Literal(text) => text,
            Text::Expression(text) => {
                let mut all = found.clone();
                all.extend(known.clone());
                let mut text = interpolated(&text, &all);
                settle_text(&mut text, &mut Unresolved::default());
                text
            }
        };
        found.insert(name.to_owned(), value);
        rest = after;
    }
    found
}

enum Text {
    Literal(String),
    Expression(String),
}

/// Returns the name that a line gives a value to, and where the value begins.
fn assignment(statement: &str) -> Option<(&str, usize)> {
    if statement.starts_with('#') {
        return None;
    }
    let name_start = match statement.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => statement.len() - rest.trim_start().len(),
        _ => 0,
    };
    let at = statement.find(['=', ':', '\n']).filter(|at| !statement[*at..].starts_with('\n'))?;
    let name = statement.get(name_start..at)?.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']');
    (!name.is_empty() && name.chars().all(is_name)).then_some((name, at + 1))
}

/// Returns the value at the start of a text, and what follows its line.
fn value(text: &str) -> (Text, &str) {
    let line_end = text.find('\n').map_or(text.len(), |at| at + 1);
    let line = &text[..line_end];
    let start = line.len() - line.trim_start_matches([' ', '\t']).len();
    let quote = text[start..].chars().next().filter(|c| matches!(c, '"' | '\''));
    if let Some(quote) = quote
        && let Some((inside, after)) = quoted(&text[start + 1..], quote)
    {
        let after = after.find('\n').map_or("", |at| &after[at + 1..]);
        return match quote {
            '\'' => (Text::Literal(inside), after),
            _ => (Text::Expression(inside), after),
        };
    }
    let plain = line[start..].trim_end();
    let comment = plain
        .char_indices()
        .find(|(at, c)| *c == '#' && plain[..*at].chars().next_back().is_none_or(char::is_whitespace));
    let plain = comment.map_or(plain, |(at, _)| plain[..at].trim_end());
    (Text::Expression(plain.to_owned()), &text[line_end..])
}

/// Returns the text up to the closing quote, which may be some lines below, and what follows.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut inside = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        if letter == quote {
            return Some((inside, &text[at + 1..]));
        }
        if letter != '\\' {
            inside.push(letter);
            continue;
        }
        match (letters.next()?.1, quote) {
            ('n', '"') => inside.push('\n'),
            ('r', '"') => inside.push('\r'),
            ('t', '"') => inside.push('\t'),
            ('$', '"') => inside.push_str("$$"),
            (escaped, _) if escaped == quote || (escaped == '\\' && quote == '"') => inside.push(escaped),
            (other, _) => inside.extend(['\\', other]),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_files_are_read_as_compose_reads_them() {
        let known = Variables::from([("HOST".to_owned(), "outside".to_owned())]);
        let text = "\u{feff}# who\nexport CLIENT=\"Company A\"\nB=two # comment\nC='x # $B'\nD=\nE=a#b\r\nF: yaml\n\
                    G=\"line\\none \\\"q\\\" ${B} \\$B\" # more\nH=\"two\nlines\"\nHOST=inside\nI=${HOST}/${B:-x}/${NONE}\nno assignment\nJ= spaced \nK='it''s'\n  L=1\nM=\"open\n";
        let found = read_env_file(text, &known);
        for (name, value) in [
            ("CLIENT", "Company A"),
            ("B", "two"),
            ("C", "x # $B"),
            ("D", ""),
            ("E", "a#b"),
            ("F", "yaml"),
            ("G", "line\none \"q\" two $B"),
            ("H", "two\nlines"),
            ("HOST", "inside"),
            ("I", "outside/two/"),
            ("J", "spaced"),
            ("K", "it"),
            ("L", "1"),
            ("M", "\"open"),
        ] {
            assert_eq!(found.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert_eq!(found.len(), 14, "{found:?}");
    }
}
