//! `MAI_SECRETS_FILE`: secret settings of a server from a mounted file, so that they do not show where its environment is looked at.
//!
//! One `NAME=VALUE` a line, the names being those of the environment; `\\` and `\n` in a value stand for a backslash and a line end. What
//! the environment or a flag says wins.

use std::collections::BTreeMap;
use std::path::Path;

use clap::{Command, CommandFactory, FromArgMatches};

use super::Cli;

/// The variable that names the file.
const VARIABLE: &str = "MAI_SECRETS_FILE";

impl Cli {
    /// Parses the command line of this process; ends it with what to do when that cannot be done.
    pub fn read() -> Self {
        let mut command = Self::command();
        if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
            match read(Path::new(&path)) {
                Ok(values) => command = command.mut_subcommand("serve", |serve| with_defaults(serve, &values)),
                Err(problem) => {
                    eprintln!("mai: {VARIABLE} names {}, which cannot be read: {problem}", Path::new(&path).display());
                    std::process::exit(2);
                }
            }
        }
        let matches = command.try_get_matches().unwrap_or_else(|error| {
            // For `mai plan` the usual 2 means that something would change.
            if error.use_stderr() && std::env::args_os().nth(1).is_some_and(|verb| verb == "plan") {
                // Nothing is left to tell anybody when standard error is gone.
                let _ = error.print();
                std::process::exit(1);
            }
            error.exit()
        });
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

fn read(path: &Path) -> std::io::Result<BTreeMap<String, String>> {
    Ok(std::fs::read_to_string(path)?
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), unescape(value)))
        .collect())
}

fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match (character, if character == '\\' { characters.next() } else { None }) {
            ('\\', Some('n')) => text.push('\n'),
            ('\\', Some('r')) => text.push('\r'),
            ('\\', Some(other)) => text.push(other),
            (other, _) => text.push(other),
        }
    }
    text
}

/// Values of the file as defaults of the settings that have these variables: the weakest there is, and never shown.
fn with_defaults(command: Command, values: &BTreeMap<String, String>) -> Command {
    command.mut_args(|argument| {
        let value = argument.get_env().and_then(|variable| values.get(variable.to_str()?)).cloned();
        match value {
            Some(value) => argument.default_value(value).hide_default_value(true),
            None => argument,
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_file_fills_in_what_nothing_else_says_and_help_does_not_show_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secrets.env");
        std::fs::write(&file, "A_KEY=from file\nB_KEY=a\\\\b\\nc\nOTHER=1\n").unwrap();
        let values = read(&file).unwrap();
        let command = || {
            let argument = |name: &'static str| clap::Arg::new(name).long(name).env(name).hide_env_values(true);
            with_defaults(Command::new("serve").arg(argument("A_KEY")).arg(argument("B_KEY")), &values)
        };
        let matches = command().get_matches_from(["serve", "--A_KEY", "from flag"]);
        assert_eq!(matches.get_one::<String>("A_KEY").unwrap(), "from flag");
        assert_eq!(matches.get_one::<String>("B_KEY").unwrap(), "a\\b\nc");
        assert!(!command().render_long_help().to_string().contains("from file"));
    }
}
