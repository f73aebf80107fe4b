//! Texts of the frame around every page.

use crate::i18n::texts;

texts! {
    /// The frame around every page, and words that several pages share.
    LayoutTexts

    skip { en: "Skip to content", pl: "Przejdź do treści" }
    menu { en: "Menu", pl: "Menu" }
    close { en: "Close", pl: "Zamknij" }
    cancel { en: "Cancel", pl: "Anuluj" }
    copy { en: "Copy", pl: "Kopiuj" }
    your_password { en: "Your current password", pl: "Twoje obecne hasło" }
    your_password_hint {
        en: "You entered it a while ago, and this changes who gets in.",
        pl: "Minęła chwila od jego podania, a ta zmiana dotyczy dostępu.",
    }
    copied { en: "Copied", pl: "Skopiowano" }
    back_to_chat { en: "Back to chat", pl: "Wróć do czatu" }
    settings { en: "Settings", pl: "Ustawienia" }
    administration { en: "Administration", pl: "Administracja" }
    personal { en: "You", pl: "Ty" }
    theme { en: "Appearance", pl: "Wygląd" }
    theme_system { en: "System", pl: "Systemowy" }
    theme_light { en: "Light", pl: "Jasny" }
    theme_dark { en: "Dark", pl: "Ciemny" }
    sign_out { en: "Sign out", pl: "Wyloguj się" }
}
