//! `mai compose DIR`: keeps the instances of a directory as declared, until it is stopped.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;
use tokio::sync::{mpsc, watch};

use crate::cli::shared::counts_args::CountsArgs;
use crate::cli::shared::notifications::Notifications;
use crate::cli::shared::recovery_kit;
use crate::cli::shared::runtime::{OpenedRuntime, RuntimeKind};
use crate::cli::shared::server_backup_args::ServerBackupArgs;
use crate::cli::shared::service_manager::ServiceManager;
use crate::cli::shared::state_dir::Place;
use crate::cli::shared::terminal::PrintableOutput;
use crate::notification::Instances;
use crate::reconcile::{self, InstanceFeed, Options, Overview, Transition};
use crate::recovery::require_no_recovery;
use crate::runtime::probe::get_json;
use crate::runtime::{Apply, Observe};
use crate::source::directory::Directory;
use crate::state::{Problem, State};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Place,

    /// Runtime of the instances
    #[arg(long, value_enum, default_value = "process", value_name = "RUNTIME")]
    runtime: RuntimeKind,

    /// The engine of the Docker runtime [default: /var/run/docker.sock, or Podman's socket]
    #[arg(long, env = "DOCKER_HOST", value_name = "unix://SOCKET")]
    docker_host: Option<String>,

    /// Image of a mai server, which makes the backups of instances with another image [Docker
    /// runtime only]
    #[arg(long, env = "MAI_HELPER_IMAGE", value_name = "IMAGE")]
    helper_image: Option<String>,

    /// Leave the servers running when this program ends; the next run takes them over, `mai down`
    /// stops them
    #[arg(long)]
    detach: bool,

    /// Interval between reconciliations of an unchanged instance, such as 20s
    #[arg(long, default_value = "20s", value_parser = crate::api::parse_duration, value_name = "TIME")]
    resync: Duration,

    #[command(flatten)]
    counts: CountsArgs,

    #[command(flatten)]
    notifications: Notifications,

    #[command(flatten)]
    server_backup: ServerBackupArgs,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    crate::cli::shared::logging::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(compose(args))?;
    // A task that waits for a terminal must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(ExitCode::SUCCESS)
}

async fn compose(args: &Args) -> anyhow::Result<()> {
    let stop = crate::cli::shared::signals::stop()?;
    let helper_image = args.runtime.helper_image(args.helper_image.as_deref())?;
    let senders = args.notifications.senders(args.resync)?;
    let state_dir = args.place.state_dir()?;
    let policy = args.place.policy()?;
    // Before anything is opened: without a policy nothing is started.
    policy.read().context("nothing was started")?;
    require_no_recovery(&state_dir)?;
    let state = State::open(&state_dir).await.context("could not open the state directory")?;
    args.runtime.record(&state_dir)?;
    let server_backup = args.server_backup.open(&args.place.directory, &state_dir, &state, args.runtime.name())?;
    let opened = args.runtime.open(state_dir.clone(), args.docker_host.as_deref(), args.detach).await?;
    let OpenedRuntime { runtime, outlives_program } = opened;
    let (source, documents) =
        Directory::open(&args.place.directory, state.clone(), runtime.platform().kind, policy).await?;
    println!(
        "mai keeps {} as declared; state is in {}; Ctrl-C {}",
        args.place.directory.display(),
        state_dir.display(),
        if outlives_program { "leaves the servers running" } else { "stops everything" }
    );
    if let Some(reminder) = recovery_kit::reminder(&state, &state_dir, &args.place.directory).await? {
        say(&format!("{:<20} reminder    {reminder}", "recovery kit"));
    }
    let problems = tokio::spawn(print_problems(source.problems()));
    let server_backup =
        server_backup.map(|backup| tokio::spawn(ServerBackupArgs::keep(backup, args.server_backup.interval())));
    let (transitions, receiver) = mpsc::unbounded_channel();
    let printer = tokio::spawn(print_transitions(receiver));
    let feed = InstanceFeed::new(documents);
    let overview = Arc::<Overview>::default();
    let instances = Instances { store: feed.store(), overview: Arc::clone(&overview) };
    let sending = senders.map(|senders| tokio::spawn(senders.run(instances, state.clone(), || None, |_| {})));
    let context = Arc::new(reconcile::Context {
        source,
        runtime,
        record: state.clone(),
        transitions,
        metrics: Box::new(()),
        overview,
        counts: args.counts.monitor(),
        helper_image,
    });

    let manager = Arc::new(ServiceManager::from_environment());
    let stopping = Arc::clone(&manager);
    let stop = stop.inspect(move |()| stopping.stopping());
    let signs_of_life = tokio::spawn({
        let manager = Arc::clone(&manager);
        async move { manager.keep_alive().await }
    });
    manager.ready();
    reconcile::run(feed, context.clone(), Options { resync: args.resync, ..Options::default() }, stop).await;

    problems.abort();
    printer.abort();
    sending.inspect(tokio::task::JoinHandle::abort);
    if let Some(server_backup) = server_backup {
        server_backup.abort();
    }
    match outlives_program {
        true => println!("the servers keep running; `mai down {}` stops them", args.place.directory.display()),
        false => println!("stopping"),
    }
    let stopped = context.runtime.shutdown().await;
    state.close().await;
    signs_of_life.abort();
    Ok(stopped?)
}

async fn print_transitions(mut transitions: mpsc::UnboundedReceiver<Transition>) {
    while let Some(transition) = transitions.recv().await {
        let Transition { name, ready, reason, message, address, listen, gone, .. } = transition;
        let line = if gone {
            format!(
                "{name:<20} gone        its data stays unless its document declared another deletionPolicy than Retain"
            )
        } else if ready {
            let next = match listen {
                Some(listen) => next_step(listen).await,
                None => "open it",
            };
            format!("{name:<20} ready       {}   {next}", address.unwrap_or_default())
        } else if reason == "Starting" {
            continue;
        } else {
            format!("{name:<20} {reason:<11} {message}")
        };
        say(&line);
    }
}

/// Returns the next step of the administrator: an instance without users has none to sign in.
async fn next_step(listen: SocketAddr) -> &'static str {
    match get_json(listen, "/api/config", Duration::from_secs(2)).await {
        Some(config) if config["onboarding"] == true => "open it, the first to register becomes admin",
        _ => "open it and sign in",
    }
}

async fn print_problems(mut problems: watch::Receiver<Vec<Problem>>) {
    let mut printed: Vec<Problem> = Vec::new();
    loop {
        let now = problems.borrow_and_update().clone();
        for problem in now.iter().filter(|problem| !printed.contains(problem)) {
            say(&format!("{:<20} problem     {problem}", problem.instance.as_ref().map_or("", |(_, name)| name)));
        }
        printed = now;
        if problems.changed().await.is_err() {
            return;
        }
    }
}

/// Standard output may be a pipe that nobody reads any more; that must not end the reconciler.
fn say(line: &str) {
    let mut out = PrintableOutput::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
