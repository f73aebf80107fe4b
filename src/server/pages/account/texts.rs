//! Texts of the account page.

use crate::i18n::{Locale, plural, texts};

texts! {
    /// The account page.
    AccountTexts

    title { en: "Account", pl: "Konto" }
    lead { en: "Your profile, password and API keys.", pl: "Twój profil, hasło i klucze API." }
    profile { en: "Profile", pl: "Profil" }
    name { en: "Name", pl: "Imię i nazwisko" }
    email { en: "E-mail", pl: "E-mail" }
    language { en: "Language", pl: "Język" }
    language_automatic { en: "Automatic", pl: "Automatycznie" }
    save { en: "Save", pl: "Zapisz" }
    saved { en: "Saved.", pl: "Zapisano." }
    password { en: "Password", pl: "Hasło" }
    password_lead {
        en: "Changing it ends your other sessions.",
        pl: "Zmiana hasła kończy Twoje pozostałe sesje.",
    }
    current_password { en: "Current password", pl: "Obecne hasło" }
    new_password { en: "New password", pl: "Nowe hasło" }
    new_password_hint { en: "At least 8 characters.", pl: "Co najmniej 8 znaków." }
    change_password { en: "Change password", pl: "Zmień hasło" }
    password_changed {
        en: "Your password was changed. Your other sessions were ended.",
        pl: "Hasło zostało zmienione. Pozostałe sesje zostały zakończone.",
    }
    keys { en: "API keys", pl: "Klucze API" }
    keys_lead {
        en: "Use this assistant from your own programs through the OpenAI API. A key acts on your behalf, but never changes a password, an account or another key.",
        pl: "Korzystaj z asystenta we własnych programach przez API OpenAI. Klucz działa w Twoim imieniu, ale nigdy nie zmienia haseł, kont ani innych kluczy.",
    }
    key_name { en: "Name", pl: "Nazwa" }
    key_name_example { en: "e.g. Report script", pl: "np. Skrypt raportów" }
    scopes { en: "Allowed", pl: "Uprawnienia" }
    scope_chat { en: "Chat", pl: "Czat" }
    scope_chat_hint { en: "Models and your own chats", pl: "Modele i Twoje czaty" }
    scope_usage { en: "Usage", pl: "Zużycie" }
    scope_usage_hint { en: "Reads your own usage", pl: "Odczyt Twojego zużycia" }
    scope_usage_hint_admin { en: "Reads everybody’s usage", pl: "Odczyt zużycia wszystkich osób" }
    scope_admin { en: "Administration", pl: "Administracja" }
    scope_admin_hint {
        en: "Reads users, connection and audit, and removes users. Only while you are an administrator.",
        pl: "Odczyt użytkowników, połączenia i dziennika oraz usuwanie użytkowników. Tylko dopóki jesteś administratorem.",
    }
    expires { en: "Expires", pl: "Wygasa" }
    expires_never { en: "Never", pl: "Nigdy" }
    expires_after(days: i64) {
        en: format!("After {}", plural::english(days, "day", "days")),
        pl: format!("Po {} dniach", days),
    }
    expires_on(date: &str) { en: format!("expires {date}"), pl: format!("wygasa {date}") }
    expired(date: &str) { en: format!("expired {date}"), pl: format!("klucz wygasł {date}") }
    spent { en: "Spent", pl: "Koszt" }
    at_least(cost: &str) { en: format!("at least {cost}"), pl: format!("co najmniej {cost}") }
    tokens(tokens: i64) {
        en: format!("{} tokens", Locale::En.number(tokens)),
        pl: format!("tokeny: {}", Locale::Pl.number(tokens)),
    }
    password_for_admin_hint {
        en: "Only for a key with administration.",
        pl: "Tylko dla klucza z administracją.",
    }
    create_key { en: "Create key", pl: "Utwórz klucz" }
    key_created(name: &str) {
        en: format!("Key “{name}” was created"),
        pl: format!("Utworzono klucz „{name}”"),
    }
    key_once { en: "Copy it now. It is shown only once.", pl: "Skopiuj go teraz. Pokazujemy go tylko raz." }
    key_snippet { en: "Try it with Python", pl: "Wypróbuj w Pythonie" }
    no_keys { en: "No keys yet.", pl: "Nie masz jeszcze kluczy." }
    activity { en: "Activity", pl: "Aktywność" }
    activity_lead {
        en: "Sign-ins and changes of your account. If something was not you, change your password and tell your administrator.",
        pl: "Logowania i zmiany Twojego konta. Jeśli czegoś nie rozpoznajesz, zmień hasło i powiadom administratora.",
    }
    show_all { en: "Show all", pl: "Pokaż wszystko" }
    created { en: "Created", pl: "Utworzono" }
    last_used { en: "Last used", pl: "Ostatnio użyty" }
    never { en: "Never", pl: "Nigdy" }
    revoke { en: "Revoke", pl: "Unieważnij" }
    revoke_title(name: &str) { en: format!("Revoke “{name}”?"), pl: format!("Unieważnić „{name}”?") }
    revoke_lead {
        en: "Programs that use this key stop working immediately.",
        pl: "Programy, które używają tego klucza, natychmiast przestaną działać.",
    }
    revoked { en: "The key was revoked.", pl: "Klucz został unieważniony." }
}
