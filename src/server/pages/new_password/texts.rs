//! Texts of the page for a new password.

use crate::i18n::texts;

texts! {
    /// The page for a new password.
    NewPasswordTexts

    title { en: "Choose a new password", pl: "Wybierz nowe hasło" }
    lead(name: &str) {
        en: format!("{name}, all your sessions end with it, and you sign in again."),
        pl: format!("{name}, wszystkie Twoje sesje zostaną zakończone i trzeba będzie zalogować się ponownie."),
    }
    password { en: "New password", pl: "Nowe hasło" }
    password_hint { en: "At least 8 characters.", pl: "Co najmniej 8 znaków." }
    save { en: "Save", pl: "Zapisz" }
    saved { en: "Your password was changed. Please sign in.", pl: "Hasło zmieniono. Zaloguj się." }
    not_working { en: "This link does not work", pl: "Ten link nie działa" }
    sign_in { en: "Sign in", pl: "Zaloguj się" }
}
