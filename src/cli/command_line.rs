//! Parses the command line. `MAI_SECRETS_FILE` names a mounted file with secret settings of a
//! server, which do not show in its environment.
//!
//! One `NAME=VALUE` a line, the names being those of the environment; `\\` and `\n` in a value
//! stand for a backslash and a line end. What the environment or a flag says wins.

use std::collections::BTreeMap;
use std::path::Path;

use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use mai_contract::environment::SECRETS_FILE;
use mai_contract::secrets_file::decode;

use super::verbs::Verb;
use super::{Cli, kube};

impl Cli {
    /// Parses the command line of this process; ends it with what to do when that cannot be done.
    pub fn read() -> Self {
        if let Some(args) = kube::called_by_kubectl(matches) {
            return Self { verb: Verb::Kube(args) };
        }
        let mut command = Self::command();
        if let Some(path) = std::env::var_os(SECRETS_FILE).filter(|path| !path.is_empty()) {
            match read(Path::new(&path)) {
                Ok(values) => command = command.mut_subcommand("serve", |serve| with_defaults(serve, &values)),
                Err(problem) => {
                    eprintln!(
                        "mai: {SECRETS_FILE} names {}, which cannot be read: {problem}",
                        Path::new(&path).display()
                    );
                    std::process::exit(2);
                }
            }
        }
        Self::from_arg_matches(&matches(command)).unwrap_or_else(|error| error.exit())
    }
}

/// Parses the command line of this process; ends it where that cannot be done.
fn matches(command: Command) -> ArgMatches {
    command.try_get_matches().unwrap_or_else(|error| {
        // For a plan the usual 2 means that something would change.
        let is_plan = || std::env::args_os().skip(1).any(|word| word == "plan");
        if error.use_stderr() && is_plan() {
            // Nothing is left to tell anybody when standard error is gone.
            let _ = error.print();
            std::process::exit(1);
        }
        error.exit()
    })
}

fn read(path: &Path) -> std::io::Result<BTreeMap<String, String>> {
    Ok(decode(&std::fs::read_to_string(path)?))
}

/// Makes the values of the file the defaults of the settings with these variables; they are never
/// shown.
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
    fn secrets_file_gives_defaults_that_help_does_not_show() {
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
