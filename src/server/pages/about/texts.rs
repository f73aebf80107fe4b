//! Texts of the about page.

use crate::i18n::texts;

texts! {
    /// The about page.
    AboutTexts

    title { en: "About", pl: "O programie" }
    lead { en: "The assistant and the program it runs on.", pl: "Asystent i program, na którym działa." }
    name { en: "Name", pl: "Nazwa" }
    version { en: "Version", pl: "Wersja" }
}
