//! Completion of `kubectl mai …`. kubectl runs `kubectl_complete-mai` with the words so far, the
//! last of them unfinished, and reads one candidate a line and then a directive.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory};
use kube::ResourceExt;
use kube::api::ListParams;

use super::{Cluster, ConnectionArgs, Plugin};
use crate::cli::shared::block_on::block_on;

/// Name under which kubectl finds the completion.
pub(super) const NAME: &str = "kubectl_complete-mai";
/// Directive: complete no file names.
const NO_FILES: &str = ":4";
/// Longest time of a request for a completion.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) fn run(words: &[String]) -> anyhow::Result<ExitCode> {
    let (unfinished, before) = words.split_last().map_or(("", words), |(last, before)| (last.as_str(), before));
    let mut root = Plugin::command();
    root.build();
    let command = before.iter().find_map(|word| root.find_subcommand(word));
    let within = command.unwrap_or(&root);
    let candidates = match before.last().and_then(|word| flag(within, word)).filter(|flag| takes_value(flag)) {
        Some(flag) => flag.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect(),
        None if unfinished.starts_with('-') => flags(within),
        None if command.is_none() => verbs(&root),
        None if within.get_positionals().any(|argument| argument.get_id() == "name") => instances(&root, before),
        None => Vec::new(),
    };
    let mut out = std::io::stdout().lock();
    for candidate in candidates.iter().filter(|candidate| candidate.starts_with(unfinished)) {
        writeln!(out, "{candidate}")?;
    }
    writeln!(out, "{NO_FILES}")?;
    Ok(ExitCode::SUCCESS)
}

fn verbs(root: &Command) -> Vec<String> {
    let shown = root.get_subcommands().filter(|verb| !verb.is_hide_set());
    shown.map(|verb| with_help(verb.get_name(), verb.get_about())).collect()
}

fn flags(command: &Command) -> Vec<String> {
    let long = |argument: &Arg| Some(with_help(&format!("--{}", argument.get_long()?), argument.get_help()));
    command.get_arguments().filter_map(long).collect()
}

fn with_help(name: &str, help: Option<&clap::builder::StyledStr>) -> String {
    let help = help.map(ToString::to_string).unwrap_or_default();
    format!("{name}\t{}", help.lines().next().unwrap_or_default())
}

/// Returns the argument that a word such as `-n` or `--namespace` begins.
fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|argument| match word.strip_prefix("--") {
        Some(long) => argument.get_long() == Some(long),
        None => argument.get_short().is_some_and(|short| word == format!("-{short}")),
    })
}

fn takes_value(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Set | ArgAction::Append)
}

/// Returns the names of the instances in the chosen namespace; none where they cannot be listed.
fn instances(root: &Command, before: &[String]) -> Vec<String> {
    let given = root.clone().ignore_errors(true).try_get_matches_from(["mai"].into_iter().chain(words(before)));
    let Ok(given) = given else { return Vec::new() };
    let text = |matches: &ArgMatches, name: &str| matches.get_one::<String>(name).cloned();
    let connection = ConnectionArgs {
        namespace: text(&given, "namespace"),
        context: text(&given, "context"),
        kubeconfig: given.get_one("kubeconfig").cloned(),
    };
    let listed = block_on(async {
        let cluster = Cluster::connect(&connection).await?;
        anyhow::Ok(tokio::time::timeout(REQUEST_TIMEOUT, cluster.instances(false).list(&ListParams::default())).await??)
    });
    // A completion cannot show an error.
    listed.map(|listed| listed.items.iter().map(ResourceExt::name_any).collect()).unwrap_or_default()
}

fn words(before: &[String]) -> impl Iterator<Item = &str> {
    before.iter().map(String::as_str)
}
