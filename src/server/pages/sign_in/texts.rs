//! Texts of the sign-in page.

use crate::i18n::texts;

texts! {
    /// The sign-in page.
    SignInTexts

    title { en: "Sign in", pl: "Zaloguj się" }
    lead { en: "Your company’s private assistant.", pl: "Prywatny asystent Twojej firmy." }
    email { en: "E-mail", pl: "E-mail" }
    password { en: "Password", pl: "Hasło" }
    no_account { en: "No account yet?", pl: "Nie masz jeszcze konta?" }
    register { en: "Create account", pl: "Utwórz konto" }
    ask_admin { en: "Ask your administrator to add you.", pl: "Poproś administratora o dodanie." }
}
