//! Texts of entries of the audit log.

use crate::i18n::{plural, texts};

texts! {
    /// Entries of the audit log and the table of them.
    AuditEntryTexts

    nothing { en: "No entries.", pl: "Brak wpisów." }
    pages { en: "Pages", pl: "Strony" }
    newer { en: "Newer", pl: "Nowsze" }
    older { en: "Older", pl: "Starsze" }
    what { en: "What", pl: "Co" }
    who { en: "Who", pl: "Kto" }
    origin { en: "From where", pl: "Skąd" }
    you { en: "You", pl: "Ty" }
    server { en: "Server", pl: "Serwer" }
    stranger { en: "Not signed in", pl: "Bez logowania" }
    account(name: &str) { en: format!("account: {name}"), pl: format!("konto: {name}") }
    session(id: &str) { en: format!("session {id}"), pl: format!("sesja {id}") }
    api_key(id: &str) { en: format!("API key {id}"), pl: format!("klucz API {id}") }
    times(count: i64, last: &str) {
        en: format!("{count} times, last {last}"),
        pl: format!("liczba prób: {count}, ostatnia {last}"),
    }
    many_addresses { en: "from many addresses", pl: "z wielu adresów" }
    keys(count: i64) {
        en: plural::english(count, "key", "keys"),
        pl: plural::polish(count, "klucz", "klucze", "kluczy"),
    }
    key_changed { en: "new key", pl: "nowy klucz" }
    role_admin { en: "Administrator", pl: "Administrator" }
    role_user { en: "User", pl: "Użytkownik" }

    signed_in { en: "Sign-in", pl: "Logowanie" }
    sign_in_failed { en: "Failed sign-in", pl: "Nieudane logowanie" }
    sign_in_limited { en: "Sign-ins refused after too many attempts", pl: "Logowania odrzucone po zbyt wielu próbach" }
    password_refused { en: "Wrong current password", pl: "Błędne obecne hasło" }
    signed_out { en: "Sign-out", pl: "Wylogowanie" }
    account_registered { en: "Account registered", pl: "Rejestracja konta" }
    account_added { en: "Account added", pl: "Dodanie konta" }
    invited { en: "Person invited", pl: "Zaproszenie osoby" }
    invitation_renewed { en: "Invitation renewed", pl: "Odnowienie zaproszenia" }
    invitation_withdrawn { en: "Invitation withdrawn", pl: "Wycofanie zaproszenia" }
    password_link_made { en: "Link for a new password made", pl: "Link do zmiany hasła" }
    account_removed { en: "Account removed", pl: "Usunięcie konta" }
    email_changed { en: "E-mail changed", pl: "Zmiana adresu e-mail" }
    role_changed { en: "Role changed", pl: "Zmiana roli" }
    password_changed { en: "Password changed", pl: "Zmiana hasła" }
    password_reset { en: "Password reset", pl: "Reset hasła" }
    keys_revoked { en: "API keys revoked", pl: "Unieważnienie kluczy API" }
    key_created { en: "API key created", pl: "Utworzenie klucza API" }
    key_revoked { en: "API key revoked", pl: "Unieważnienie klucza API" }
    connection_saved { en: "Connection changed", pl: "Zmiana połączenia" }
    connection_removed { en: "Connection removed", pl: "Usunięcie połączenia" }
    budget_set { en: "Budget set", pl: "Ustawienie budżetu" }
    budget_raised { en: "Budget raised", pl: "Zwiększenie budżetu" }
    budget_removed { en: "Budget removed", pl: "Usunięcie budżetu" }
    rate_entered { en: "Exchange rate entered", pl: "Wpisanie kursu waluty" }
    configuration_changed { en: "Settings of the server changed", pl: "Zmiana ustawień serwera" }
    configuration_reset { en: "Settings of the pages removed by the provider", pl: "Usunięcie przez dostawcę ustawień ze stron" }
}
