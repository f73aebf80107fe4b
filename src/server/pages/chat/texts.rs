//! Texts of the chat page.

use crate::i18n::{plural, texts};

texts! {
    /// The chat page.
    ChatTexts

    new_chat { en: "New chat", pl: "Nowy czat" }
    search { en: "Search chats", pl: "Szukaj w czatach" }
    past_chats { en: "Past chats", pl: "Poprzednie czaty" }
    no_chats { en: "Your chats will appear here.", pl: "Tutaj pojawią się Twoje czaty." }
    nothing_found { en: "No chats found.", pl: "Nie znaleziono czatów." }
    search_incomplete {
        en: "Older chats are still being prepared for the search. Try again in a few minutes.",
        pl: "Starsze czaty są jeszcze przygotowywane do wyszukiwania. Spróbuj ponownie za kilka minut.",
    }
    today { en: "Today", pl: "Dzisiaj" }
    yesterday { en: "Yesterday", pl: "Wczoraj" }
    last_week { en: "Last 7 days", pl: "Ostatnie 7 dni" }
    greeting(name: &str) { en: format!("Hello, {name}"), pl: format!("Cześć, {name}") }
    greeting_lead { en: "What can I help you with?", pl: "W czym mogę pomóc?" }
    // A short heading and the question it asks.
    suggestions -> [(&'static str, &'static str); 4] {
        en: [
            ("Write an e-mail", "Write a short, friendly e-mail that asks a supplier for a new delivery date."),
            ("Sum up a text", "Sum up the following text in five points and list its open questions:\n\n"),
            ("Weigh a decision", "What are the arguments for and against a four-day week in a company of 20 people?"),
            ("Explain a formula", "Explain step by step how VLOOKUP works in a spreadsheet, with a small example."),
        ],
        pl: [
            ("Napisz e-mail", "Napisz krótki, uprzejmy e-mail z pytaniem do dostawcy o nowy termin dostawy."),
            ("Streść tekst", "Streść poniższy tekst w pięciu punktach i wypisz otwarte kwestie:\n\n"),
            (
                "Rozważ decyzję",
                "Jakie są argumenty za czterodniowym tygodniem pracy i przeciw niemu w firmie liczącej 20 osób?",
            ),
            ("Wyjaśnij formułę", "Wyjaśnij krok po kroku, jak działa WYSZUKAJ.PIONOWO w arkuszu, na małym przykładzie."),
        ],
    }
    placeholder { en: "Ask anything", pl: "Zapytaj o cokolwiek" }
    model { en: "Model", pl: "Model" }
    send { en: "Send", pl: "Wyślij" }
    stop { en: "Stop", pl: "Zatrzymaj" }
    regenerate { en: "Regenerate", pl: "Wygeneruj ponownie" }
    copy_answer { en: "Copy answer", pl: "Kopiuj odpowiedź" }
    you { en: "You", pl: "Ty" }
    assistant { en: "Assistant", pl: "Asystent" }
    tokens(written: &str, n: i64) {
        en: format!("{written} {}", if n == 1 { "token" } else { "tokens" }),
        pl: format!("{written} {}", plural::polish_noun(n, "token", "tokeny", "tokenów")),
    }
    tokens_split(question: &str, answer: &str) {
        en: format!("Question {question} tokens, answer {answer} tokens"),
        pl: format!("Tokeny pytania: {question}, odpowiedzi: {answer}"),
    }
    price_unknown_yet { en: "price unknown yet", pl: "cena jeszcze nieznana" }
    price_unknown { en: "price unknown", pl: "cena nieznana" }
    thinking { en: "Thinking…", pl: "Myślę…" }
    stopped { en: "You stopped this answer.", pl: "Ta odpowiedź została zatrzymana." }
    failed { en: "The answer could not be finished", pl: "Nie udało się dokończyć odpowiedzi" }
    failed_without_reason {
        en: "The connection to the model was lost.",
        pl: "Połączenie z modelem zostało przerwane.",
    }
    try_again { en: "Try again", pl: "Spróbuj ponownie" }
    reload_for_answer {
        en: "The answer is still being written. Reload this page to see it.",
        pl: "Odpowiedź jeszcze powstaje. Odśwież stronę, aby ją zobaczyć.",
    }
    shown_plain {
        en: "This text is too long or too deeply nested to be formatted. It is shown as it was written.",
        pl: "Ten tekst jest za długi albo ma za wiele poziomów, aby go sformatować. Jest pokazany tak, jak został napisany.",
    }
    rename_title { en: "Rename chat", pl: "Zmień nazwę czatu" }
    save { en: "Save", pl: "Zapisz" }
    delete { en: "Delete", pl: "Usuń" }
    delete_title { en: "Delete this chat?", pl: "Usunąć ten czat?" }
    delete_lead(title: &str) {
        en: format!("“{title}” will be deleted permanently. Its usage stays in the reports."),
        pl: format!("Czat „{title}” zostanie trwale usunięty. Jego zużycie pozostanie w raportach."),
    }
    options { en: "Chat options", pl: "Opcje czatu" }
    to_end { en: "Go to the newest message", pl: "Przejdź do najnowszej wiadomości" }
    no_files {
        en: "Files and images are not supported yet. Paste their text instead.",
        pl: "Pliki i obrazy nie są jeszcze obsługiwane. Wklej zamiast tego ich tekst.",
    }
    too_long {
        en: "Nothing was pasted: a question has 200,000 characters at most.",
        pl: "Nic nie wklejono: pytanie może mieć najwyżej 200 000 znaków.",
    }
    hint {
        en: "Answers can be wrong. Check important information.",
        pl: "Odpowiedzi mogą zawierać błędy. Sprawdzaj ważne informacje.",
    }
    not_connected { en: "Not connected to a model yet", pl: "Brak połączenia z modelem" }
    not_connected_admin {
        en: "Add an OpenRouter key so that everyone here can chat.",
        pl: "Dodaj klucz OpenRouter, aby wszyscy mogli korzystać z czatu.",
    }
    not_connected_user(admins: &str) {
        en: format!("Ask {admins} to set up the connection."),
        pl: format!("O skonfigurowanie połączenia poproś: {admins}."),
    }
    no_models {
        en: "The connection offers no models. Ask your administrator to check it.",
        pl: "Połączenie nie oferuje żadnego modelu. Poproś administratora o sprawdzenie.",
    }
    connect { en: "Set up the connection", pl: "Skonfiguruj połączenie" }
    models_unknown { en: "The models could not be loaded", pl: "Nie udało się wczytać modeli" }
}
