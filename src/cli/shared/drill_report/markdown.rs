//! The report as Markdown.

use super::page::Page;
use mai_contract::is_unprintable;

/// Returns the page as Markdown.
pub(super) fn render(page: &Page) -> String {
    let language = page.language;
    let result = if page.is_passed { language.passed() } else { language.failed() };
    let mut text = format!("# {}: {}\n\n**{result}**: {}\n\n", language.title(), escape(&page.client), page.summary);
    if let Some(cause) = &page.cause {
        text.push_str(&format!("{}: {}\n\n", language.cause(), escape(cause)));
    }
    text.push_str("| | |\n|---|---|\n");
    let recovery = page.recovery.iter().map(|recovery| (language.recovery_time(), format!("**{recovery}**")));
    let facts = page.facts.iter().map(|(label, value)| (*label, escape(value)));
    for (label, value) in recovery.chain(facts) {
        text.push_str(&format!("| {label} | {value} |\n"));
    }
    if !page.checks.is_empty() {
        text.push_str(&format!("\n## {}\n\n", language.checked()));
        for (check, count) in &page.checks {
            match count {
                Some(count) => text.push_str(&format!("- {check}: {}\n", escape(count))),
                None => text.push_str(&format!("- {check}\n")),
            }
        }
    }
    if let Some(note) = page.note {
        text.push_str(&format!("\n{note}\n"));
    }
    let (loss, method) = (language.loss(), language.method());
    text.push_str(&format!("\n## {loss}\n\n{}\n\n## {method}\n\n{}\n\n{}\n", page.loss, page.method, page.made));
    text
}

/// Returns a text in which nothing is markup, on one line.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unprintable(character) {
            escaped.push(' ');
            continue;
        }
        if matches!(character, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
