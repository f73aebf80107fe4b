//! A list of people as somebody pastes it: from a mail, a table or a CSV file. Pure: no I/O.

use std::collections::HashMap;

use super::error::UserError;
use super::invitations::Invitee;
use crate::user::Role;

/// Most people in a list.
pub const MOST_LINES: usize = 500;
/// Most bytes of a list.
const LONGEST: usize = 64 * 1024;
/// Characters of a line that are shown again.
const SHOWN: usize = 120;

/// A list that is not read at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListProblem {
    /// There is nobody in it.
    #[error("The list is empty. Put one person on each line.")]
    Empty,
    /// It is too long.
    #[error("The list is too long. Paste at most {MOST_LINES} people at once.")]
    TooLong,
}

/// A line of a list that somebody stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListLine {
    /// Its number in the list, from 1.
    pub number: usize,
    /// Its beginning.
    pub text: String,
    /// The person, or why there is none.
    pub person: Result<Invitee, LineProblem>,
}

/// A line that names nobody who can be invited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// It has no e-mail, or one that makes no sense.
    #[error("There is no email address in this line, or it has a typo.")]
    Address,
    /// The name is too long.
    #[error("A name has 1 to 100 characters.")]
    Name,
    /// The name begins like a formula of a spreadsheet.
    #[error("The name begins like a formula. Please write it out.")]
    Formula,
    /// An earlier line has the same e-mail.
    #[error("Line {0} has the same address.")]
    Repeated(usize),
}

/// Reads a list: a person on each line, as `Jan Kowalski <jan@abc.example>`, as `Jan Kowalski, jan@abc.example` with
/// commas, semicolons or tabs in any order, or as an address alone. A line of headings is passed over.
pub fn parse_list(text: &str) -> Result<Vec<ListLine>, ListProblem> {
    if text.len() > LONGEST {
        return Err(ListProblem::TooLong);
    }
    let text = text.trim_start_matches('\u{feff}');
    let mut lines: Vec<_> = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()).collect();
    if lines.len() > 1 && lines.first().is_some_and(|(_, line)| !line.contains('@')) {
        lines.remove(0);
    }
    match lines.len() {
        0 => return Err(ListProblem::Empty),
        1..=MOST_LINES => {}
        _ => return Err(ListProblem::TooLong),
    }
    let mut first_of: HashMap<String, usize> = HashMap::new();
    let read = lines.into_iter().map(|(index, line)| {
        let number = index + 1;
        let person = person(line).and_then(|invitee| match first_of.get(&invitee.email) {
            Some(first) => Err(LineProblem::Repeated(*first)),
            None => {
                first_of.insert(invitee.email.clone(), number);
                Ok(invitee)
            }
        });
        ListLine { number, text: line.chars().take(SHOWN).collect(), person }
    });
    Ok(read.collect())
}

fn person(line: &str) -> Result<Invitee, LineProblem> {
    let fields = fields(line);
    let (place, email) =
        fields.iter().enumerate().find(|(_, field)| field.contains('@')).ok_or(LineProblem::Address)?;
    // "Jan <jan@abc.example>" may stand in one field.
    let (before, address) = match email.split_once('<') {
        Some((before, rest)) => (before.trim(), rest.trim_end_matches('>')),
        None => ("", email.as_str()),
    };
    let others = fields.iter().enumerate().filter(|(index, field)| *index != place && !field.is_empty());
    let mut words: Vec<&str> = others.map(|(_, field)| field.as_str()).take(2).collect();
    if !before.is_empty() {
        words = vec![before.trim_matches('"')];
    }
    let name = words.join(" ");
    if name.starts_with(['=', '+', '-', '@']) {
        return Err(LineProblem::Formula);
    }
    let name = if name.is_empty() { name_from(address) } else { name };
    Invitee::new(&name, address, Role::User).map_err(|error| match error {
        UserError::BadName => LineProblem::Name,
        _ => LineProblem::Address,
    })
}

