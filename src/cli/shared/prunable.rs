//! Data on a server that no document uses any more: of instances whose documents are gone, and what
//! restores replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{MaiInstance, MaiInstanceStatus, parse_duration};
use crate::cli::shared::backup_output::bytes;
use crate::cli::shared::replaced_data::{self, ReplacedData};
use crate::cli::shared::runtime::RuntimeChoice;
use crate::cli::shared::state_dir::Place;
use crate::cli::shared::table;
use crate::core::{InstanceId, Platform, is_named};
use crate::runtime::{MaintenanceLock, Observe, RetiredData, RetiredKind, Target, UsedPlaces};
use crate::source::directory::Preview;
use crate::state::{KnownDocument, State};

/// Something that could be removed.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Prunable {
    pub(in crate::cli) id: InstanceId,
    pub(in crate::cli) kind: PrunableKind,
    /// Directory, or name of the volume.
    pub(in crate::cli) place: String,
    /// Directory on this machine, where it can be read.
    directory: Option<PathBuf>,
    /// Time since which it is not used.
    since: Option<Timestamp>,
    size: Option<u64>,
    /// The restore that replaced it.
    restore: Option<ReplacedData>,
    /// Moment of the data in the newest verified backup of its instance.
    last_verified: Option<Timestamp>,
    /// It is only listed.
    pub(in crate::cli) is_kept: bool,
    pub(in crate::cli) is_removed: bool,
    /// Cause for which it could not be removed.
    pub(in crate::cli) problem: Option<String>,
}

/// Kind of something that could be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub(in crate::cli) enum PrunableKind {
    /// Data that a restore replaced.
    Replaced,
    /// Data of an instance whose document is gone.
    Data,
    /// Backups of one, in the backups volume.
    Backups,
}

/// Everything that could be removed.
pub(in crate::cli) struct Prunables {
    pub(in crate::cli) items: Vec<Prunable>,
    /// Cause for which nothing may be removed now.
    pub(in crate::cli) obstacle: Option<String>,
}

impl Prunable {
    /// Returns whether it was made for the instance of a name, which may be written NAMESPACE/NAME.
    pub(in crate::cli) fn is_of(&self, name: &str) -> bool {
        is_named(name, &self.id.namespace, &self.id.name)
    }

    /// Returns whether it is known not to have been used for a time.
    pub(in crate::cli) fn is_older_than(&self, age: Duration) -> bool {
        self.age().is_some_and(|unused| unused >= age)
    }

    fn age(&self) -> Option<Duration> {
        Duration::try_from(Timestamp::now().duration_since(self.since?)).ok()
    }

    fn retired(&self) -> Option<RetiredData> {
        let kind = match self.kind {
            PrunableKind::Data => RetiredKind::Data,
            PrunableKind::Backups => RetiredKind::Backups,
            PrunableKind::Replaced => return None,
        };
        let (owner, place) = (self.id.clone(), self.place.clone());
        Some(RetiredData { owner, kind, place, directory: self.directory.clone() })
    }
}

impl Prunables {
    /// Looks for what no document of a directory uses.
    pub(in crate::cli) async fn find(place: &Place, choice: &RuntimeChoice) -> anyhow::Result<Self> {
        let known = Known::read(place, choice).await?;
        let manual = choice.manual(&known.state_dir);
        let mut items: Vec<Prunable> =
            manual.retired(&known.used).await?.into_iter().map(|retired| known.retired(retired)).collect();
        for instance in &known.instances {
            let target = target(instance)?;
            if known.is_being_restored(&target.id) {
                continue;
            }
            // A server without a container has no place that could be known.
            if let Ok(directories) = manual.directories(&target).await {
                let found = replaced_data::find(&directories.data).into_iter();
                items.extend(found.map(|replaced| known.replaced(replaced, target.id.clone())));
            }
        }
        let data = items.iter().filter(|item| item.kind == PrunableKind::Data);
        let beside = data.filter_map(|item| Some((item.id.clone(), replaced_data::beside(item.directory.as_ref()?))));
        let beside: Vec<_> = beside.collect();
        for (id, found) in beside {
            items.extend(found.into_iter().map(|replaced| known.replaced(replaced, id.clone())));
        }
        items.sort_by(|a, b| (&a.id, a.kind, &a.place).cmp(&(&b.id, b.kind, &b.place)));
        let items = tokio::task::spawn_blocking(|| {
            for item in &mut items {
                item.size = item.directory.as_deref().and_then(size);
            }
            items
        });
        Ok(Self { items: items.await?, obstacle: known.obstacle })
    }

