//! The end of a log for people: short, printable and without secrets.

use mai_contract::is_unprintable;
use secrecy::{ExposeSecret, SecretString};

/// Most lines of the end of a log.
pub(super) const LINES: usize = 20;
/// Most bytes of the end of a log.
pub(super) const BYTES: usize = 4 * 1024;
/// Shortest secret that is removed; shorter ones would match everywhere.
const SHORTEST_SECRET: usize = 4;

/// Returns the last lines of `text` without control characters and `secrets`.
pub(super) fn printable_tail(text: &[u8], secrets: &[SecretString]) -> Vec<String> {
    let mut text = String::from_utf8_lossy(text).into_owned();
    for secret in secrets.iter().map(ExposeSecret::expose_secret).filter(|secret| secret.len() >= SHORTEST_SECRET) {
        text = text.replace(secret, "[secret]");
    }
    let mut left = BYTES;
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().rev().map(printable).filter(|line| !line.trim().is_empty()).take(LINES) {
        if line.len() > left {
            // Of a single line that is too long its start is worth more than nothing.
            if lines.is_empty() {
                lines.push(line[..line.floor_char_boundary(left)].to_owned());
            }
            break;
        }
        left -= line.len();
        lines.push(line);
    }
    lines.reverse();
    lines
}

fn printable(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\x1b' && characters.next_if_eq(&'[').is_some() {
            // A terminal sequence ends with its first letter or similar.
            while characters.next().is_some_and(|character| !('@'..='~').contains(&character)) {}
        } else if character == '\t' {
            text.push(' ');
        } else if !is_unprintable(character) {
            text.push(character);
        }
    }
    text
}
