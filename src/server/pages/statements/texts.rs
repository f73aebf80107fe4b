//! Texts of the page of statements.

use crate::i18n::{plural, texts};

texts! {
    /// The page of statements.
    StatementTexts

    title { en: "Statements", pl: "Rozliczenia" }
    lead {
        en: "What your company is billed for each closed month. A statement is made a day after the end of its month and does not change any more.",
        pl: "Za co Twoja firma jest rozliczana w każdym zamkniętym miesiącu. Rozliczenie powstaje dzień po końcu miesiąca i później się nie zmienia.",
    }
    none { en: "No month is closed yet", pl: "Żaden miesiąc nie jest jeszcze zamknięty" }
    none_lead {
        en: "The first statement appears here a day after the end of this month.",
        pl: "Pierwsze rozliczenie pojawi się tutaj dzień po końcu tego miesiąca.",
    }
    usage { en: "Usage", pl: "Zużycie" }
    month { en: "Month", pl: "Miesiąc" }
    frozen_on(date: &str) { en: format!("Closed on {date}."), pl: format!("Zamknięto {date}.") }
    csv { en: "Download as CSV", pl: "Pobierz jako CSV" }
    total { en: "Total", pl: "Razem" }
    requests { en: "Requests", pl: "Zapytania" }
    tokens { en: "Tokens", pl: "Tokeny" }
    price { en: "Price", pl: "Cena" }
    złoty { en: "In złoty", pl: "W złotych" }
    people { en: "Active people", pl: "Aktywne osoby" }
    people_note(days: i64) {
        en: format!("On {}", plural::english(days, "day", "days")),
        pl: format!("W ciągu {}", plural::polish(days, "dnia", "dni", "dni")),
    }
    rate_frozen(mid: &str, table: &str, date: &str) {
        en: format!("At {mid} PLN for a dollar, table {table} of {date}. The rate of this month does not change any more."),
        pl: format!("Po kursie {mid} zł za dolara, tabela {table} z {date}. Kurs tego miesiąca już się nie zmieni."),
    }
    rate_provisional(mid: &str, table: &str, date: &str) {
        en: format!("At {mid} PLN for a dollar, the last known rate (table {table} of {date}). The rate of this month is not known yet."),
        pl: format!("Po kursie {mid} zł za dolara, ostatnim znanym (tabela {table} z {date}). Kurs tego miesiąca nie jest jeszcze znany."),
    }
    rate_unknown { en: "No exchange rate is known yet.", pl: "Kurs waluty nie jest jeszcze znany." }
    unknown(n: i64) {
        en: format!("The cost of {} was not known when the month was closed", plural::english(n, "request", "requests")),
        pl: format!("Przy zamknięciu miesiąca koszt {} nie był znany", plural::polish(n, "zapytania", "zapytań", "zapytań")),
    }
    unknown_lead {
        en: "What becomes known later is a correction in the next statement.",
        pl: "To, co wyjaśni się później, będzie korektą w następnym rozliczeniu.",
    }
    own_connection(price: &str) {
        en: format!("{price} was used over your company's own connection and is not billed."),
        pl: format!("{price} zużyto przez własne połączenie firmy; ta kwota nie jest rozliczana."),
    }
    by_person { en: "By user", pl: "Według użytkowników" }
    by_model { en: "By model", pl: "Według modeli" }
    user { en: "User", pl: "Użytkownik" }
    model { en: "Model", pl: "Model" }
    nameless { en: "Name erased", pl: "Nazwa usunięta" }
    corrections { en: "Corrections of former months", pl: "Korekty wcześniejszych miesięcy" }
    seats { en: "Active people by day", pl: "Aktywne osoby według dni" }
    day { en: "Day", pl: "Dzień" }
    nothing { en: "No usage in this month", pl: "Brak zużycia w tym miesiącu" }
}
