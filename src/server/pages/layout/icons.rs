//! Icons as inline SVG, drawn on a 24 × 24 grid. The style gives them stroke and colour.

use std::fmt;

/// An icon, which templates insert without escaping.
#[derive(Clone, Copy, Debug)]
pub(in crate::pages) struct Icon(&'static str);

impl fmt::Display for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<svg class=\"icon\" viewBox=\"0 0 24 24\" aria-hidden=\"true\">{}</svg>", self.0)
    }
}

// Safe: every drawing is a constant of this file.
impl askama::filters::HtmlSafe for Icon {}

/// Every icon.
pub(in crate::pages) struct Icons {
    pub(in crate::pages) account: Icon,
    pub(in crate::pages) again: Icon,
    pub(in crate::pages) audit: Icon,
    pub(in crate::pages) back: Icon,
    pub(in crate::pages) check: Icon,
    pub(in crate::pages) close: Icon,
    pub(in crate::pages) compose: Icon,
    pub(in crate::pages) connection: Icon,
    pub(in crate::pages) copy: Icon,
    pub(in crate::pages) dark: Icon,
    pub(in crate::pages) down: Icon,
    pub(in crate::pages) key: Icon,
    pub(in crate::pages) left: Icon,
    pub(in crate::pages) light: Icon,
    pub(in crate::pages) menu: Icon,
    pub(in crate::pages) more: Icon,
    pub(in crate::pages) plus: Icon,
    pub(in crate::pages) right: Icon,
    pub(in crate::pages) search: Icon,
    pub(in crate::pages) send: Icon,
    pub(in crate::pages) sign_out: Icon,
    pub(in crate::pages) stop: Icon,
    pub(in crate::pages) system: Icon,
    pub(in crate::pages) trash: Icon,
    pub(in crate::pages) usage: Icon,
    pub(in crate::pages) users: Icon,
    pub(in crate::pages) warning: Icon,
}

/// The icons.
pub(in crate::pages) const ICONS: Icons = Icons {
    account: Icon("<circle cx=\"12\" cy=\"8.5\" r=\"3.75\"/><path d=\"M4.75 20a7.25 7.25 0 0 1 14.5 0\"/>"),
    again: Icon("<path d=\"M19.5 12a7.5 7.5 0 1 1-2.3-5.4L19.5 9\"/><path d=\"M19.5 4.5V9H15\"/>"),
    audit: Icon("<circle cx=\"12\" cy=\"12\" r=\"8.5\"/><path d=\"M12 7v5l3.25 2\"/>"),
    back: Icon("<path d=\"M19 12H5.5\"/><path d=\"m11 6-6 6 6 6\"/>"),
    check: Icon("<circle cx=\"12\" cy=\"12\" r=\"8.5\"/><path d=\"m8.5 12.2 2.4 2.4 4.6-5\"/>"),
    close: Icon("<path d=\"m6.5 6.5 11 11\"/><path d=\"m17.5 6.5-11 11\"/>"),
    compose: Icon(
        "<path d=\"M12.5 5H7a2.5 2.5 0 0 0-2.5 2.5V17A2.5 2.5 0 0 0 7 19.5h9.5A2.5 2.5 0 0 0 19 17v-5.5\"/><path d=\"m10 14 .6-2.9 7.7-7.7a1.6 1.6 0 0 1 2.3 2.3l-7.7 7.7z\"/>",
    ),
    connection: Icon(
        "<path d=\"M9 7.5V3.5M15 7.5V3.5\"/><path d=\"M6.5 7.5h11v3.75a5.5 5.5 0 0 1-11 0z\"/><path d=\"M12 16.75v3.75\"/>",
    ),
    copy: Icon(
        "<rect x=\"8.5\" y=\"8.5\" width=\"11\" height=\"11\" rx=\"2.25\"/><path d=\"M15.5 5.5V5.25A1.75 1.75 0 0 0 13.75 3.5h-7.5A2.25 2.25 0 0 0 4 5.75v7.5A1.75 1.75 0 0 0 5.5 15\"/>",
    ),
    dark: Icon("<path d=\"M19.5 14.2A7.75 7.75 0 0 1 9.8 4.5a7.75 7.75 0 1 0 9.7 9.7z\"/>"),
    down: Icon("<path d=\"m6.5 9.5 5.5 5.5 5.5-5.5\"/>"),
    key: Icon("<circle cx=\"8\" cy=\"15.5\" r=\"4\"/><path d=\"m11 12.5 8-8\"/><path d=\"m15.5 8 2.75 2.75\"/>"),
    left: Icon("<path d=\"m14.5 6.5-5.5 5.5 5.5 5.5\"/>"),
    light: Icon(
        "<circle cx=\"12\" cy=\"12\" r=\"3.75\"/><path d=\"M12 3.5v1.75M12 18.75v1.75M3.5 12h1.75M18.75 12h1.75M6 6l1.25 1.25M16.75 16.75 18 18M6 18l1.25-1.25M16.75 7.25 18 6\"/>",
    ),
    menu: Icon("<path d=\"M4.5 7.5h15M4.5 12h15M4.5 16.5h15\"/>"),
    more: Icon("<path d=\"M6 12h.01M12 12h.01M18 12h.01\" stroke-width=\"2.75\"/>"),
    plus: Icon("<path d=\"M12 5.5v13M5.5 12h13\"/>"),
    right: Icon("<path d=\"m9.5 6.5 5.5 5.5-5.5 5.5\"/>"),
    search: Icon("<circle cx=\"11\" cy=\"11\" r=\"6\"/><path d=\"m15.5 15.5 4 4\"/>"),
    send: Icon("<path d=\"M12 19V5.5\"/><path d=\"m6 11.25 6-6 6 6\"/>"),
    sign_out: Icon(
        "<path d=\"M10 4.5H7A2.5 2.5 0 0 0 4.5 7v10A2.5 2.5 0 0 0 7 19.5h3\"/><path d=\"M10 12h9.5\"/><path d=\"m15.75 8 4 4-4 4\"/>",
    ),
    stop: Icon("<rect x=\"7.5\" y=\"7.5\" width=\"9\" height=\"9\" rx=\"1.5\" fill=\"currentColor\"/>"),
    system: Icon("<rect x=\"3.5\" y=\"5\" width=\"17\" height=\"11.5\" rx=\"2\"/><path d=\"M9 20h6M12 16.5V20\"/>"),
    trash: Icon(
        "<path d=\"M4.5 6.75h15\"/><path d=\"M9.5 6.75V5.5A1.5 1.5 0 0 1 11 4h2a1.5 1.5 0 0 1 1.5 1.5v1.25\"/><path d=\"m6.5 6.75.8 11.4A2 2 0 0 0 9.3 20h5.4a2 2 0 0 0 2-1.85l.8-11.4\"/>",
    ),
    usage: Icon("<path d=\"M5 19.5V13M12 19.5V4.5M19 19.5V9.5\"/>"),
    users: Icon(
        "<circle cx=\"9\" cy=\"9\" r=\"3.25\"/><path d=\"M3 19a6 6 0 0 1 12 0\"/><path d=\"M15.5 6a3.25 3.25 0 0 1 0 6\"/><path d=\"M17.5 14.25A6 6 0 0 1 21 19\"/>",
    ),
    warning: Icon("<path d=\"M12 4.25 3.5 19h17z\"/><path d=\"M12 10v4.25M12 16.75v.01\"/>"),
};
