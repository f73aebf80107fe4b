//! Texts of invitations.

use crate::i18n::texts;

texts! {
    /// The page of invitations, and the one that an invitation opens.
    InvitationTexts

    title { en: "Invite people", pl: "Zaproś osoby" }
    lead {
        en: "Everyone gets a link of their own and chooses a password. It works for seven days, once.",
        pl: "Każda osoba dostaje własny link i sama wybiera hasło. Link działa siedem dni, jeden raz.",
    }
    list { en: "People", pl: "Osoby" }
    list_hint {
        en: "One person on each line: name and e-mail, as in a table or an address book. Up to 500.",
        pl: "Jedna osoba w wierszu: imię, nazwisko i e-mail, jak w tabeli lub książce adresowej. Najwyżej 500.",
    }
    check { en: "Check the list", pl: "Sprawdź listę" }
    checked { en: "Please check", pl: "Sprawdź" }
    invite(count: usize) {
        en: if count == 1 { "Invite one person".to_owned() } else { format!("Invite {count} people") },
        pl: format!("Zaproś ({count})"),
    }
    left_out(count: usize) {
        en: if count == 1 { "One line is left out.".to_owned() } else { format!("{count} lines are left out.") },
        pl: format!("Pominięte wiersze: {count}."),
    }
    correct { en: "Correct the list", pl: "Popraw listę" }
    seats(used: i64, invited: i64, most: i64) {
        en: format!("{used} of {most} accounts in use, {invited} more invited"),
        pl: format!("Konta w użyciu: {used} z {most}, zaproszone: {invited}"),
    }
    will_be_invited { en: "Will be invited", pl: "Będzie zaproszenie" }
    line { en: "Line", pl: "Wiersz" }
    name { en: "Name", pl: "Imię i nazwisko" }
    link { en: "Link", pl: "Link" }
    invited(count: usize) {
        en: if count == 1 { "One person is invited.".to_owned() } else { format!("{count} people are invited.") },
        pl: format!("Zaproszone osoby: {count}."),
    }
    pass_on {
        en: "Pass on the links now: they are shown only once. Whoever has a link can use it.",
        pl: "Przekaż linki teraz: pokazujemy je tylko raz. Link może wykorzystać każdy, kto go ma.",
    }
    all_links { en: "All links as text", pl: "Wszystkie linki jako tekst" }
    open { en: "Open invitations", pl: "Otwarte zaproszenia" }
    nobody { en: "Nobody is waiting for an answer.", pl: "Nie ma otwartych zaproszeń." }
    until(day: &str) { en: format!("until {day}"), pl: format!("do {day}") }
    expired { en: "expired", pl: "wygasło" }
    renew { en: "New link", pl: "Nowy link" }
    withdraw { en: "Withdraw", pl: "Wycofaj" }
    withdrawn { en: "The invitation was withdrawn.", pl: "Zaproszenie wycofano." }
    back { en: "Users", pl: "Użytkownicy" }

    no_address { en: "No e-mail address, or one with a typo", pl: "Brak adresu e-mail albo literówka" }
    bad_name { en: "The name is too long", pl: "Imię i nazwisko jest za długie" }
    formula { en: "The name looks like a formula", pl: "Imię wygląda jak formuła" }
    repeated(line: usize) { en: format!("Same address as line {line}"), pl: format!("Ten sam adres co w wierszu {line}") }
    taken { en: "Has an account", pl: "Ma już konto" }
    already { en: "Is invited", pl: "Ma już zaproszenie" }
    full(most: u32) { en: format!("All {most} accounts are taken"), pl: format!("Wszystkie konta ({most}) są zajęte") }
    empty_list { en: "Put one person on each line.", pl: "Wpisz po jednej osobie w wierszu." }
    long_list { en: "Paste at most 500 people at once.", pl: "Wklej najwyżej 500 osób naraz." }

    welcome(name: &str) { en: format!("Welcome, {name}"), pl: format!("Witaj, {name}") }
    welcome_lead(email: &str) {
        en: format!("You are invited. Choose a password, with which you sign in as {email}."),
        pl: format!("Masz zaproszenie. Wybierz hasło, którym będziesz się logować jako {email}."),
    }
    not_working { en: "This link does not work", pl: "Ten link nie działa" }
    password { en: "Password", pl: "Hasło" }
    password_hint { en: "At least 8 characters.", pl: "Co najmniej 8 znaków." }
    create { en: "Create account", pl: "Utwórz konto" }
    sign_in { en: "Sign in", pl: "Zaloguj się" }
    privacy {
        en: "Your chats are stored only in your company’s own instance.",
        pl: "Twoje czaty są przechowywane tylko w instancji Twojej firmy.",
    }
}
