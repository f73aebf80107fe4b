//! The scopes of API keys.

use std::str::FromStr;

/// One thing that a key may be used for. A key never does more than its owner may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Models, completions, and the owner's own chats.
    Chat,
    /// The owner's usage; everybody's where the owner is an admin.
    Usage,
    /// The work of admins that needs no session.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Chat, Self::Usage, Self::Admin];

    /// The text in the database and the JSON API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Usage => "usage",
            Self::Admin => "admin",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Chat => 1,
            Self::Usage => 2,
            Self::Admin => 4,
        }
    }
}

/// A text that is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("A scope has to be chat, usage or admin.")]
pub struct InvalidScope;

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(InvalidScope)
    }
}

/// The scopes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// The scopes of a key whose owner chose none.
    pub const DEFAULT: Self = Self(Scope::Chat.bit());

    /// Returns true when the scope is one of them.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Returns true when there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the scopes one by one.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }

    /// Returns their texts, separated by spaces, as the database has them.
    pub(super) fn as_column(self) -> String {
        self.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ")
    }

    /// Reads a column. A word that is no scope allows nothing.
    pub(super) fn from_column(text: &str) -> Self {
        text.split(' ').filter_map(|word| word.parse().ok()).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn scopes_survive_the_database_and_unknown_words_allow_nothing() {
        for (column, expected) in [
            ("chat", &[Scope::Chat][..]),
            ("admin chat", &[Scope::Chat, Scope::Admin]),
            ("usage usage", &[Scope::Usage]),
            ("", &[]),
            ("everything Admin", &[]),
        ] {
            let scopes = Scopes::from_column(column);
            assert_eq!(scopes.iter().collect::<Vec<_>>(), expected, "{column}");
            assert_eq!(Scopes::from_column(&scopes.as_column()), scopes, "{column}");
        }
        assert!(Scopes::DEFAULT.contains(Scope::Chat) && !Scopes::DEFAULT.contains(Scope::Admin));
    }
}
