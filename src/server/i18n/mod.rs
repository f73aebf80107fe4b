//! The languages of the pages.
//!
//! # Layout
//!
//! * `locale`: the languages there are, and which one a reader gets.
//! * `texts`: the macro in which every page declares its texts, both languages side by side.
//! * `plural`, `format`: counted nouns, numbers, money, dates and times.
//!
//! A text that is missing in one language does not compile. The texts themselves are in the folder
//! of the page that shows them.

mod format;
mod locale;
pub(crate) mod plural;
mod texts;

pub(crate) use locale::Locale;
pub(crate) use texts::texts;
