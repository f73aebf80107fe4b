//! Texts of failed answers.

use crate::i18n::texts;

texts! {
    /// The reasons of failed answers. Words of the provider are inserted as they are.
    FailureTexts

    interrupted {
        en: "The server was restarted while this answer was being written. Please ask again.",
        pl: "Serwer został uruchomiony ponownie w trakcie pisania tej odpowiedzi. Zadaj pytanie jeszcze raz.",
    }
    connection_lost {
        en: "The connection to the AI provider was lost before the answer was complete. Please try again.",
        pl: "Połączenie z dostawcą AI zostało przerwane, zanim odpowiedź była gotowa. Spróbuj ponownie.",
    }
    stopped_by_provider(words: &str) {
        en: format!("The AI provider stopped in the middle of the answer: {words}"),
        pl: format!("Dostawca AI przerwał odpowiedź: {words}"),
    }
    refused(words: &str, status: &str, advice: &str) {
        en: format!("The AI provider refused: {words}{status}. {advice}"),
        pl: format!("Dostawca AI odmówił: {words}{status}. {advice}"),
    }
    key_rejected {
        en: "The key is not accepted; an administrator can enter another under Settings → Connection.",
        pl: "Klucz nie jest przyjmowany; administrator może podać inny w Ustawieniach → Połączenie.",
    }
    no_credit {
        en: "The provider account or key has no credit left; an administrator can add some.",
        pl: "Na koncie lub kluczu u dostawcy zabrakło środków; administrator może je uzupełnić.",
    }
    not_allowed {
        en: "The provider does not allow this request.",
        pl: "Dostawca nie zezwala na to zapytanie.",
    }
    choose_another_model { en: "Please choose another model.", pl: "Wybierz inny model." }
    try_later {
        en: "Please try again in a moment, or choose another model.",
        pl: "Spróbuj ponownie za chwilę albo wybierz inny model.",
    }
    shorten {
        en: "Please shorten the conversation, or choose another model.",
        pl: "Skróć rozmowę albo wybierz inny model.",
    }
    try_again { en: "Please try again.", pl: "Spróbuj ponownie." }
    unreachable(words: &str) {
        en: format!("The AI provider could not be reached: {words}. Please try again in a moment."),
        pl: format!("Nie udało się połączyć z dostawcą AI: {words}. Spróbuj ponownie za chwilę."),
    }
    bad_connection(words: &str) {
        en: format!("The connection to the AI provider cannot be used: {words}. An administrator can correct it under Settings → Connection."),
        pl: format!("Nie można użyć połączenia z dostawcą AI: {words}. Administrator może je poprawić w Ustawieniach → Połączenie."),
    }
    no_connection {
        en: "No AI provider is connected yet. An administrator can connect one under Settings → Connection.",
        pl: "Nie podłączono jeszcze dostawcy AI. Administrator może to zrobić w Ustawieniach → Połączenie.",
    }
    model_not_found {
        en: "This model is no longer offered. Please choose another one.",
        pl: "Ten model nie jest już oferowany. Wybierz inny.",
    }
}
