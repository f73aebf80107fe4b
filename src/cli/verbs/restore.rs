//! `mai restore DIR NAME --from BACKUP`: brings the data of an instance back. Everything is unpacked
//! and checked next to the data while the server runs; then the server is stopped, the data is
//! backed up once more, and the two are exchanged. A server that does not start on the restored data
//! gets its former data back.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use mai_backup::encryption::Identity;
use mai_backup::restore::{self, ArchiveFile, Unpacked};
use mai_backup::summary::Summary;
use mai_backup::swap::{self, Settled, Swap};
use mai_backup::{OpenStore, Progress, catalog, lock_backups};
use mai_contract::LockFile;
use mai_contract::job::{BACKUPS_VOLUME, Subject};

use crate::api::ServerKind;
use crate::cli::shared::backup_output::{ProgressOutput, local};
use crate::cli::shared::backup_stores::BackupStores;
use crate::cli::shared::block_on::block_on;
use crate::cli::shared::confirmation::confirm;
use crate::cli::shared::named_instance::{InstanceArgs, NamedInstance};
use crate::cli::shared::safety_backup::{back_up, print_remarks, require_apart};
use crate::cli::shared::stopped_server::StoppedServer;
use crate::cli::shared::wanted_backup::parse_wanted;
use crate::core::InstanceId;
use crate::server::OfflineData;

const COMMAND: &str = "mai restore";
/// Record of a swap, beside the logs of the instance.
const RECORD: &str = "restore.json";
/// Lock of a restore, beside the logs of the instance.
const LOCK: &str = "restore.lock";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    instance: InstanceArgs,

    /// The backup: `latest` is the newest verified one, a time stands for the newest not after it;
    /// or an archive of this machine, of mai or of a data directory packed with tar
    #[arg(long, value_name = "latest|TIME|ID|FILE")]
    from: String,

    /// Destination to take it from; `backups` is the backups volume
    #[arg(long, value_name = "NAME", default_value = BACKUPS_VOLUME)]
    destination: String,

    /// File with the identity (secret key of age) that opens it [default: the one that the document
    /// names]
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,

    /// Instance that the backup is of, where it is another one
    #[arg(long, value_name = "NAMESPACE/NAME")]
    of: Option<String>,

    /// Do not back up the data that is replaced; it is kept in a directory beside it all the same
    #[arg(long)]
    without_backup: bool,

    /// Do not ask for the name to be typed; counts only where standard input is no terminal
    #[arg(long)]
    yes: bool,

    /// Longest wait until it answers again. If it does not, its former data is put back
    #[arg(long, default_value = "120s", value_parser = crate::api::parse_duration, value_name = "TIME")]
    timeout: Duration,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(restore(args))
}

async fn restore(args: &Args) -> anyhow::Result<ExitCode> {
    let instance = args.instance.find().await?;
    instance.require_no_restore().await?;
    let name = &instance.id().name;
    let home = instance.manual.home(instance.id())?;
    let directories = instance.manual.directories(&instance.target).await?;
    let _only_one = LockFile::acquire(&home.join(LOCK), 0o600, &format!("{COMMAND} (process {})", std::process::id()))
        .with_context(|| format!("{name} is being restored by another command"))?;
    let data = directories.data.canonicalize().with_context(|| format!("{}", directories.data.display()))?;
    let place = ReplacedData { data, record: home.join(RECORD), backups: directories.backups };
    require_apart(&place.data, &place.backups).context("nothing was changed")?;
    place.settle_interrupted(name)?;
    swap::expect_swappable(&place.data)?;

    let source = Source::find(args, &instance, &place).await?;
    let origin = Origin::new(args, instance.id());
    origin.require(source.summary().map(|summary| &summary.instance)).context("nothing was changed")?;
    println!("{name:<20} {}", source.describe());
    if let Some(warning) = source.warning(instance.id()) {
        println!("{name:<20} {warning}");
    }
    let question = format!("This stops {name} and replaces all of its data by that of the backup.");
    confirm(name, &question, &format!("replace the data of {name}"), args.yes)?;

    // Asked before the server is stopped; it is locked again for the exchange.
    drop(lock_backups(&place.backups, COMMAND).context("nothing was changed")?);
    let kind = instance.document.spec.server.kind;
    let restored = swap::beside(&place.data, swap::RESTORE, &Timestamp::now().as_second().to_string());
    let unpacked = source.unpack(kind, &origin, &restored, place.owner()?).await.context("nothing was changed")?;
    println!("{name:<20} {}", checked(&unpacked));
    match place.replace(args, &instance, &restored).await {
        Ok(former) => {
            let shown = former.display();
            println!("{name:<20} the data before it is kept in {shown}; remove it with: rm -r '{shown}'");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            // With a record left, it may be the former data that is there.
            if !place.record.exists() {
                let _ = std::fs::remove_dir_all(&restored);
            }
            Err(error)
        }
    }
}

