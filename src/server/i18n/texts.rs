//! The macro that declares texts in every language at once.

/// Declares a type with one method per text, over the [`Locale`](super::Locale) it is constructed
/// with.
///
/// ```ignore
/// texts! {
///     /// The greeting page.
///     GreetingTexts
///
///     title { en: "Welcome", pl: "Witaj" }
///     greeting(name: &str) { en: format!("Hello, {name}"), pl: format!("Cześć, {name}") }
///     steps -> [&'static str; 2] { en: ["Sign in", "Ask"], pl: ["Zaloguj się", "Zapytaj"] }
/// }
/// ```
///
/// A text without arguments is a `&'static str` and one with arguments a `String`, unless its type
/// is given. Leaving out a language is a syntax error; adding one to `Locale` asks for it in every
/// text.
macro_rules! texts {
    (
        $(#[$doc:meta])* $name:ident
        $($text:ident $(($($argument:ident: $type:ty),+))? $(-> $returns:ty)? { en: $en:expr, pl: $pl:expr $(,)? })+
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name(pub(crate) $crate::i18n::Locale);

        impl $name {
            $(
                pub(crate) fn $text(self $($(, $argument: $type)+)?)
                    -> $crate::i18n::texts!(@returns [$($($argument)+)?] [$($returns)?])
                {
                    match self.0 {
                        $crate::i18n::Locale::En => $en,
                        $crate::i18n::Locale::Pl => $pl,
                    }
                }
            )+
        }
    };
    (@returns [] []) => { &'static str };
    (@returns [$($argument:ident)+] []) => { String };
    (@returns [$($argument:ident)*] [$returns:ty]) => { $returns };
}

pub(crate) use texts;
