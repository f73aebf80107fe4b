//! The report as one HTML file: no script, nothing to load, light and dark, and for print.

use super::page::Page;
use mai_contract::is_unprintable;

const STYLE: &str = include_str!("style.css");

/// Returns the page as HTML.
pub(super) fn render(page: &Page) -> String {
    let language = page.language;
    let (class, result) = if page.is_passed { ("passed", language.passed()) } else { ("failed", language.failed()) };
    let (title, client) = (language.title(), escape(&page.client));
    let mut main = format!(
        "<header><p class=\"kind\">{title}</p><h1>{client}</h1></header>\n<section class=\"result {class}\"><p class=\"word\">{result}</p><p>{}</p>",
        page.summary
    );
    if let Some(recovery) = &page.recovery {
        main += &format!(
            "<p class=\"recovery\"><span>{}</span><strong>{}</strong></p>",
            language.recovery_time(),
            escape(recovery)
        );
    }
    if let Some(cause) = &page.cause {
        main += &format!("<p class=\"cause\"><span>{}</span>{}</p>", language.cause(), escape(cause));
    }
    main += "</section>\n<dl>";
    for (label, value) in &page.facts {
        main += &format!("<div><dt>{label}</dt><dd>{}</dd></div>", escape(value));
    }
    main += "</dl>\n";
    if !page.checks.is_empty() {
        main += &format!("<section><h2>{}</h2><ul>", language.checked());
        for (check, count) in &page.checks {
            let count = count.as_ref().map(|count| format!("<b>{}</b>", escape(count))).unwrap_or_default();
            main += &format!("<li><span>{check}</span>{count}</li>");
        }
        main += "</ul>";
        if let Some(note) = page.note {
            main += &format!("<p class=\"note\">{note}</p>");
        }
        main += "</section>\n";
    }
    for (heading, text) in [(language.loss(), &page.loss), (language.method(), &page.method)] {
        main += &format!("<section><h2>{heading}</h2><p>{}</p></section>\n", escape(text));
    }
    format!(
        "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>{title}: {client}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{main}<footer>{}</footer>\n</main>\n</body>\n</html>\n",
        language.code(),
        escape(&page.made)
    )
}

/// Returns a text in which nothing is markup.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other if is_unprintable(other) => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
