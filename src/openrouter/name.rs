//! Names and ids, as an upstream gives them.

/// Most bytes of the name of a model or a provider, or of an id. A longer one is an error of its
/// sender, and unknown.
pub const LONGEST_NAME: usize = 512;

/// True for a text that can be a name or an id.
pub fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len())
}
