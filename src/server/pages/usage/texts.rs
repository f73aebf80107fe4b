//! Texts of the usage page.

use crate::i18n::{plural, texts};

texts! {
    /// The usage page.
    UsageTexts

    title { en: "Usage", pl: "Zużycie" }
    lead { en: "What your company uses, updated live.", pl: "Ile zużywa Twoja firma, na bieżąco." }
    own_title { en: "My usage", pl: "Moje zużycie" }
    own_lead { en: "What you use, updated live.", pl: "Ile zużywasz, na bieżąco." }
    statements { en: "Statements of closed months", pl: "Rozliczenia zamkniętych miesięcy" }
    cost { en: "Cost", pl: "Koszt" }
    tokens { en: "Tokens", pl: "Tokeny" }
    tokens_split(input: &str, output: &str) {
        en: format!("{input} in, {output} out"),
        pl: format!("{input} wejściowych, {output} wyjściowych"),
    }
    requests { en: "Requests", pl: "Zapytania" }
    requests_counted(written: &str, n: i64) {
        en: format!("{written} {}", if n == 1 { "request" } else { "requests" }),
        pl: format!("{written} {}", plural::polish_noun(n, "zapytanie", "zapytania", "zapytań")),
    }
    tokens_counted(written: &str, n: i64) {
        en: format!("{written} {}", if n == 1 { "token" } else { "tokens" }),
        pl: format!("{written} {}", plural::polish_noun(n, "token", "tokeny", "tokenów")),
    }
    today { en: "Today", pl: "Dzisiaj" }
    rate(mid: &str, table: &str, day: &str) {
        en: format!("PLN at {mid} to the dollar, NBP table {table} of {day}."),
        pl: format!("Złote po kursie {mid} za dolara, tabela NBP {table} z {day}."),
    }
    rate_newest {
        en: "It is the newest rate; the month keeps its own when it is over.",
        pl: "To najnowszy kurs; po zakończeniu miesiąca zostanie ustalony jego własny.",
    }
    rate_frozen { en: "It is the final rate of this month.", pl: "To ostateczny kurs tego miesiąca." }
    rate_provisional {
        en: "It is the last known rate; that of this month is not known yet.",
        pl: "To ostatni znany kurs; kurs tego miesiąca nie jest jeszcze znany.",
    }
    budget_left { en: "Budget left", pl: "Zostało z budżetu" }
    budget_note(limit: &str, day: &str) {
        en: format!("Of {limit} until {day}"),
        pl: format!("Z {limit} do {day}"),
    }
    whole_month { en: "Month", pl: "Miesiąc" }
    projection { en: "Projection", pl: "Prognoza" }
    projection_note {
        en: "At the end of the month, if it goes on like this",
        pl: "Na koniec miesiąca przy takim tempie",
    }
    daily_average { en: "Daily average", pl: "Średnia dzienna" }
    daily_average_note(days: i64) {
        en: format!("Over {}", plural::english(days, "day", "days")),
        pl: format!("Z {}", plural::polish(days, "dnia", "dni", "dni")),
    }
    unknown(n: i64) {
        en: format!("The cost of {} is unknown", plural::english(n, "request", "requests")),
        pl: format!("Koszt {} jest nieznany", plural::polish(n, "zapytania", "zapytań", "zapytań")),
    }
    unknown_lead {
        en: "Interrupted requests are looked up at the provider. Until then they are not included in the totals.",
        pl: "Przerwane zapytania są sprawdzane u dostawcy. Do tego czasu nie są wliczane do sum.",
    }
    former_connection(n: i64) {
        en: format!("{} used a connection that has been changed or removed since; such a cost can only be looked up over that connection.", plural::english(n, "request", "requests")),
        pl: format!("{} wysłano przez połączenie, które od tego czasu zmieniono lub usunięto; koszt można sprawdzić tylko przez nie.", plural::polish(n, "zapytanie", "zapytania", "zapytań")),
    }
    own_keys {
        en: "The amount after the plus sign was charged to your own keys with providers.",
        pl: "Kwotą po znaku plus obciążono Twoje własne klucze u dostawców.",
    }
    unknown_cell { en: "unknown", pl: "nieznany" }
    month { en: "Month", pl: "Miesiąc" }
    previous_month { en: "Previous month", pl: "Poprzedni miesiąc" }
    choose_month { en: "Choose a month", pl: "Wybierz miesiąc" }
    next_month { en: "Next month", pl: "Następny miesiąc" }
    by_day { en: "By day", pl: "Według dni" }
    by_user { en: "By user", pl: "Według użytkowników" }
    by_model { en: "By model", pl: "Według modeli" }
    by_both { en: "Users and models", pl: "Użytkownicy i modele" }
    other_models { en: "Others", pl: "Pozostałe" }
    sum { en: "Total", pl: "Razem" }
    newest_calls { en: "Newest requests", pl: "Najnowsze zapytania" }
    all_calls { en: "Show all", pl: "Pokaż wszystkie" }
    calls_lead {
        en: "Who asked which model, never what.",
        pl: "Kto pytał który model, bez treści pytań.",
    }
    no_calls { en: "Nobody has asked anything yet.", pl: "Nikt jeszcze o nic nie pytał." }
    newest { en: "Newest", pl: "Najnowsze" }
    older { en: "Older", pl: "Starsze" }
    when { en: "Time", pl: "Czas" }
    correction { en: "correction", pl: "korekta" }
    running_cell { en: "running", pl: "w toku" }
    prices { en: "Prices of these models", pl: "Ceny tych modeli" }
    prices_lead {
        en: "For a million tokens, as your company is billed now. Searches, images and long questions can cost more.",
        pl: "Za milion tokenów, tak jak teraz rozliczana jest Twoja firma. Wyszukiwanie, obrazy i długie pytania mogą kosztować więcej.",
    }
    of_question { en: "Question", pl: "Pytanie" }
    of_answer { en: "Answer", pl: "Odpowiedź" }
    free { en: "free", pl: "bezpłatnie" }
    files { en: "Spreadsheets", pl: "Arkusze" }
    files_lead {
        en: "CSV files of this month, with each billionth of a dollar.",
        pl: "Pliki CSV z tego miesiąca, z dokładnością do miliardowej części dolara.",
    }
    sums_file { en: "By user and model", pl: "Według użytkowników i modeli" }
    rows_file { en: "Each request", pl: "Każde zapytanie" }
    as_table { en: "Show as a table", pl: "Pokaż jako tabelę" }
    chart_of(metric: &str, month: &str) {
        en: format!("{metric} by day, {month}"),
        pl: format!("{metric} według dni, {month}"),
    }
    day { en: "Day", pl: "Dzień" }
    user { en: "User", pl: "Użytkownik" }
    model { en: "Model", pl: "Model" }
    share { en: "Share", pl: "Udział" }
    removed { en: "removed", pl: "konto usunięte" }
    live { en: "Live", pl: "Na żywo" }
    updated(time: &str) { en: format!("updated {time}"), pl: format!("aktualizacja {time}") }
    nothing { en: "No usage in this month", pl: "Brak zużycia w tym miesiącu" }
    nothing_lead {
        en: "Usage appears here as soon as someone chats.",
        pl: "Zużycie pojawi się tutaj, gdy ktoś skorzysta z czatu.",
    }
    zone(zone: &str) {
        en: format!("Dates are in the time zone {zone}."),
        pl: format!("Daty w strefie czasowej {zone}."),
    }
}
