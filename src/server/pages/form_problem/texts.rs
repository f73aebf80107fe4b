//! Texts of what is wrong with a form.

use crate::i18n::{plural, texts};

texts! {
    /// Problems above a form.
    ProblemTexts

    wrong_credentials {
        en: "E-mail and password do not match. Check both and try again.",
        pl: "E-mail i hasło nie pasują do siebie. Sprawdź je i spróbuj ponownie.",
    }
    wrong_password { en: "The current password is incorrect.", pl: "Obecne hasło jest nieprawidłowe." }
    too_many_attempts(seconds: u64) {
        en: format!("Too many attempts. Try again in {seconds} s."),
        pl: format!("Zbyt wiele prób. Spróbuj ponownie za {seconds} s."),
    }
    hasher_busy {
        en: "Too many people are signing in at this moment. Try again in a few seconds.",
        pl: "W tej chwili loguje się zbyt wiele osób. Spróbuj ponownie za kilka sekund.",
    }
    registration_closed {
        en: "Registration is closed. Ask your administrator to add you.",
        pl: "Rejestracja jest zamknięta. Poproś administratora o dodanie.",
    }
    bad_key_name {
        en: "Enter a key name of up to 100 characters.",
        pl: "Podaj nazwę klucza, najwyżej 100 znaków.",
    }
    too_many_keys(most: i64) {
        en: format!("You already have {}. Revoke one first.", plural::english(most, "API key", "API keys")),
        pl: format!("Masz już {}. Najpierw unieważnij jeden z nich.", plural::polish(most, "klucz API", "klucze API", "kluczy API")),
    }
    password_needed {
        en: "Enter your current password to confirm this.",
        pl: "Podaj swoje obecne hasło, aby to potwierdzić.",
    }
    bad_expiry { en: "Choose when the key expires.", pl: "Wybierz, kiedy klucz ma wygasnąć." }
    admin_scope {
        en: "Only an administrator can create a key for administration.",
        pl: "Klucz do administracji może utworzyć tylko administrator.",
    }
    bad_name { en: "Enter a name of up to 100 characters.", pl: "Podaj imię i nazwisko, najwyżej 100 znaków." }
    bad_email { en: "Enter a valid e-mail address.", pl: "Podaj prawidłowy adres e-mail." }
    weak_password { en: "A password has 8 to 1024 characters.", pl: "Hasło musi mieć od 8 do 1024 znaków." }
    email_taken { en: "This e-mail is already in use.", pl: "Ten adres e-mail jest już używany." }
    full {
        en: "All accounts are in use. Remove a user before you add another.",
        pl: "Wszystkie konta są zajęte. Usuń użytkownika, aby dodać następnego.",
    }
    last_admin {
        en: "This is the last administrator. Make another user an administrator first.",
        pl: "To ostatni administrator. Najpierw nadaj tę rolę innemu użytkownikowi.",
    }
    yourself { en: "You cannot remove your own account.", pl: "Nie możesz usunąć własnego konta." }
    answer_in_progress {
        en: "An answer is still being written in this chat. Wait for it or stop it.",
        pl: "W tym czacie wciąż powstaje odpowiedź. Poczekaj na nią albo ją zatrzymaj.",
    }
    empty_message { en: "Write a message first.", pl: "Najpierw napisz wiadomość." }
    message_too_long(most: &str) {
        en: format!("A message can have at most {most} characters. Shorten it."),
        pl: format!("Wiadomość może mieć najwyżej {most} znaków. Skróć ją."),
    }
    bad_title(most: usize) {
        en: format!("Enter a title of up to {most} characters."),
        pl: format!("Podaj tytuł, najwyżej {most} znaków."),
    }
    bad_search(characters: usize, words: usize) {
        en: format!("A search can have at most {characters} characters and {words} words. Shorten it."),
        pl: format!("Wyszukiwanie może mieć najwyżej {characters} znaków i {words} słów. Skróć je."),
    }
    overloaded {
        en: "The server is too busy to ask this now. Try again in a moment.",
        pl: "Serwer jest teraz zbyt obciążony, aby o to zapytać. Spróbuj ponownie za chwilę.",
    }
    not_connected {
        en: "Not connected to a model yet. Ask your administrator.",
        pl: "Brak połączenia z modelem. Zwróć się do administratora.",
    }
    not_private {
        en: "The connection does not fit the privacy rules of this server. Ask your administrator.",
        pl: "Połączenie nie spełnia zasad prywatności tego serwera. Zwróć się do administratora.",
    }
    model_not_found {
        en: "This model is no longer offered. Choose another one.",
        pl: "Ten model nie jest już oferowany. Wybierz inny.",
    }
    connection_not_saved { en: "Not saved", pl: "Nie zapisano" }
    already_invited { en: "This person is invited already.", pl: "Ta osoba ma już zaproszenie." }
    link_unknown {
        en: "It may be incomplete, or replaced by a newer one. Please ask for another.",
        pl: "Może być niepełny albo zastąpiony nowszym. Poproś o nowy.",
    }
    link_used {
        en: "It was used already. Sign in with your password, or ask for another link.",
        pl: "Został już wykorzystany. Zaloguj się hasłem albo poproś o nowy link.",
    }
    link_expired { en: "It has expired. Please ask for another.", pl: "Wygasł. Poproś o nowy." }
    no_rate {
        en: "No exchange rate is known yet. Give the limit in dollars.",
        pl: "Kurs nie jest jeszcze znany. Podaj limit w dolarach.",
    }
    bad_limit {
        en: "Enter a limit from 0 to 1,000,000 dollars, such as 25 or 12.50.",
        pl: "Podaj limit od 0 do 1 000 000 dolarów, na przykład 25 albo 12,50.",
    }
    no_such_account { en: "This account does not exist any more.", pl: "To konto już nie istnieje." }
}
