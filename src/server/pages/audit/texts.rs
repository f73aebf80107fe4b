//! Texts of the audit page.

use crate::i18n::texts;

texts! {
    /// The audit page.
    AuditTexts

    title { en: "Audit", pl: "Dziennik" }
    lead {
        en: "Who signed in and who changed accounts, keys and settings. Entries are kept for a year and hold no content of chats.",
        pl: "Kto się logował oraz zmieniał konta, klucze i ustawienia. Wpisy są przechowywane przez rok i nie zawierają treści czatów.",
    }
}