/// Words for what was checked.
fn checked(unpacked: &Unpacked) -> String {
    match &unpacked.manifest {
        Some(manifest) => format!(
            "unpacked; all {} files and {} databases are as its manifest says",
            manifest.data_files().count(),
            unpacked.counts.databases
        ),
        None => format!(
            "unpacked; its {} databases are intact; nothing else could be verified, since it has no manifest of mai",
            unpacked.counts.databases
        ),
    }
}

/// The backup to restore.
struct Source {
    archive: Archive,
    identity: Option<Identity>,
}

enum Archive {
    Stored(Box<OpenStore>, Box<Summary>),
    File(PathBuf, Box<ArchiveFile>),
}

impl Source {
    async fn find(args: &Args, instance: &NamedInstance, place: &ReplacedData) -> anyhow::Result<Self> {
        let path = Path::new(&args.from);
        let is_file = path.is_file() || args.from.contains('/');
        let given = args.identity.as_deref().map(read_identity).transpose()?;
        if is_file {
            let identity = match given {
                Some(given) => Some(given),
                None => declared_identity(args, instance, place).await,
            };
            let file = restore::open_file(path, identity.as_ref(), &Progress::silent()).await;
            let file = file.with_context(|| format!("{} cannot be restored; nothing was changed", path.display()))?;
            return Ok(Self { archive: Archive::File(path.to_owned(), Box::new(file)), identity });
        }
        let wanted = parse_wanted(&args.from, &instance.document)?;
        let stores = BackupStores::open(instance, &args.instance.place, Ok(place.backups.clone())).await?;
        let store = stores.named(&args.destination)?;
        let catalog = catalog::read(store).await.with_context(|| format!("destination {}", args.destination))?;
        let Some(entry) = wanted.find(&catalog.entries) else {
            anyhow::bail!(
                "destination {} has no such backup of {}; `mai backups` lists what there is in each destination{}",
                args.destination,
                instance.id().name,
                catalog.problems.iter().map(|problem| format!("; {problem}")).collect::<String>()
            );
        };
        let identity = match given {
            Some(given) => Some(given),
            None if entry.summary.is_encrypted() => {
                stores.identity.clone().map_err(|problem| anyhow::anyhow!("the identity of backups: {problem}"))?
            }
            None => None,
        };
        if entry.summary.is_encrypted() && identity.is_none() {
            anyhow::bail!(
                "backup {} is encrypted to {}; pass the secret key of one of them with --identity FILE; nothing was changed",
                entry.summary.id,
                entry.summary.recipients.join(", ")
            );
        }
        Ok(Self { archive: Archive::Stored(Box::new(store.clone()), Box::new(entry.summary.clone())), identity })
    }

    /// Returns the summary of the backup, if it has one.
    fn summary(&self) -> Option<&Summary> {
        match &self.archive {
            Archive::Stored(_, summary) => Some(summary),
            Archive::File(_, file) => file.summary(),
        }
    }

    /// Returns a sentence where it is the backup of another instance.
    fn warning(&self, id: &InstanceId) -> Option<String> {
        let Subject { namespace, name, uid } = &self.summary()?.instance;
        (*uid != id.uid).then(|| {
            format!(
                "it is of another instance, {namespace}/{name} with uid {uid}: of one that was deleted, or of another machine; {id} has uid {}",
                id.uid
            )
        })
    }

