//! `mai backups DIR NAME`: lists the backups of an instance in each destination, or verifies one.

use std::path::Path;
use std::process::ExitCode;

use jiff::{Timestamp, ToSpan};
use mai_backup::catalog::{self, CatalogEntry};
use mai_backup::restore::{Wanted, extent_words};
use mai_backup::summary::ObjectKind;
use mai_backup::{OpenStore, swap, verify};
use serde_json::{Value, json};

use crate::cli::shared::backup_output::{ProgressOutput, bytes, local};
use crate::cli::shared::backup_stores::BackupStores;
use crate::cli::shared::block_on::block_on;
use crate::cli::shared::named_instance::{InstanceArgs, NamedInstance};
use crate::cli::shared::table;
use crate::cli::shared::wanted_backup::parse_wanted;

/// Days after which data that a restore replaced is pointed out.
const OLD_DAYS: i64 = 7;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    instance: InstanceArgs,

    /// Verify this backup now: `latest`, an id, or the newest not after a time
    #[arg(long, value_name = "latest|ID|TIME", conflicts_with = "output")]
    verify: Option<String>,

    /// Only this destination; `backups` is the backups volume
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,

    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    output: Format,
}

/// Output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let instance = args.instance.find().await?;
        let directories = instance.manual.directories(&instance.target).await;
        let backups = directories.as_ref().map(|of| of.backups.clone()).map_err(ToString::to_string);
        let mut stores = BackupStores::open(&instance, &args.instance.place, backups).await?;
        if let Some(name) = &args.destination {
            stores.named(name)?;
            stores.stores.retain(|store| store.name == *name);
        }
        if let Some(wanted) = &args.verify {
            return verify_one(&instance, &stores, wanted).await;
        }
        let listing = Listing::read(&stores).await;
        let old = directories.ok().map(|of| old_replaced_data(&of.data)).unwrap_or_default();
        match args.output {
            Format::Table => print!("{}", listing.table()),
            Format::Json => println!("{}", serde_json::to_string_pretty(&listing.json(&old))?),
        }
        for problem in &listing.problems {
            eprintln!("mai: {problem}");
        }
        if args.output == Format::Table {
            for path in &old {
                println!(
                    "{path} is data that a restore replaced more than {OLD_DAYS} days ago; remove it with: rm -r '{path}'"
                );
            }
        }
        Ok(if listing.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// Backups of all destinations.
struct Listing {
    /// Each with the name of its destination, the newest first.
    entries: Vec<(String, CatalogEntry)>,
    /// Destinations and objects that could not be read, as sentences.
    problems: Vec<String>,
}

impl Listing {
    async fn read(stores: &BackupStores) -> Self {
        let mut listing = Self { entries: Vec::new(), problems: Vec::new() };
        let reads = stores.stores.iter().map(|named| async move {
            match &named.store {
                Ok(store) => (named.name.clone(), catalog::read(store).await.map_err(|error| error.to_string())),
                Err(problem) => (named.name.clone(), Err(problem.clone())),
            }
        });
        for (name, catalog) in futures::future::join_all(reads).await {
            match catalog {
                Ok(catalog) => {
                    listing.entries.extend(catalog.entries.into_iter().map(|entry| (name.clone(), entry)));
                    listing
                        .problems
                        .extend(catalog.problems.into_iter().map(|one| format!("destination {name}: {one}")));
                }
                Err(problem) => listing.problems.push(format!("destination {name}: {problem}")),
            }
        }
        listing.entries.sort_by(|(_, a), (_, b)| b.summary.id.cmp(&a.summary.id));
        listing
    }

    fn table(&self) -> String {
        if self.entries.is_empty() && self.problems.is_empty() {
            return "there is no backup\n".to_owned();
        }
        let mut table = table::table(["ID", "TAKEN", "SIZE", "DESTINATION", "VERIFIED", "ENCRYPTED", "REASON"]);
        for (name, CatalogEntry { summary, verification }) in &self.entries {
            let verified = verification.as_ref().map_or("no".to_owned(), |verification| {
                let extent = extent_words(verification.extent);
                format!("{}: {extent}", local(verification.verified_at))
            });
            table.add_row([
                summary.id.to_string(),
                local(summary.taken_at),
                bytes(summary.archive.bytes),
                name.clone(),
                verified,
                if summary.is_encrypted() { "yes" } else { "no" }.to_owned(),
                summary.reason.clone(),
            ]);
        }
        table::text(&table)
    }

    fn json(&self, old: &[String]) -> Value {
        let item = |(name, entry): &(String, CatalogEntry)| json!({"destination": name, "backup": entry.summary, "verification": entry.verification});
        let items: Vec<Value> = self.entries.iter().map(item).collect();
        json!({"items": items, "problems": self.problems, "replacedData": old})
    }
}

/// Returns the data directories that restores replaced more than some days ago.
fn old_replaced_data(data: &Path) -> Vec<String> {
    let data = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    let before = swap::BEFORE;
    let limit = Timestamp::now() - (OLD_DAYS * 24).hours();
    let limit = limit.strftime("%Y%m%dT%H%M%SZ").to_string();
    let is_old = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.rsplit_once(before).is_some_and(|(_, time)| time < limit.as_str())
    };
    let found = swap::leftovers(&data, before).unwrap_or_default();
    found.iter().filter(|path| is_old(path)).map(|path| path.display().to_string()).collect()
}

/// Verifies one backup in each destination that has it.
async fn verify_one(instance: &NamedInstance, stores: &BackupStores, wanted: &str) -> anyhow::Result<ExitCode> {
    let wanted = parse_wanted(wanted, &instance.document)?;
    let identity = stores.identity.clone().map_err(|problem| anyhow::anyhow!("the identity of backups: {problem}"))?;
    let (mut found, mut failed) = (false, false);
    for named in &stores.stores {
        let result = match &named.store {
            Ok(store) => verify_in(store, &wanted, instance, identity.as_ref()).await,
            Err(problem) => Err(anyhow::anyhow!("{problem}")),
        };
        match result {
            Ok(Some(text)) => {
                found = true;
                println!("{:<20} {text}", named.name);
            }
            Ok(None) => {}
            Err(error) => {
                failed = true;
                eprintln!("mai: destination {}: {error:#}", named.name);
            }
        }
    }
    if !found && !failed {
        anyhow::bail!("no destination has that backup; `mai backups` lists what there is");
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn verify_in(
    store: &OpenStore,
    wanted: &Wanted,
    instance: &NamedInstance,
    identity: Option<&mai_backup::encryption::Identity>,
) -> anyhow::Result<Option<String>> {
    let catalog = catalog::read(store).await?;
    let Some(CatalogEntry { summary, .. }) = wanted.find(&catalog.entries) else { return Ok(None) };
    let home = instance.manual.home(instance.id())?;
    let staging = home.join(format!("verify-{}-{}", summary.id, std::process::id()));
    let (progress, output) = ProgressOutput::counter();
    let verified = verify(store, summary, identity, &staging, &progress).await;
    output.lock().finish();
    // Made by the verification, and empty after it.
    let _ = std::fs::remove_dir_all(&staging);
    let verification = verified?;
    let object = ObjectKind::Verification.name(&summary.id);
    store.put(&object, serde_json::to_vec_pretty(&verification)?.into()).await?;
    Ok(Some(format!(
        "{} was {}: {} files with {} and {} databases",
        summary.id,
        extent_words(verification.extent),
        summary.files,
        bytes(summary.data_bytes),
        summary.databases
    )))
}
