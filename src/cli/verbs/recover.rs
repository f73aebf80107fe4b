//! `mai recover DIR --from PLACE`: brings all clients of a server that is gone back, on a machine
//! that has none of them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use mai_backup::summary::Summary;

use crate::cli::shared::backup_output::{ProgressOutput, bytes, local};
use crate::cli::shared::block_on::block_on;
use crate::cli::shared::identity_files::read_identities;
use crate::cli::shared::runtime::RuntimeChoice;
use crate::cli::shared::state_dir::Place;
use crate::cli::shared::table;
use crate::recovery::{Address, ClientEnd, Found, Location, Recovery, RestoredClient, Search, Target};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Place,

    /// Where the backups are: the place of `mai compose --recovery-to`, or else that of the clients'
    /// backups
    #[arg(long, value_name = "s3://BUCKET/PREFIX|DIR")]
    from: Address,

    /// File of mode 0600 with accessKeyId, secretAccessKey and, unless it is AWS, endpoint of the
    /// bucket
    #[arg(long, value_name = "FILE")]
    s3: Option<PathBuf>,

    /// File with an identity (secret key of age) that opens the backups; may be repeated
    #[arg(long = "identity", value_name = "FILE")]
    identities: Vec<PathBuf>,

    /// The server, where there are backups of several
    #[arg(long, value_name = "NAME")]
    server: Option<String>,

    #[command(flatten)]
    choice: RuntimeChoice,

    /// Only list what would come back
    #[arg(long)]
    dry_run: bool,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(recover(args))
}

async fn recover(args: &Args) -> anyhow::Result<ExitCode> {
    let location = Location::new(args.from.clone(), args.s3.as_deref(), "--s3")?;
    let identity = read_identities(&args.identities)?;
    let found = Search { location, identity, server: args.server.clone() }.find().await?;
    match found.server() {
        Some(server) => println!("{server}"),
        None => println!("no backup of a server there; documents and secrets come from the backups of its clients"),
    }
    if args.dry_run {
        return Ok(list(&found));
    }
    let notes = found.notes.clone();
    let state_dir = args.place.state_dir()?;
    let (kind, manual) = args.choice.manual_for_new(&state_dir, found.runtime());
    let documents = std::path::absolute(&args.place.directory)?;
    let target = Target {
        state_dir: state_dir.clone(),
        documents,
        manual: manual.as_ref(),
        platform: kind.platform(),
        policy: Arc::new(args.place.policy()?.read()?),
    };
    let (progress, output) = ProgressOutput::counter();
    let begun = Recovery::begin(found, target, &progress).await;
    output.lock().finish();
    let mut recovery = begun?;
    kind.record(&state_dir)?;

    let (mut restored, mut missing) = (Vec::new(), Vec::new());
    for number in 0..recovery.len() {
        let Some((name, summary)) = recovery.describe(number) else { continue };
        println!("[{}/{}] {name:<20} {}", number + 1, recovery.len(), describe(summary.as_ref()));
        let (progress, output) = ProgressOutput::counter();
        let ended = recovery.restore(number, &progress).await;
        output.lock().finish();
        match ended? {
            ClientEnd::Restored { client, notes } => {
                restored.push(client);
                missing.extend(notes.into_iter().map(|note| format!("{name}: {note}")));
            }
            ClientEnd::Missing(problem) => {
                eprintln!("mai: {name}: {problem}");
                missing.push(format!("{name}: {problem}"));
            }
        }
    }
    let is_whole = restored.len() == recovery.len();
    missing.extend(notes);
    missing.extend(recovery.finish().await.context("the clients are back, and their documents are not")?);
    print!("\n{}", restored_table(&restored));
    print_missing(&missing);
    let directory = args.place.directory.display();
    if !is_whole {
        println!("\nrun the same command again to try once more; what is there stays as it is");
    }
    println!("\nstart them: mai compose {directory} --runtime {}; then point their names to this machine", kind.name());
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn describe(summary: Option<&Summary>) -> String {
    match summary {
        Some(summary) => {
            format!("backup {} of {}, {}", summary.id, local(summary.taken_at), bytes(summary.data_bytes))
        }
        None => "nothing to unpack".to_owned(),
    }
}

/// Prints what would come back.
fn list(found: &Found) -> ExitCode {
    let clients = found.clients();
    let mut rows = table::table(["CLIENT", "BACKUP", "TAKEN", "DATA", "VERIFIED"]);
    for client in &clients {
        let mut row = vec![client.name.clone()];
        row.extend(match &client.backup {
            Some(backup) => [
                backup.id.to_string(),
                local(backup.taken_at),
                bytes(backup.data_bytes),
                if backup.is_verified { "yes" } else { "no" }.to_owned(),
            ],
            None => ["none", "", "", ""].map(str::to_owned),
        });
        rows.add_row(row);
    }
    print!("\n{}", table::text(&rows));
    let notes = clients.iter().flat_map(|client| client.notes.iter().map(|note| format!("{}: {note}", client.name)));
    print_missing(&notes.chain(found.notes.iter().cloned()).collect::<Vec<_>>());
    println!("\nnothing was changed");
    ExitCode::SUCCESS
}

fn restored_table(restored: &[RestoredClient]) -> String {
    let mut rows = table::table(["CLIENT", "BACKUP OF", "DATA", "ADDRESS"]);
    for client in restored {
        rows.add_row([
            client.name.clone(),
            local(client.taken_at),
            bytes(client.data_bytes),
            client.address.clone().unwrap_or_default(),
        ]);
    }
    table::text(&rows)
}

fn print_missing(missing: &[String]) {
    if !missing.is_empty() {
        println!("\nmissing, or not as it was:");
    }
    for one in missing {
        println!("* {one}");
    }
}