    /// Removes everything of one instance that is not kept. Nothing else works on it meanwhile.
    pub(in crate::cli) async fn remove(
        &mut self,
        place: &Place,
        choice: &RuntimeChoice,
        owner: &InstanceId,
    ) -> anyhow::Result<()> {
        let state_dir = place.state_dir()?;
        let manual = choice.manual(&state_dir);
        let home = manual.home(owner)?;
        let lock = MaintenanceLock::acquire(&home, "mai prune")?;
        // What was listed before the lock may be used by now.
        let known = Known::read(place, choice).await?;
        anyhow::ensure!(known.obstacle.is_none(), "{}", known.obstacle.unwrap_or_default());
        let observer = choice.observer(&state_dir).await?;
        let job = observer.observe(owner, None).await?.jobs.current;
        anyhow::ensure!(job.is_none(), "a job works on it; ask again when it has ended");
        anyhow::ensure!(!known.is_being_restored(owner), "its data is being restored; ask again when that has ended");
        for item in self.items.iter_mut().filter(|item| !item.is_kept && item.id == *owner) {
            let removed = match (&item.restore, item.retired()) {
                (Some(replaced), _) => replaced.remove().await,
                (None, Some(retired)) => manual.remove_retired(&retired, &known.used).await.map_err(Into::into),
                (None, None) => Ok(()),
            };
            match removed {
                Ok(()) => item.is_removed = true,
                Err(error) => item.problem = Some(format!("{error:#}")),
            }
        }
        drop(lock);
        if !known.used.has_instance(&owner.namespace, &owner.name) {
            // Unless something is left in it.
            let _ = std::fs::remove_dir(home);
        }
        Ok(())
    }

    /// Returns a table of all, or of those made for the instance `name`.
    pub(in crate::cli) fn table(&self, name: Option<&str>) -> String {
        if self.items.is_empty() {
            let of = name.map(|name| format!(" of {name}")).unwrap_or_default();
            return format!("there is nothing{of} that no document uses\n");
        }
        let mut table = table::table(["INSTANCE", "WHAT", "SIZE", "UNUSED FOR", "LAST VERIFIED BACKUP", "PLACE"]);
        for item in &self.items {
            let what = match item.is_kept {
                true => format!("{}, kept", item.kind),
                false => item.kind.to_string(),
            };
            table.add_row([
                item.id.log_name(),
                what,
                item.size.map_or_else(|| "unknown".to_owned(), bytes),
                item.age().map_or_else(|| "unknown".to_owned(), days),
                item.last_verified
                    .map_or_else(|| "none".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string()),
                item.place.clone(),
            ]);
        }
        table::text(&table)
    }

    pub(in crate::cli) fn json(&self) -> Value {
        let items = self.items.iter().map(|item| {
            json!({
                "namespace": item.id.namespace,
                "name": item.id.name,
                "kind": item.kind.to_string(),
                "place": item.place,
                "bytes": item.size,
                "unusedSince": item.since,
                "lastVerifiedBackup": item.last_verified,
                "kept": item.is_kept,
                "removed": item.is_removed,
                "problem": item.problem,
            })
        });
        json!({"items": items.collect::<Vec<_>>(), "obstacle": self.obstacle})
    }
}

/// Knowledge of the documents of a directory, as they are and as they were.
struct Known {
    state_dir: PathBuf,
    used: UsedPlaces,
    instances: Vec<MaiInstance>,
    rows: Vec<KnownDocument>,
    statuses: BTreeMap<String, MaiInstanceStatus>,
    obstacle: Option<String>,
}

impl Known {
    async fn read(place: &Place, choice: &RuntimeChoice) -> anyhow::Result<Self> {
        let state_dir = place.state_dir()?;
        let state = State::open_read_only(&state_dir).await?;
        let rows = state.documents().await?;
        let mut statuses = BTreeMap::new();
        for row in &rows {
            statuses.extend(state.status(&row.uid).await?.map(|status| (row.uid.clone(), status)));
        }
        state.close().await;
        let platform = choice.observer(&state_dir).await?.platform().kind;
        let preview = Preview::read(&place.directory, rows.clone(), platform, &place.policy()?).await?;
        let obstacle = preview.problems.first().map(|problem| {
            format!(
                "as long as a document has an error it is not known which data it uses; correct it first: {problem}"
            )
        });
        let instances: Vec<MaiInstance> = preview.instances.iter().map(|one| one.instance.clone()).collect();
        let mut used = UsedPlaces::default();
        // Both as it is accepted and as it would be.
        for one in &preview.instances {
            let accepted = one.before.as_ref().and_then(|row| serde_json::from_value(row.document.clone()).ok());
            for document in accepted.iter().chain([&one.instance]) {
                add(&mut used, document);
            }
            used.instances.extend(InstanceId::try_from(&one.instance).ok());
        }
        Ok(Self { state_dir, used, instances, rows, statuses, obstacle })
    }

