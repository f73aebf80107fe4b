//! The languages of the pages, and the choice of one for a reader.

/// A language the pages are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Locale {
    En,
    Pl,
}

impl Locale {
    /// Every language, in the order of the menu.
    pub(crate) const ALL: [Self; 2] = [Self::En, Self::Pl];

    /// Returns the code in `<html lang>` and in the database.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Pl => "pl",
        }
    }

    /// Returns the language's name in itself.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Pl => "Polski",
        }
    }

    /// Parses `pl`, `pl-PL` or `PL`.
    pub(crate) fn parse(tag: &str) -> Option<Self> {
        let primary = tag.trim().split(['-', '_']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|locale| locale.code().eq_ignore_ascii_case(primary))
    }

    /// Returns the reader's own choice, else the instance's default, else the best match of
    /// `Accept-Language`, else English.
    pub(crate) fn choose(own: Option<&str>, instance: Option<&str>, accept_language: Option<&str>) -> Self {
        own.and_then(Self::parse)
            .or_else(|| instance.and_then(Self::parse))
            .or_else(|| accept_language.and_then(Self::preferred))
            .unwrap_or(Self::En)
    }

    /// Returns the language with the highest weight in an `Accept-Language` header (RFC 9110,
    /// section 12.5.4).
    fn preferred(header: &str) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        for part in header.split(',') {
            let mut pieces = part.split(';');
            let Some(locale) = pieces.next().and_then(Self::parse) else { continue };
            let weight = pieces
                .find_map(|piece| piece.trim().strip_prefix("q="))
                .map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
            if weight > 0.0 && best.is_none_or(|(highest, _)| weight > highest) {
                best = Some((weight, locale));
            }
        }
        best.map(|(_, locale)| locale)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn own_choice_wins_over_instance_over_browser_over_english() {
        let table = [
            (Some("pl"), Some("en"), Some("en"), Locale::Pl),
            (None, Some("pl"), Some("en"), Locale::Pl),
            (Some("xx"), None, Some("pl-PL,pl;q=0.9,en;q=0.8"), Locale::Pl),
            (None, None, Some("de,en;q=0.7,pl;q=0.8"), Locale::Pl),
            (None, None, Some("pl;q=0,en;q=0.1"), Locale::En),
            (None, None, Some("de"), Locale::En),
            (None, None, None, Locale::En),
        ];
        for (own, instance, browser, expected) in table {
            assert_eq!(Locale::choose(own, instance, browser), expected, "{own:?} {instance:?} {browser:?}");
        }
    }
}
