//! The sanitiser: an allow-list of the tags and attributes that rendered Markdown needs.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Built on first use.
static SANITISER: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut builder = ammonia::Builder::empty();
    builder
        .tags(HashSet::from([
            "a",
            "annotation",
            "blockquote",
            "br",
            "button",
            "code",
            "del",
            "div",
            "em",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "hr",
            "input",
            "li",
            "math",
            "mfrac",
            "mi",
            "mn",
            "mo",
            "mover",
            "mroot",
            "mrow",
            "mspace",
            "msqrt",
            "msub",
            "msubsup",
            "msup",
            "mtable",
            "mtd",
            "mtext",
            "mtr",
            "munder",
            "munderover",
            "ol",
            "p",
            "pre",
            "semantics",
            "span",
            "strong",
            "table",
            "tbody",
            "td",
            "th",
            "thead",
            "tr",
            "ul",
        ]))
        .tag_attributes(HashMap::from([
            ("a", HashSet::from(["href"])),
            ("annotation", HashSet::from(["encoding"])),
            ("button", HashSet::from(["type"])),
            ("input", HashSet::from(["checked", "disabled", "type"])),
            ("math", HashSet::from(["display"])),
            ("mfrac", HashSet::from(["linethickness"])),
            ("mi", HashSet::from(["mathvariant"])),
            ("mo", HashSet::from(["largeop", "maxsize", "minsize", "movablelimits", "stretchy", "symmetric"])),
            ("mrow", HashSet::from(["displaystyle", "scriptlevel"])),
            ("mspace", HashSet::from(["width"])),
            ("ol", HashSet::from(["start"])),
        ]))
        .attribute_filter(|element, attribute, value| match (element, attribute) {
            ("mfrac", "linethickness") | ("mo", "maxsize" | "minsize") | ("mspace", "width") => {
                is_short(value).then_some(value.into())
            }
            _ => Some(value.into()),
        })
        .allowed_classes(HashMap::from([
            ("button", HashSet::from(["copy-code"])),
            ("div", HashSet::from(["code", "code-head"])),
            ("mtable", HashSet::from(TABLES)),
            ("mtd", HashSet::from(CELLS)),
            ("mtr", HashSet::from(["menv-hdashline", "menv-hline"])),
            ("span", HashSet::from(["c", "k", "n", "s"])),
            ("td", HashSet::from(["centre", "right"])),
            ("th", HashSet::from(["centre", "right"])),
        ]))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(ammonia::UrlRelative::Deny)
        .set_tag_attribute_value("a", "target", "_blank")
        .link_rel(Some("noopener noreferrer nofollow"));
    builder
});

/// Classes of tables in formulas. Equations have no numbers of their own: a text is no paper.
const TABLES: [&str; 7] = [
    "menv-align",
    "menv-alignlike",
    "menv-arraylike",
    "menv-cases",
    "menv-cells-left",
    "menv-cells-right",
    "menv-multline",
];
/// Classes of their cells.
const CELLS: [&str; 7] = [
    "cell-left",
    "cell-right",
    "menv-border-only",
    "menv-left-dashed",
    "menv-left-solid",
    "menv-right-dashed",
    "menv-right-solid",
];

/// Returns whether a length in a formula moves nothing out of its line: up to 4 em, and not back.
fn is_short(length: &str) -> bool {
    let number = length.strip_suffix("em").and_then(|number| number.trim().parse::<f32>().ok());
    number.is_some_and(|number| (0.0..=4.0).contains(&number))
}

/// Removes from `html` everything that is not on the allow-list.
pub(super) fn sanitise(html: &str) -> String {
    // The page's policy forbids inline styles, and the renderer writes column alignment as one. A
    // quotation mark in text is `&quot;`, so only the renderer writes these strings.
    let html = html
        .replace(" style=\"text-align: right\"", " class=\"right\"")
        .replace(" style=\"text-align: center\"", " class=\"centre\"")
        .replace(" style=\"text-align: left\"", "");
    SANITISER.clean(&html).to_string()
}
