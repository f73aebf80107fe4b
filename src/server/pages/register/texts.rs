//! Texts of the registration page.

use crate::i18n::texts;

texts! {
    /// The registration page.
    RegisterTexts

    title { en: "Create account", pl: "Utwórz konto" }
    first_heading { en: "Welcome", pl: "Witaj" }
    first_lead {
        en: "You are the first user, so you become the administrator.",
        pl: "Rejestrujesz się jako pierwsza osoba, więc zostajesz administratorem.",
    }
    heading { en: "Create your account", pl: "Utwórz swoje konto" }
    lead { en: "You join this assistant as a user.", pl: "Dołączasz jako użytkownik tego asystenta." }
    name { en: "Name", pl: "Imię i nazwisko" }
    email { en: "E-mail", pl: "E-mail" }
    password { en: "Password", pl: "Hasło" }
    password_hint { en: "At least 8 characters.", pl: "Co najmniej 8 znaków." }
    have_account { en: "Already registered?", pl: "Masz już konto?" }
    sign_in { en: "Sign in", pl: "Zaloguj się" }
    privacy {
        en: "Your chats are stored only in your company’s own instance.",
        pl: "Twoje czaty są przechowywane tylko w instancji Twojej firmy.",
    }
}
