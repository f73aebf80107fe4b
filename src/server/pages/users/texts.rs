//! Texts of the users page.

use crate::i18n::texts;

texts! {
    /// The users page.
    UsersTexts

    title { en: "Users", pl: "Użytkownicy" }
    lead { en: "Everyone who can use this assistant.", pl: "Wszyscy, którzy mogą korzystać z tego asystenta." }
    seats(used: i64, most: i64) {
        en: format!("{used} of {most} accounts in use"),
        pl: format!("Konta w użyciu: {used} z {most}"),
    }
    full {
        en: "All accounts are in use. Remove a user before you add another.",
        pl: "Wszystkie konta są zajęte. Usuń użytkownika, aby dodać następnego.",
    }
    add { en: "Add user", pl: "Dodaj użytkownika" }
    add_title { en: "Add a user", pl: "Dodaj użytkownika" }
    name { en: "Name", pl: "Imię i nazwisko" }
    email { en: "E-mail", pl: "E-mail" }
    role { en: "Role", pl: "Rola" }
    role_admin { en: "Administrator", pl: "Administrator" }
    role_user { en: "User", pl: "Użytkownik" }
    role_admin_hint {
        en: "Also manages users, connection and usage",
        pl: "Zarządza też użytkownikami, połączeniem i zużyciem",
    }
    role_user_hint { en: "Chats", pl: "Korzysta z czatu" }
    last_active { en: "Last active", pl: "Ostatnia aktywność" }
    never { en: "Never", pl: "Nigdy" }
    you { en: "you", pl: "to Ty" }
    password { en: "Password", pl: "Hasło" }
    password_hint {
        en: "Leave empty to generate a strong password.",
        pl: "Zostaw puste, aby wygenerować silne hasło.",
    }
    added(name: &str) { en: format!("{name} can sign in now."), pl: format!("{name} może się już zalogować.") }
    reset_done(name: &str, keys: bool) {
        en: if keys {
            format!("The password of {name} was changed. All their sessions were ended and their API keys revoked.")
        } else {
            format!("The password of {name} was changed and all their sessions were ended.")
        },
        pl: if keys {
            format!("Zmieniono hasło, zakończono wszystkie sesje i unieważniono klucze API: {name}.")
        } else {
            format!("Zmieniono hasło i zakończono wszystkie sesje: {name}.")
        },
    }
    removed(name: &str) { en: format!("{name} was removed."), pl: format!("Usunięto: {name}.") }
    hand_over {
        en: "Pass on this password securely. It is shown only once.",
        pl: "Przekaż to hasło w bezpieczny sposób. Pokazujemy je tylko raz.",
    }
    reset { en: "Reset password", pl: "Zresetuj hasło" }
    reset_lead(name: &str) {
        en: format!("{name} will be signed out everywhere and will need the new password."),
        pl: format!("{name}: wszystkie sesje zostaną zakończone i potrzebne będzie nowe hasło."),
    }
    revoke_keys { en: "Also revoke their API keys", pl: "Unieważnij też klucze API" }
    revoke_keys_hint {
        en: "Programs that use them stop working. Untick only if you trust every key.",
        pl: "Programy, które ich używają, przestaną działać. Odznacz tylko, jeśli ufasz wszystkim kluczom.",
    }
    invite { en: "Invite people", pl: "Zaproś osoby" }
    make_link { en: "Make a link", pl: "Utwórz link" }
    make_link_hint {
        en: "With a link they choose a new password themselves. It works for an hour, once.",
        pl: "Z linkiem osoba sama wybierze nowe hasło. Działa godzinę, jeden raz.",
    }
    link_made(name: &str) { en: format!("A link for {name}"), pl: format!("Link dla: {name}") }
    link_made_lead {
        en: "Pass it on securely. It is shown only once, and works for an hour.",
        pl: "Przekaż go w bezpieczny sposób. Pokazujemy go tylko raz, działa godzinę.",
    }
    or_set { en: "Or set a password yourself", pl: "Albo ustaw hasło samodzielnie" }
    new_password { en: "New password", pl: "Nowe hasło" }
    remove { en: "Remove", pl: "Usuń" }
    remove_title(name: &str) { en: format!("Remove {name}?"), pl: format!("Usunąć konto {name}?") }
    remove_lead {
        en: "They are signed out immediately and lose access to their chats and API keys. Their usage stays in the reports.",
        pl: "Konto zostanie natychmiast wylogowane i straci dostęp do czatów i kluczy API. Zużycie pozostanie w raportach.",
    }
}
