//! The verbs of `mai`, one file each. A new verb is a file here and three lines below: its module,
//! its variant of [`Verb`] and its call in [`run`].

mod adopt;
mod adopt_orphans;
mod backup;
mod backups;
mod completions;
mod compose;
mod crd;
mod down;
mod drill;
mod drill_report;
mod exec;
mod fields;
mod fix_permissions;
mod health;
mod import;
mod job;
mod logs;
mod mock_upstream;
pub(super) mod operator;
mod plan;
mod prune;
mod recover;
mod recovery_kit;
mod reset;
pub(super) mod restart;
mod restore;
mod rotate_key;
mod serve;
mod server_statement;
mod statement;
mod status;
mod validate;

use std::process::ExitCode;

use clap::Subcommand;

use super::kube;

/// A verb with its arguments.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Keep the instances of a directory running as declared
    Compose(compose::Args),
    /// Keep the instances of a Kubernetes cluster running as declared
    Operator(operator::Args),
    /// Inspect and operate the instances of a Kubernetes cluster; the same as `kubectl mai`, when
    /// `kubectl-mai` on PATH is a link to this program
    Kube(kube::Args),
    /// Show what `compose` would change now and why; exit code 0: nothing, 2: something, 1: a
    /// document has an error or an instance is blocked
    Plan(plan::Args),
    /// Show the status of the instances of a directory
    Status(status::Args),
    /// Print the log of an instance
    Logs(logs::Args),
    /// Restart the server of an instance and print how long that took
    Restart(restart::Args),
    /// Write the document that takes over a deployment made by hand with Docker Compose; its data
    /// is not touched
    Adopt(adopt::Args),
    /// Take over containers and volumes that mai made with another state directory, which was lost or
    /// which their documents left; nothing is stopped
    AdoptOrphans(adopt_orphans::Args),
    /// Run a command in the container of an instance and exit with its exit code
    Exec(exec::Args),
    /// Give the data and backups of an instance to the user of its server, and print the changes
    FixPermissions(fix_permissions::Args),
    /// Give an instance another key of its own at its upstream, and wait until its server has it
    RotateKey(rotate_key::Args),
    /// Make a backup of an instance now and wait until it is verified; exit code 1 unless it is in
    /// each destination
    Backup(backup::Args),
    /// List the backups of an instance in each destination, or verify one
    Backups(backups::Args),
    /// Bring a random verified backup of an instance back into a throw-away instance now and wait
    /// until it is checked; exit code 1 unless it works
    Drill(drill::Args),
    /// Print a page about the newest drill of an instance that its client may be sent
    DrillReport(drill_report::Args),
    /// Print the statement of a closed month of an instance, with cost and margin
    Statement(statement::Args),
    /// Bring the data of an instance back from a backup, after all of it was checked
    Restore(restore::Args),
    /// Bring all clients of a server that is gone back, on an empty machine
    Recover(recover::Args),
    /// Print the page that is needed when this server is gone: where its backups are, which keys
    /// open them, and how everything comes back
    RecoveryKit(recovery_kit::Args),
    /// Wipe the configuration of an instance, or all of its data, after a verified backup
    Reset(reset::Args),
    /// List data that no document uses any more, and remove it on confirmation
    Prune(prune::Args),
    /// Take over the people and chats of another program into the data of a stopped server
    Import(import::Args),
    /// Stop the servers that `mai compose --detach` left running, or stop and remove the
    /// containers; data stays
    Down(down::Args),
    /// Check documents without running anything, and print errors by file, line and field
    Validate(validate::Args),
    /// Run the chat server of one client
    // Boxed: the settings of a server are much bigger than any other verb's.
    Serve(Box<serve::Args>),
    /// Check that a server answers; the health check of its image
    Health(health::Args),
    /// Run one order of a reconciler on the data of an instance
    #[command(hide = true)]
    Job(job::Args),
    /// Ask the server that has this environment for a statement
    #[command(hide = true)]
    ServerStatement(server_statement::Args),
    /// Serve a mock of OpenRouter, for trying out and for tests
    MockUpstream(mock_upstream::Args),
    /// Print the custom resource definitions of MaiInstance, MaiBackup and MaiRestore for a cluster
    Crd,
    /// Print what each field of a document does on each platform, as Markdown
    Fields,
    /// Print shell completions
    Completions(completions::Args),
}

/// Runs a verb.
pub(super) fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Compose(args) => compose::run(&args),
        Verb::Operator(args) => operator::run(&args),
        Verb::Kube(args) => kube::run(args),
        Verb::Plan(args) => plan::run(&args),
        Verb::Status(args) => status::run(&args),
        Verb::Logs(args) => logs::run(&args),
        Verb::Restart(args) => restart::run(&args),
        Verb::Adopt(args) => adopt::run(&args),
        Verb::AdoptOrphans(args) => adopt_orphans::run(&args),
        Verb::Exec(args) => exec::run(&args),
        Verb::FixPermissions(args) => fix_permissions::run(&args),
        Verb::RotateKey(args) => rotate_key::run(&args),
        Verb::Backup(args) => backup::run(&args),
        Verb::Backups(args) => backups::run(&args),
        Verb::Drill(args) => drill::run(&args),
        Verb::DrillReport(args) => drill_report::run(&args),
        Verb::Statement(args) => statement::run(&args),
        Verb::ServerStatement(args) => server_statement::run(&args),
        Verb::Restore(args) => restore::run(&args),
        Verb::Recover(args) => recover::run(&args),
        Verb::RecoveryKit(args) => recovery_kit::run(&args),
        Verb::Reset(args) => reset::run(&args),
        Verb::Prune(args) => prune::run(&args),
        Verb::Import(args) => import::run(&args),
        Verb::Down(args) => down::run(&args),
        Verb::Validate(args) => validate::run(&args),
        Verb::Serve(args) => serve::run(*args),
        Verb::Health(args) => health::run(&args),
        Verb::Job(args) => job::run(&args),
        Verb::MockUpstream(args) => mock_upstream::run(args),
        Verb::Crd => crd::run(),
        Verb::Fields => fields::run(),
        Verb::Completions(args) => completions::run(&args),
    }
}
