//! Texts of the error pages.

use crate::i18n::texts;

texts! {
    /// The error pages.
    ErrorTexts

    not_found { en: "Page not found", pl: "Nie znaleziono strony" }
    not_found_lead {
        en: "The address may be wrong, or the page may have been deleted.",
        pl: "Adres może być błędny albo strona została usunięta.",
    }
    forbidden { en: "Only for administrators", pl: "Tylko dla administratorów" }
    forbidden_lead {
        en: "Your account has no access to this page. If you need it, ask an administrator.",
        pl: "Twoje konto nie ma dostępu do tej strony. Jeśli jej potrzebujesz, zwróć się do administratora.",
    }
    busy { en: "Too much at once", pl: "Zbyt duże obciążenie" }
    busy_lead {
        en: "The server is too busy to show this now. Try again in a moment.",
        pl: "Serwer jest teraz zbyt obciążony, aby to pokazać. Spróbuj ponownie za chwilę.",
    }
    internal { en: "Something went wrong", pl: "Coś poszło nie tak" }
    internal_lead {
        en: "The server could not do this. Try again in a moment. If it happens again, tell your administrator.",
        pl: "Serwer nie mógł tego wykonać. Spróbuj za chwilę. Jeśli to się powtórzy, powiadom administratora.",
    }
    home { en: "Back to chat", pl: "Wróć do czatu" }
}