    fn describe(&self) -> String {
        match &self.archive {
            Archive::Stored(store, summary) => {
                format!("{}, from destination {}", describe(summary), store.name())
            }
            Archive::File(path, file) => match file.summary() {
                Some(summary) => format!("{}, from {}", describe(summary), path.display()),
                None if file.is_backup() => format!("backup without its summary, from {}", path.display()),
                None => format!("data directory without a manifest of mai, from {}", path.display()),
            },
        }
    }

    /// Unpacks it for a server of `kind`.
    async fn unpack(
        &self,
        kind: ServerKind,
        origin: &Origin<'_>,
        into: &Path,
        owner: (u32, u32),
    ) -> anyhow::Result<Unpacked> {
        let identity = self.identity.as_ref();
        let (progress, output) = ProgressOutput::counter();
        let unpacked = match &self.archive {
            Archive::Stored(store, summary) => {
                restore::unpack_stored(store, summary, identity, into, owner, &progress).await
            }
            Archive::File(_, file) => file.unpack(identity, into, owner, &progress).await,
        };
        output.lock().finish();
        let unpacked = unpacked?;
        let checked = restore::require_database(&unpacked, into, kind.database()).map_err(anyhow::Error::from);
        let checked = checked.and_then(|()| origin.require_of(&unpacked));
        // Nothing else refers to it.
        checked.inspect_err(|_| drop(std::fs::remove_dir_all(into)))?;
        Ok(unpacked)
    }
}

/// The instance that the backup has to be of. The data of another client would be shown to people
/// whom it is not meant for.
struct Origin<'a> {
    instance: String,
    declared: Option<&'a str>,
}

impl<'a> Origin<'a> {
    fn new(args: &'a Args, id: &InstanceId) -> Self {
        Self { instance: format!("{}/{}", id.namespace, id.name), declared: args.of.as_deref() }
    }

    /// Fails if the backup is of another instance.
    fn require(&self, found: Option<&Subject>) -> anyhow::Result<()> {
        let Some(found) = found.map(|subject| format!("{}/{}", subject.namespace, subject.name)) else { return Ok(()) };
        let expected = self.declared.unwrap_or(&self.instance);
        if found != expected {
            anyhow::bail!("the backup is of {found}, not of {expected}; to restore it all the same, add: --of {found}");
        }
        Ok(())
    }

    /// Fails if the data is of another instance, or nothing tells where it has to.
    fn require_of(&self, unpacked: &Unpacked) -> anyhow::Result<()> {
        match (&unpacked.manifest, self.declared) {
            (Some(manifest), _) => self.require(Some(&manifest.instance)),
            (None, Some(_)) => {
                anyhow::bail!("the archive has no manifest of mai that names its instance; leave out --of")
            }
            (None, None) => Ok(()),
        }
    }
}

fn describe(summary: &Summary) -> String {
    format!(
        "backup {} of {}/{}, taken {} ({})",
        summary.id,
        summary.instance.namespace,
        summary.instance.name,
        local(summary.taken_at),
        summary.reason
    )
}

fn read_identity(path: &Path) -> anyhow::Result<Identity> {
    let text = std::fs::read_to_string(path).with_context(|| format!("--identity {}", path.display()))?;
    Identity::parse(&text).with_context(|| format!("--identity {}", path.display()))
}

/// Returns the identity that the document names, if it can be read: a file need not be encrypted.
async fn declared_identity(args: &Args, instance: &NamedInstance, place: &ReplacedData) -> Option<Identity> {
    let backups = Ok(place.backups.clone());
    let stores = BackupStores::open(instance, &args.instance.place, backups).await.ok()?;
    stores.identity.ok().flatten()
}

/// Data that is to be replaced.
struct ReplacedData {
    /// Its directory, without links.
    data: PathBuf,
    record: PathBuf,
    backups: PathBuf,
}