    fn row(&self, id: &InstanceId) -> Option<&KnownDocument> {
        self.rows.iter().find(|row| row.namespace == id.namespace && row.name == id.name)
    }

    fn status(&self, id: &InstanceId) -> Option<&MaiInstanceStatus> {
        self.statuses.get(&self.row(id)?.uid)
    }

    /// Returns whether a restore of an instance has not ended.
    fn is_being_restored(&self, id: &InstanceId) -> bool {
        let restore = self.status(id).and_then(|status| status.restore.as_ref());
        restore.is_some_and(|restore| restore.ended_at.is_none())
    }

    fn retired(&self, retired: RetiredData) -> Prunable {
        let RetiredData { owner, kind, place, directory } = retired;
        let kind = match kind {
            RetiredKind::Data => PrunableKind::Data,
            RetiredKind::Backups => PrunableKind::Backups,
        };
        let since = self.row(&owner).and_then(|row| row.released_at);
        Prunable { since, ..self.prunable(owner, kind, place, directory) }
    }

    fn replaced(&self, replaced: ReplacedData, id: InstanceId) -> Prunable {
        let directory = replaced.directory.clone();
        let place = directory.display().to_string();
        let since = replaced.since;
        Prunable { since, restore: Some(replaced), ..self.prunable(id, PrunableKind::Replaced, place, Some(directory)) }
    }

    fn prunable(&self, id: InstanceId, kind: PrunableKind, place: String, directory: Option<PathBuf>) -> Prunable {
        let backup = self.status(&id).and_then(|status| status.backup.as_ref());
        Prunable {
            last_verified: backup.and_then(|backup| backup.last_verified),
            id,
            kind,
            place,
            directory,
            since: None,
            size: None,
            restore: None,
            is_kept: false,
            is_removed: false,
            problem: None,
        }
    }
}

/// Adds the places that a document declares.
fn add(used: &mut UsedPlaces, document: &MaiInstance) {
    let spec = &document.spec;
    for volume in [&spec.storage.data, &spec.storage.backups] {
        used.directories.extend(volume.host_path.as_ref().map(PathBuf::from));
        used.volumes.extend(volume.volume_name.clone());
    }
    let destinations = spec.backup.iter().flat_map(|backup| &backup.destinations);
    let local: BTreeSet<PathBuf> =
        destinations.filter_map(|one| Some(PathBuf::from(&one.local.as_ref()?.path))).collect();
    used.directories.extend(local);
}

fn target(instance: &MaiInstance) -> anyhow::Result<Target> {
    let storage = &instance.spec.storage;
    Ok(Target {
        id: InstanceId::try_from(instance).map_err(anyhow::Error::msg)?,
        listen: (Platform::PROCESS.listen)(instance).ok(),
        data_path: storage.data.host_path.as_ref().map(PathBuf::from),
        backups_path: storage.backups.host_path.as_ref().map(PathBuf::from),
        is_reconciled: false,
    })
}

/// Returns the bytes that a tree takes on its disk; none if a part of it cannot be read.
fn size(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    let metadata = path.symlink_metadata().ok()?;
    let mut sum = metadata.blocks().saturating_mul(512);
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).ok()? {
            sum = sum.saturating_add(size(&entry.ok()?.path())?);
        }
    }
    Some(sum)
}

fn days(age: Duration) -> String {
    let hours = age.as_secs() / 3600;
    if hours < 48 { format!("{hours} h") } else { format!("{} days", hours / 24) }
}

/// Parses an age such as `30d` or `12h`.
pub(in crate::cli) fn parse_age(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    match days {
        Some(days) => Ok(Duration::from_secs(u64::from(days) * 86_400)),
        None => parse_duration(text).map_err(|error| format!("{error}, or whole days such as 30d")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_may_be_in_days() {
        for (text, hours) in [("30d", Some(720)), ("12h", Some(12)), ("d", None), ("-1d", None), ("1w", None)] {
            assert_eq!(parse_age(text).ok().map(|age| age.as_secs() / 3600), hours, "{text}");
        }
    }
}
