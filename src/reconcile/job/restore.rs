//! Orders that bring a backup back.

use mai_contract::job::{BACKUPS_VOLUME, BackupId, BackupSource, Choice, Destination, DrillOrder, Order, RestoreOrder};

use super::{Given, IDENTITY, SecretFile, SecretFiles, destinations, identity_file};
use crate::api::{MaiInstance, Reason, RestoreSource, ServerKind};
use crate::core::{Blocked, DrillChoice};
use crate::reconcile::drills::{NEEDS_IDENTITY, needs_identity};

/// Returns the secret files of a restore: those of the place that has the backup, and the identity
/// that opens it.
pub(super) fn secret_files(instance: &MaiInstance, source: &RestoreSource) -> Result<SecretFiles, Blocked> {
    let (_, mut required) = destination(instance, source)?;
    required.extend(identity(instance, source));
    Ok(SecretFiles { required, archived: Vec::new() })
}

/// Returns the order of a restore.
pub(super) fn order(
    given: &Given<'_>,
    restore: BackupId,
    source: &RestoreSource,
    keeps_data: bool,
) -> Result<Order, Blocked> {
    let (destination, _) = destination(given.instance, source)?;
    let source = BackupSource {
        destination,
        namespace: given.id.namespace.clone(),
        name: source.instance.as_ref().unwrap_or(&given.id.name).clone(),
        choice: choice(source)?,
        identity: identity(given.instance, source).map(|file| file.name),
    };
    let database = given.instance.spec.server.kind.database().map(str::to_owned);
    Ok(Order::Restore(RestoreOrder { id: restore, instance: given.id.into(), source, database, keeps_data }))
}

/// Returns the source of a drill, or why it can have none.
pub(super) fn drill_source(instance: &MaiInstance, choice: Option<&DrillChoice>) -> Result<RestoreSource, Blocked> {
    if needs_identity(instance) {
        return Err(Blocked::new(Reason::DrillNeedsIdentity, NEEDS_IDENTITY));
    }
    let Some(DrillChoice { destination, .. }) = choice else {
        let message = "there is no verified backup of it that could be brought back; make one with `mai backup`";
        return Err(Blocked::new(Reason::DrillBlocked, message));
    };
    Ok(RestoreSource { destination: destination.clone(), ..RestoreSource::default() })
}

/// Returns the order of a drill.
pub(super) fn drill_order(given: &Given<'_>, drill: BackupId, choice: Option<&DrillChoice>) -> Result<Order, Blocked> {
    let source = drill_source(given.instance, choice)?;
    let (destination, _) = destination(given.instance, &source)?;
    let source = BackupSource {
        destination,
        namespace: given.id.namespace.clone(),
        name: given.id.name.clone(),
        choice: Choice::Random(choice.map_or(0, |choice| choice.number)),
        identity: identity(given.instance, &source).map(|file| file.name),
    };
    let starts_server = given.instance.spec.server.kind == ServerKind::Mai;
    Ok(Order::Drill(DrillOrder { id: drill, instance: given.id.into(), source, starts_server }))
}

/// Returns the place that has the backup, with the secret files that an order for it names.
fn destination(instance: &MaiInstance, source: &RestoreSource) -> Result<(Destination, Vec<SecretFile>), Blocked> {
    let own = instance.metadata.name.as_deref();
    if let Some(other) = source.instance.as_deref().filter(|other| Some(*other) != own)
        && source.destination == BACKUPS_VOLUME
    {
        return Err(blocked(format!(
            "the backups volume of {other} can be read by {other} alone; name a destination of spec.backup.destinations that has its backups"
        )));
    }
    let all = destinations(instance);
    let names: Vec<String> = all.iter().map(|(destination, _)| destination.name.clone()).collect();
    let found = all.into_iter().find(|(destination, _)| destination.name == source.destination);
    found.ok_or_else(|| {
        blocked(format!(
            "destination {} of the restore is not declared; declare it in spec.backup.destinations, or name one of {}",
            source.destination,
            names.join(", ")
        ))
    })
}

/// Returns the file with the identity that opens the backup.
fn identity(instance: &MaiInstance, source: &RestoreSource) -> Option<SecretFile> {
    let own = source.identity_secret_ref.clone();
    own.map(|reference| SecretFile { name: IDENTITY.to_owned(), reference }).or_else(|| identity_file(instance))
}

fn choice(source: &RestoreSource) -> Result<Choice, Blocked> {
    Ok(match (&source.backup, source.time, &source.file) {
        (Some(id), ..) => Choice::Id(id.parse().map_err(|error| blocked(format!("{error}")))?),
        (_, Some(time), _) => Choice::At(time),
        (.., Some(file)) => Choice::File(file.clone()),
        (None, None, None) => Choice::Latest,
    })
}

fn blocked(message: String) -> Blocked {
    Blocked::new(Reason::RestoreFailed, message)
}