impl ReplacedData {
    /// Settles what an interrupted restore left.
    fn settle_interrupted(&self, name: &str) -> anyhow::Result<()> {
        match Swap::settle(&self.record)? {
            Some(Settled::Undone) => {
                println!("{name:<20} an earlier restore was interrupted before it changed anything; it was undone");
            }
            Some(Settled::Completed { former }) => println!(
                "{name:<20} an earlier restore was interrupted after its data was in place, where it is; the data before it is in {}",
                former.display()
            ),
            None => {}
        }
        for left in swap::unpacked(&self.data)? {
            std::fs::remove_dir_all(&left).with_context(|| {
                format!("{}, which an interrupted restore left, could not be removed", left.display())
            })?;
        }
        Ok(())
    }

    fn owner(&self) -> anyhow::Result<(u32, u32)> {
        let metadata = self.data.metadata().with_context(|| format!("{}", self.data.display()))?;
        Ok((metadata.uid(), metadata.gid()))
    }

    /// Stops the server, swaps the data and starts the server. Returns where the former data is.
    async fn replace(&self, args: &Args, instance: &NamedInstance, restored: &Path) -> anyhow::Result<PathBuf> {
        let name = &instance.id().name;
        let stopped = StoppedServer::stop(instance, COMMAND).await?;
        let swapped = self.swap(args, instance, restored).await;
        let swap = match swapped {
            Ok(swap) => swap,
            Err(error) => {
                let back = stopped.start_again(args.timeout).await;
                let error = error.context(format!("the data of {name} was not replaced"));
                return Err(match back {
                    Ok(_) => error,
                    Err(back) => error.context(format!("{back:#}")),
                });
            }
        };
        let former = swap.former().to_owned();
        match stopped.start_again(args.timeout).await {
            Ok(Some(time)) => println!("{name:<20} restored; it answers again after {:.1} s", time.as_secs_f32()),
            Ok(None) => println!("{name:<20} restored; it did not run before and is left to `mai compose`"),
            Err(error) => return Err(self.put_back(args, instance, swap, error).await),
        }
        swap.finish()?;
        Ok(former)
    }

    async fn swap(&self, args: &Args, instance: &NamedInstance, restored: &Path) -> anyhow::Result<Swap> {
        let name = &instance.id().name;
        // Both stay locked until they are swapped, so that no server is started on either.
        let _data = OfflineData::lock(&self.data)?;
        if args.without_backup {
            println!("{name:<20} not backed up before, as --without-backup says");
        } else {
            let report = back_up(instance, &self.data, &self.backups, format!("before {COMMAND}")).await.context(
                "its present data could not be backed up; correct that, or pass --without-backup: the data that is replaced is kept all the same",
            )?;
            print_remarks(name, &report);
            println!("{name:<20} its present data was backed up as {} and checked", report.id);
        }
        let _restored = OfflineData::lock(restored)?;
        // No job reads the data while it is exchanged.
        let _jobs = lock_backups(&self.backups, COMMAND)?;
        let swap = Swap::plan(&self.data, restored, Timestamp::now(), &self.record)?;
        if let Err(error) = swap.swap() {
            swap.undo().with_context(|| format!("{error}; and the former data could not be put back"))?;
            return Err(error.into());
        }
        Ok(swap)
    }

    /// Gives the server its former data back.
    async fn put_back(&self, args: &Args, instance: &NamedInstance, swap: Swap, cause: anyhow::Error) -> anyhow::Error {
        let name = &instance.id().name;
        let former = swap.former().to_owned();
        let put_back = async {
            let stopped = StoppedServer::stop_to_start_again(instance, COMMAND).await?;
            swap.undo()?;
            stopped.start_again(args.timeout).await
        };
        match put_back.await {
            Ok(_) => cause.context(format!(
                "{name} did not start on the restored data, so its former data was put back, and it answers again"
            )),
            Err(error) => cause.context(format!(
                "{name} did not start on the restored data; its former data was to be put back, but: {error:#}; if it is not in {}, it is in {}",
                self.data.display(),
                former.display()
            )),
        }
    }
}
