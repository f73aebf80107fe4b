//! The frame around every page: who is looking, in which language and appearance, and the request's
//! nonce.
//!
//! # Layout
//!
//! * `visitor`: the extractors of every handler, which build a [`Layout`] from the request.
//! * `theme`, `icons`, `notice`: appearance, inline SVG, and the box that says how something went.
//! * `layout.html`, `settings.html`: the document and, within it, the frame of pages with a
//!   navigation; `navigation.html`, `notice.html`, `footer.html` and `brand.html` are their parts.

mod icons;
mod notice;
mod texts;
mod theme;
mod visitor;

use axum::http::Method;
use jiff::tz::TimeZone;

use super::{
    assets::Assets,
    error_page::{ErrorPage, PageError},
    form_problem::{FormError, FormOutcome},
    navigation::{self, Entry, Section},
};
use crate::i18n::Locale;

pub(super) use icons::{ICONS, Icon, Icons};
pub(super) use notice::{Notice, Tone};
pub(super) use texts::LayoutTexts;
pub(super) use theme::Theme;
pub(super) use visitor::{AdminVisitor, SignedInVisitor, Visitor};

/// The frame of one request's page.
#[derive(Clone)]
pub(super) struct Layout {
    /// Display name of the instance.
    pub(super) instance: String,
    /// Carried by the page's scripts and by the elements that htmx may act on. Unguessable for
    /// other pages.
    pub(super) nonce: String,
    pub(super) locale: Locale,
    pub(super) texts: LayoutTexts,
    pub(super) theme: Theme,
    pub(super) method: Method,
    /// The path without the query.
    pub(super) path: String,
    /// The path with the query.
    pub(super) path_and_query: String,
    pub(super) viewer: Option<Viewer>,
    pub(super) zone: TimeZone,
    pub(super) icons: &'static Icons,
    pub(super) assets: &'static Assets,
    /// True when htmx requests a part of a page, false when the browser requests a whole one.
    pub(super) by_htmx: bool,
}

/// The signed-in person, as the frame shows them.
#[derive(Clone)]
pub(super) struct Viewer {
    /// The id of the account, by which the browser keeps drafts apart.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) initials: String,
    pub(super) admin: bool,
}

impl Layout {
    pub(super) fn is_admin(&self) -> bool {
        self.viewer.as_ref().is_some_and(|viewer| viewer.admin)
    }

    /// Returns the sections of the navigation that are open to the viewer.
    pub(super) fn sections(&self) -> impl Iterator<Item = Section> {
        navigation::sections(self.texts, self.is_admin())
    }

    /// Returns the title of an entry of the navigation in the reader's language.
    pub(super) fn title_of(&self, entry: &Entry) -> &'static str {
        (entry.title)(self.locale)
    }

    /// Returns the path to come back to after a change of the appearance: this page, or `page`
    /// where this request was a form that cannot be fetched again.
    pub(super) fn return_path<'a>(&'a self, page: &'a str) -> &'a str {
        if self.method == Method::GET { &self.path } else { page }
    }

    /// Passes a success on and turns a failure into its error page.
    pub(super) fn check<T, E: Into<PageError>>(&self, outcome: Result<T, E>) -> Result<T, ErrorPage> {
        outcome.map_err(|error| self.refuse(error.into()))
    }

    /// Returns what a redrawn form says about `error`, or the error page where the reader cannot
    /// correct it.
    pub(super) fn form_problem<E: FormError>(&self, error: E) -> Result<FormOutcome, ErrorPage> {
        match error.problem(self.locale) {
            Some(notice) => Ok(FormOutcome::problem(error.status(), notice)),
            None => Err(self.refuse(error.into())),
        }
    }

    /// Returns an error page in this frame.
    pub(super) fn refuse(&self, error: PageError) -> ErrorPage {
        ErrorPage::new(self.clone(), error)
    }
}

/// Returns the initials of the first and the last word of a name, for the avatar.
pub(super) fn initials(name: &str) -> String {
    let mut words = name.split_whitespace().filter_map(|word| word.chars().next());
    let first = words.next();
    first.into_iter().chain(words.next_back()).flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use askama::Template;

    use super::{super::snapshot, *};

    #[test]
    fn initials_are_those_of_first_and_last_word() {
        for (name, expected) in [("Anna Maria Nowak", "AN"), ("łukasz", "Ł"), ("  ", ""), ("Jan Żak", "JŻ")] {
            assert_eq!(initials(name), expected);
        }
    }

    const ENTRY: Entry = Entry { path: "/account", icon: ICONS.account, title: |_| "Account" };

    /// A page without content, so that the snapshot shows the frame alone.
    #[derive(Template)]
    #[template(
        source = "{% extends \"layout/settings.html\" %}{% block title %}Title{% endblock %}{% block heading %}Heading{% endblock %}",
        ext = "html"
    )]
    struct EmptyPage<'a> {
        layout: &'a Layout,
    }

    #[test]
    fn frame_and_navigation_match_their_snapshot() {
        snapshot::assert_document("layout", "/account", |layout| EmptyPage { layout }.render());
    }

    #[test]
    fn navigation_of_a_user_has_no_administration() {
        let mut layout = snapshot::layout(Locale::En, "/account");
        layout.viewer = Some(Viewer { admin: false, ..layout.viewer.unwrap() });
        let html = EmptyPage { layout: &layout }.render().unwrap();
        assert!(html.contains("href=\"/account\"") && !html.contains("href=\"/users\""), "{html}");
    }

    #[test]
    fn return_path_after_a_form_is_the_page() {
        let mut layout = snapshot::layout(Locale::En, "/account/profile");
        assert_eq!(layout.return_path("/account"), "/account/profile");
        layout.method = Method::POST;
        assert_eq!(layout.return_path("/account"), "/account");
    }
}
