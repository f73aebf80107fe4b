//! Texts of problems with the upstream and the connection to it.

use crate::i18n::texts;

texts! {
    /// Problems with the upstream. Words of the provider are inserted as they are.
    UpstreamProblemTexts

    malformed_url(url: &str) {
        en: format!("“{url}” is not a base URL. Write it like https://openrouter.ai/api/v1."),
        pl: format!("„{url}” to nie jest adres bazowy. Wpisz go na przykład tak: https://openrouter.ai/api/v1."),
    }
    url_scheme(url: &str) {
        en: format!("“{url}” cannot be used: a base URL begins with https:// or http://."),
        pl: format!("Nie można użyć „{url}”: adres bazowy zaczyna się od https:// lub http://."),
    }
    url_credentials {
        en: "A base URL holds no user name or password. The key has its own field.",
        pl: "Adres bazowy nie może zawierać nazwy użytkownika ani hasła. Klucz ma osobne pole.",
    }
    url_query(url: &str) {
        en: format!("“{url}” cannot be used: a base URL ends before any ? or #."),
        pl: format!("Nie można użyć „{url}”: adres bazowy nie może zawierać znaków ? ani #."),
    }
    url_port(url: &str) {
        en: format!("“{url}” cannot be used: its port belongs to another protocol than HTTP."),
        pl: format!("Nie można użyć „{url}”: ten port należy do innego protokołu niż HTTP."),
    }
    url_too_long(url: &str) {
        en: format!("“{url}…” cannot be used: it is too long."),
        pl: format!("Nie można użyć „{url}…”: adres jest za długi."),
    }
    address_refused(origin: &str, kind: &str) {
        en: format!("{origin} is not called, because it has {kind}. Your provider can allow that network (server.allowedUpstreamNetworks)."),
        pl: format!("Połączenie z {origin} jest zablokowane: ten serwer ma {kind}. Twój dostawca może zezwolić na tę sieć (server.allowedUpstreamNetworks)."),
    }
    loopback_address { en: "a loopback address", pl: "adres pętli zwrotnej" }
    private_address { en: "a private address", pl: "adres prywatny" }
    link_local_address { en: "a link-local address", pl: "adres lokalny łącza" }
    shared_address { en: "an address of a carrier’s shared network", pl: "adres we wspólnej sieci operatora" }
    multicast_address { en: "a multicast address", pl: "adres grupowy (multicast)" }
    reserved_address { en: "a reserved address", pl: "adres zastrzeżony" }
    bad_key {
        en: "This key contains characters that keys never have. Copy it again.",
        pl: "Ten klucz zawiera niedozwolone znaki. Skopiuj go ponownie.",
    }
    refused(words: &str, status: u16) {
        en: format!("The provider refused: {words} (HTTP {status})."),
        pl: format!("Dostawca odmówił: {words} (HTTP {status})."),
    }
    upstream_refused(origin: &str, words: &str, status: u16) {
        en: format!("The provider at {origin} refused: {words} (HTTP {status})."),
        pl: format!("Dostawca pod adresem {origin} odmówił: {words} (HTTP {status})."),
    }
    unreachable(origin: &str, reason: &str) {
        en: format!("The provider at {origin} could not be reached: {reason}. Check the address and the network, then try again."),
        pl: format!("Nie udało się połączyć z dostawcą pod adresem {origin}: {reason}. Sprawdź adres i sieć, a potem spróbuj ponownie."),
    }
    connection_lost(origin: &str, reason: &str) {
        en: format!("The provider at {origin} did not finish its answer: {reason}. Try again."),
        pl: format!("Dostawca pod adresem {origin} nie dokończył odpowiedzi: {reason}. Spróbuj ponownie."),
    }
    invalid_response(origin: &str, reason: &str) {
        en: format!("The answer of {origin} could not be read: {reason}. Is this an OpenAI-compatible address?"),
        pl: format!("Nie udało się odczytać odpowiedzi {origin}: {reason}. Czy to adres zgodny z API OpenAI?"),
    }
    list_too_large(origin: &str, mib: usize) {
        en: format!("The list of models of {origin} is larger than {mib} MiB and is not used. The administrator of this server can name the models to offer in MAI_MODELS."),
        pl: format!("Lista modeli {origin} przekracza {mib} MiB i nie jest używana. Administrator tego serwera może podać modele w MAI_MODELS."),
    }
    list_too_long(origin: &str, count: usize) {
        en: format!("The list of models of {origin} has more than {count} entries and is not used. The administrator of this server can name the models to offer in MAI_MODELS."),
        pl: format!("Lista modeli {origin} ma ponad {count} pozycji i nie jest używana. Administrator tego serwera może podać modele w MAI_MODELS."),
    }
    no_models(base_url: &str) {
        en: format!("There is no {base_url}/models. Is the base URL right? OpenRouter’s is https://openrouter.ai/api/v1."),
        pl: format!("Nie ma {base_url}/models. Czy adres bazowy jest prawidłowy? Adres OpenRouter to https://openrouter.ai/api/v1."),
    }
    no_address { en: "its name has no address", pl: "jego nazwa nie ma adresu IP" }
    connect_timeout(seconds: u64) {
        en: format!("no connection within {seconds} s"),
        pl: format!("brak połączenia przez {seconds} s"),
    }
    handshake_timeout {
        en: "the TLS handshake took too long",
        pl: "uzgadnianie TLS trwało zbyt długo",
    }
    answer_timeout(seconds: u64) {
        en: format!("no answer within {seconds} s"),
        pl: format!("brak odpowiedzi przez {seconds} s"),
    }
    silence(seconds: u64) {
        en: format!("no data for {seconds} s"),
        pl: format!("nic nie przysłał przez {seconds} s"),
    }
}
