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
        en: format!("The AI provider stopped in the middle of the answer: {words}."),
        pl: format!("Dostawca AI przerwał odpowiedź: {words}."),
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
    not_private {
        en: "The connection to the AI provider does not fit the privacy rules of this server. An administrator can enter another under Settings → Connection.",
        pl: "Połączenie z dostawcą AI nie spełnia zasad prywatności tego serwera. Administrator może podać inne w Ustawieniach → Połączenie.",
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
    company_budget { en: "The company's budget", pl: "Budżet firmy" }
    person_budget { en: "Your budget", pl: "Twój budżet" }
    host_limit { en: "The limit that your provider sets", pl: "Limit ustawiony przez dostawcę usługi" }
    admin_raises { en: "An administrator can raise it under Usage.", pl: "Administrator może go zwiększyć w zakładce Zużycie." }
    host_raises { en: "Your provider can raise it.", pl: "Może go zwiększyć dostawca usługi." }
    over_budget(whose: &str, limit: &str, used: &str, new_on: &str, remedy: &str) {
        en: format!("{whose} of {limit} is not enough for this answer: {used} of it is used. It is new on {new_on}. {remedy}"),
        pl: format!("{whose} ({limit}) nie wystarcza na tę odpowiedź: wykorzystano {used}. Odnowi się {new_on}. {remedy}"),
    }
    try_again { en: "Please try again.", pl: "Spróbuj ponownie." }
    key_limit {
        en: "The spending limit of the key is reached; an administrator can raise it at the provider.",
        pl: "Limit wydatków klucza został osiągnięty; administrator może go zwiększyć u dostawcy.",
    }
    budget_spent {
        en: "A budget at the provider is used up; an administrator can raise it there.",
        pl: "Budżet u dostawcy został wyczerpany; administrator może go tam zwiększyć.",
    }
    too_expensive {
        en: "This request may cost more than the credit that is left. Please shorten the conversation, or choose a cheaper model.",
        pl: "To zapytanie może kosztować więcej, niż zostało środków. Skróć rozmowę albo wybierz tańszy model.",
    }
    free_limit {
        en: "The free requests are used up for now. Please choose another model, or try again later.",
        pl: "Bezpłatne zapytania zostały na razie wyczerpane. Wybierz inny model albo spróbuj później.",
    }
    rephrase {
        en: "The provider does not allow this content. Please rephrase the question, or choose another model.",
        pl: "Dostawca nie zezwala na tę treść. Zadaj pytanie inaczej albo wybierz inny model.",
    }
    too_long {
        en: "The conversation is too long for this model. Please start a new chat, or choose another model.",
        pl: "Rozmowa jest za długa dla tego modelu. Zacznij nowy czat albo wybierz inny model.",
    }
    redirected(words: &str) {
        en: format!("The address of the AI provider redirects elsewhere, which is not followed: {words}. An administrator can enter the new address under Settings → Connection."),
        pl: format!("Adres dostawcy AI przekierowuje gdzie indziej, a przekierowania nie są wykonywane: {words}. Administrator może podać nowy adres w Ustawieniach → Połączenie."),
    }
    not_an_answer(words: &str) {
        en: format!("What came back is not the answer of an OpenAI-compatible provider ({words}). An administrator can check the address under Settings → Connection."),
        pl: format!("To, co nadeszło, nie jest odpowiedzią dostawcy zgodnego z API OpenAI ({words}). Administrator może sprawdzić adres w Ustawieniach → Połączenie."),
    }
    cut_off {
        en: "The answer was cut short: the AI provider ended it without saying that it was complete. Please try again.",
        pl: "Odpowiedź jest niepełna: dostawca AI zakończył ją bez potwierdzenia, że jest gotowa. Spróbuj ponownie.",
    }
    length {
        en: "The answer was cut at the model’s length limit. Ask it to go on to get the rest.",
        pl: "Odpowiedź została ucięta na limicie długości modelu. Poproś o dokończenie, aby otrzymać resztę.",
    }
    content_filter {
        en: "The AI provider’s filter held the answer back. Please rephrase the question, or choose another model.",
        pl: "Filtr dostawcy AI zatrzymał odpowiedź. Zadaj pytanie inaczej albo wybierz inny model.",
    }
    refused_by_model(words: &str) {
        en: format!("The model refused to answer: {words}."),
        pl: format!("Model odmówił odpowiedzi: {words}."),
    }
    tool_calls(words: &str) {
        en: format!("The model wanted to use a tool that this chat does not have ({words}). Please ask again without it, or choose another model."),
        pl: format!("Model chciał użyć narzędzia, którego ten czat nie ma ({words}). Zapytaj ponownie bez niego albo wybierz inny model."),
    }
    only_reasoning {
        en: "The model thought about the question and then wrote no answer. Please try again, ask for less at once, or choose another model.",
        pl: "Model zastanawiał się nad pytaniem, ale nie napisał odpowiedzi. Spróbuj ponownie, zapytaj o mniej naraz albo wybierz inny model.",
    }
    images {
        en: "The answer holds images, which this chat cannot show.",
        pl: "Odpowiedź zawiera obrazy, których ten czat nie potrafi pokazać.",
    }
    empty {
        en: "The model gave an empty answer. Please try again, or choose another model.",
        pl: "Model dał pustą odpowiedź. Spróbuj ponownie albo wybierz inny model.",
    }
    text_limit {
        en: "The answer was ended here: it is longer than this server keeps. Ask for the rest in a new question.",
        pl: "Odpowiedź została tu zakończona, bo jest dłuższa, niż ten serwer przechowuje. Poproś o resztę w nowym pytaniu.",
    }
    time_limit {
        en: "The answer was ended after an hour. Please ask for less at once, or choose another model.",
        pl: "Odpowiedź została zakończona po godzinie. Zapytaj o mniej naraz albo wybierz inny model.",
    }
    left_out {
        en: "A part of the answer was too large to be read and is missing here. Please ask for less at once.",
        pl: "Część odpowiedzi była za duża, aby ją odczytać, i tu jej brakuje. Zapytaj o mniej naraz.",
    }
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
