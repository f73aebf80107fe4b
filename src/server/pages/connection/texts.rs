//! Texts of the connection page.

use crate::i18n::{plural, texts};

texts! {
    /// The connection page.
    ConnectionTexts

    title { en: "Connection", pl: "Połączenie" }
    lead {
        en: "The service that answers. Everyone here uses the same key.",
        pl: "Usługa, która odpowiada na pytania. Wszyscy korzystają z jednego klucza.",
    }
    service { en: "AI service", pl: "Usługa AI" }
    base_url { en: "Base URL", pl: "Adres bazowy" }
    base_url_hint {
        en: "OpenRouter, or any other OpenAI-compatible endpoint.",
        pl: "OpenRouter lub inny serwer zgodny z API OpenAI.",
    }
    key { en: "API key", pl: "Klucz API" }
    key_hint { en: "Not shown again after saving.", pl: "Po zapisaniu nie będzie już pokazywany." }
    key_kept(hint: &str) {
        en: {
            let which = if hint.is_empty() { String::new() } else { format!(" ending in {hint}") };
            format!("A key{which} is stored. Leave empty to keep it.")
        },
        pl: {
            let which = if hint.is_empty() { String::new() } else { format!(" o końcówce {hint}") };
            format!("Zapisany jest klucz{which}. Zostaw puste, aby go zachować.")
        },
    }
    save_and_check { en: "Save and check", pl: "Sprawdź i zapisz" }
    saved {
        en: "Connected. The key was checked and saved.",
        pl: "Połączono. Klucz został sprawdzony i zapisany.",
    }
    connected { en: "Connected", pl: "Połączono" }
    not_connected { en: "Not connected", pl: "Brak połączenia" }
    failing { en: "Not working", pl: "Nie działa" }
    source { en: "Set by", pl: "Ustawione przez" }
    source_environment { en: "your provider", pl: "dostawcę" }
    source_database { en: "an administrator", pl: "administratora" }
    source_mock { en: "the built-in demonstration model", pl: "wbudowany model pokazowy" }
    source_none { en: "no one yet", pl: "jeszcze nikogo" }
    remove { en: "Remove key", pl: "Usuń klucz" }
    remove_title { en: "Remove the stored key?", pl: "Usunąć zapisany klucz?" }
    remove_lead {
        en: "If your provider has set up a connection, it is used again. Otherwise nobody can chat until you save a new key.",
        pl: "Jeśli dostawca skonfigurował połączenie, znów będzie używane. W przeciwnym razie nikt nie porozmawia, dopóki nie zapiszesz nowego klucza.",
    }
    removed { en: "The stored key was removed.", pl: "Zapisany klucz został usunięty." }
    models { en: "Models", pl: "Modele" }
    models_count(n: i64) {
        en: plural::english(n, "model", "models"),
        pl: plural::polish(n, "model", "modele", "modeli"),
    }
    models_lead { en: "What people can choose in the chat.", pl: "Do wyboru w czacie." }
    sealed {
        en: "The key is stored encrypted and sent only to the base URL above.",
        pl: "Klucz jest przechowywany w postaci zaszyfrowanej i wysyłany tylko pod powyższy adres bazowy.",
    }
}