/// Returns the fields of a line, without their quotes.
fn fields(line: &str) -> Vec<String> {
    let Some(separator) = ['\t', ';', ','].into_iter().find(|separator| line.contains(*separator)) else {
        return words(line);
    };
    let (mut fields, mut is_quoted) = (vec![String::new()], false);
    for character in line.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            _ if character == separator && !is_quoted => fields.push(String::new()),
            _ => fields.last_mut().into_iter().for_each(|field| field.push(character)),
        }
    }
    fields.iter().map(|field| field.trim().to_owned()).collect()
}

/// Returns the address of a line without separators, and the rest of it.
fn words(line: &str) -> Vec<String> {
    if line.contains('<') {
        return vec![line.to_owned()];
    }
    let (addresses, names): (Vec<&str>, Vec<&str>) = line.split_whitespace().partition(|word| word.contains('@'));
    let name = names.join(" ");
    addresses.iter().map(|address| (*address).to_owned()).chain((!name.is_empty()).then_some(name)).collect()
}

/// Returns a name from the part of an address before the `@`: `jan.kowalski` is Jan Kowalski.
fn name_from(address: &str) -> String {
    let local = address.split('@').next().unwrap_or_default();
    let capital = |word: &str| {
        let mut characters = word.chars();
        characters.next().map(|first| first.to_uppercase().chain(characters).collect::<String>())
    };
    let words: Vec<String> = local.split(['.', '_', '-', '+']).filter_map(capital).collect();
    if words.is_empty() { local.to_owned() } else { words.join(" ") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<(String, String), LineProblem>> {
        let lines = parse_list(text).unwrap();
        lines.into_iter().map(|line| line.person.map(|one| (one.name, one.email))).collect()
    }

    #[test]
    fn people_are_read_as_they_are_written_elsewhere() {
        let jan = Ok(("Jan Kowalski".to_owned(), "jan@abc.example".to_owned()));
        for line in [
            "Jan Kowalski <jan@abc.example>",
            "\"Jan Kowalski\" <JAN@abc.example>",
            "Jan Kowalski, jan@abc.example",
            "jan@abc.example;Jan Kowalski",
            "Jan;Kowalski;jan@abc.example",
            "\"Jan Kowalski\";\"jan@abc.example\"",
            "Jan Kowalski\tjan@abc.example",
            "Jan Kowalski jan@abc.example",
            "\u{feff}Name,E-mail\nJan Kowalski,jan@abc.example\n",
        ] {
            assert_eq!(read(line), std::slice::from_ref(&jan), "{line}");
        }
        let from_address = Ok(("Jan Kowalski".to_owned(), "jan.kowalski@abc.example".to_owned()));
        assert_eq!(read("jan.kowalski@abc.example"), [from_address]);
        // A comma within quotes is no separator.
        let director = Ok(("Kowalski, Jan".to_owned(), "jan@abc.example".to_owned()));
        assert_eq!(read("\"Kowalski, Jan\",jan@abc.example"), [director]);
    }

    #[test]
    fn each_line_has_its_own_problem() {
        let text = "Anna, anna@abc.example\nno address\n=1+2;x@abc.example\nx@y@z\n\nANNA@abc.example";
        let problems: Vec<_> =
            parse_list(text).unwrap().into_iter().map(|line| (line.number, line.person.err())).collect();
        let expected = [
            (1, None),
            (2, Some(LineProblem::Address)),
            (3, Some(LineProblem::Formula)),
            (4, Some(LineProblem::Address)),
            (6, Some(LineProblem::Repeated(1))),
        ];
        assert_eq!(problems, expected);
        let long = format!("{}, long@abc.example", "x".repeat(101));
        assert_eq!(read(&long), [Err(LineProblem::Name)]);
    }

    #[test]
    fn length_of_a_list_is_bounded() {
        let people = |count: usize| (0..count).map(|number| format!("p{number}@abc.example\n")).collect::<String>();
        assert_eq!(parse_list(&people(MOST_LINES)).unwrap().len(), MOST_LINES);
        assert_eq!(parse_list(&people(MOST_LINES + 1)), Err(ListProblem::TooLong));
        assert_eq!(parse_list(&"x".repeat(LONGEST + 1)), Err(ListProblem::TooLong));
        assert_eq!(parse_list(" \n"), Err(ListProblem::Empty));
    }
}
