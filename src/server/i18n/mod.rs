//! The languages of the pages. A text that is missing in one of them does not compile.

mod choice;
mod en;
mod pl;
mod texts;
mod write;

pub(crate) use choice::Locale;
pub(crate) use texts::Texts;
