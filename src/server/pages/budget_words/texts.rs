//! Texts of budgets.

use crate::i18n::texts;

texts! {
    /// Budgets.
    BudgetTexts

    title { en: "Budgets", pl: "Budżety" }
    own_title { en: "Your budgets", pl: "Twoje budżety" }
    none { en: "Nothing limits what people spend.", pl: "Nic nie ogranicza wydatków." }
    company { en: "The company together", pl: "Cała firma razem" }
    each_person { en: "Each person", pl: "Każda osoba" }
    you { en: "You", pl: "Ty" }
    key(name: &str) { en: format!("API key {name}"), pl: format!("Klucz API {name}") }
    a_day(limit: &str) { en: format!("{limit} a day"), pl: format!("{limit} dziennie") }
    a_month(limit: &str) { en: format!("{limit} a month"), pl: format!("{limit} miesięcznie") }
    hard { en: "refuses beyond it", pl: "powyżej odmawia" }
    soft { en: "warns only", pl: "tylko ostrzega" }
    used(used: &str, limit: &str, percent: u64) {
        en: format!("{used} of {limit} used ({percent} %)"),
        pl: format!("wykorzystano {used} z {limit} ({percent} %)"),
    }
    and_reserved(used: &str, reserved: &str) {
        en: format!("{used}, and {reserved} reserved or not known yet"),
        pl: format!("{used} oraz {reserved} zarezerwowane lub jeszcze nieznane"),
    }
    left_until(left: &str, day: &str) {
        en: format!("{left} left until {day}"),
        pl: format!("zostało {left} do {day}"),
    }
    half { en: "Half is used", pl: "Wykorzystano połowę" }
    three_quarters { en: "Three quarters are used", pl: "Wykorzystano trzy czwarte" }
    nearly_all { en: "Nearly all is used", pl: "Wykorzystano prawie wszystko" }
    all { en: "All is used; nothing more is answered", pl: "Wykorzystano wszystko; nowe pytania są odrzucane" }
    exceeded { en: "Exceeded", pl: "Przekroczony" }
    company_left(left: &str, limit: &str, day: &str) {
        en: format!("{left} of the company's budget of {limit} left until {day}"),
        pl: format!("Z budżetu firmy ({limit}) zostało {left} do {day}"),
    }
    own_left(left: &str, limit: &str, day: &str) {
        en: format!("{left} of your budget of {limit} left until {day}"),
        pl: format!("Z Twojego budżetu ({limit}) zostało {left} do {day}"),
    }
    set { en: "Set a budget", pl: "Ustaw budżet" }
    set_lead {
        en: "It replaces one for the same people and period, and counts at once.",
        pl: "Zastępuje budżet tych samych osób i okresu, obowiązuje od razu.",
    }
    whose { en: "Whose spending", pl: "Czyje wydatki" }
    period { en: "Period", pl: "Okres" }
    month { en: "Month", pl: "Miesiąc" }
    day { en: "Day", pl: "Dzień" }
    limit { en: "Limit", pl: "Limit" }
    limit_usd { en: "Limit in USD", pl: "Limit w USD" }
    currency { en: "Currency", pl: "Waluta" }
    refuse { en: "Refuse what goes beyond it", pl: "Odmawiaj powyżej limitu" }
    refuse_hint {
        en: "Otherwise people and administrators only see a warning.",
        pl: "W przeciwnym razie widać tylko ostrzeżenie.",
    }
    raise_month { en: "Raise for this month", pl: "Zwiększ na ten miesiąc" }
    raise_today { en: "Raise for today", pl: "Zwiększ na dzisiaj" }
    raise_lead(whose: &str, limit: &str) {
        en: format!("{whose}: {limit} now. The next period begins with the usual limit."),
        pl: format!("{whose}: teraz {limit}. Następny okres zacznie się ze zwykłym limitem."),
    }
    remove { en: "Remove", pl: "Usuń" }
    remove_title(whose: &str) {
        en: format!("Remove the budget? ({whose})"),
        pl: format!("Usunąć budżet? ({whose})"),
    }
    remove_lead {
        en: "What was spent stays in the reports.",
        pl: "Wydatki pozostaną w raportach.",
    }
}
