//! The navigation: one list of the pages that have an entry in it.

use super::{
    account, audit, connection,
    layout::{Icon, LayoutTexts},
    usage, users,
};
use crate::i18n::Locale;

/// A page's entry in the navigation, declared next to its routes. Templates of the page compare it
/// with each entry, to mark the current one.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) path: &'static str,
    pub(super) icon: Icon,
    pub(super) title: fn(Locale) -> &'static str,
}

/// Pages for administrators, in order.
pub(super) const ADMINISTRATION: &[Entry] = &[usage::ENTRY, users::ENTRY, connection::ENTRY, audit::ENTRY];

/// Pages for everybody, in order.
pub(super) const PERSONAL: &[Entry] = &[usage::OWN_ENTRY, account::ENTRY];

/// Entries under a heading.
pub(super) struct Section {
    pub(super) heading: &'static str,
    pub(super) entries: &'static [Entry],
}

/// Returns the sections that are open to an administrator or to a user.
pub(super) fn sections(texts: LayoutTexts, admin: bool) -> impl Iterator<Item = Section> {
    let administration = Section { heading: texts.administration(), entries: ADMINISTRATION };
    let personal = Section { heading: texts.personal(), entries: PERSONAL };
    admin.then_some(administration).into_iter().chain([personal])
}
