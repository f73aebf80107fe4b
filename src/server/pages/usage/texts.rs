//! Texts of the usage page.

use crate::i18n::{plural, texts};

texts! {
    /// The usage page.
    UsageTexts

    title { en: "Usage", pl: "Zużycie" }
    lead { en: "What your company uses, updated live.", pl: "Ile zużywa Twoja firma, na bieżąco." }
    cost { en: "Cost", pl: "Koszt" }
    tokens { en: "Tokens", pl: "Tokeny" }
    tokens_split(input: &str, output: &str) {
        en: format!("{input} in, {output} out"),
        pl: format!("{input} wejściowych, {output} wyjściowych"),
    }
    requests { en: "Requests", pl: "Zapytania" }
    requests_note { en: "In this month", pl: "W tym miesiącu" }
    daily_average { en: "Daily average", pl: "Średnia dzienna" }
    daily_average_note(days: i64) {
        en: format!("Over {}", plural::english(days, "day", "days")),
        pl: format!("Z {}", plural::polish(days, "dnia", "dni", "dni")),
    }
    today(cost: &str) { en: format!("{cost} today"), pl: format!("dzisiaj {cost}") }
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
    next_month { en: "Next month", pl: "Następny miesiąc" }
    by_day { en: "By day", pl: "Według dni" }
    by_user { en: "By user", pl: "Według użytkowników" }
    by_model { en: "By model", pl: "Według modeli" }
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
