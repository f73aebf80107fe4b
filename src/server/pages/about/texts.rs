//! Texts of the page about the program.

use crate::i18n::texts;

texts! {
    /// The page about the program.
    AboutTexts

    title { en: "About", pl: "O programie" }
    lead { en: "The program behind this assistant.", pl: "Program, na którym działa ten asystent." }
    version { en: "Version", pl: "Wersja" }
}
