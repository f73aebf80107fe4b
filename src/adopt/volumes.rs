//! Directories and volumes with the data of the deployment.

use std::path::{Component, Path, PathBuf};

use mai_contract::environment::DATA_DIR;
use mai_contract::files::{BACKUPS, DATA};
use serde_json::{Map, Value, json};

use super::project::{Project, external_name, is_true, pairs, text};

/// One mount.
#[derive(Clone, Debug, PartialEq)]
struct Mount {
    target: PathBuf,
    place: Place,
    read_only: bool,
    /// Subdirectory of the volume that is mounted.
    subpath: Option<String>,
    /// The mount as people recognise it.
    written: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Place {
    Directory(PathBuf),
    /// Key and name of a volume.
    Volume(String, String),
    /// Nothing that outlives the container.
    Nowhere,
}

/// Returns `spec.storage`, and tells what is not in it.
pub(super) fn storage(project: &Project, directory: &Path, home: &Path, told: &mut Vec<String>) -> Map<String, Value> {
    let mut mounts: Vec<Mount> = Vec::new();
    for volume in project.service["volumes"].as_array().into_iter().flatten() {
        let mount = mount(project, directory, home, volume);
        if let Some(at) = mounts.iter().position(|known| known.target == mount.target) {
            told.push(format!(
                "volumes: {}: another one is mounted at the same place, which counts",
                mounts[at].written
            ));
            mounts.remove(at);
        }
        mounts.push(mount);
    }
    let declared = pairs(&project.service["environment"]).into_iter().find(|(name, _)| name == DATA_DIR);
    let data = declared.and_then(|(_, value)| value).filter(|value| value.starts_with('/'));
    let data = data.map_or_else(|| PathBuf::from(DATA), |data| clean(Path::new(&data)));
    let places = [("data", data.as_path()), ("backups", Path::new(BACKUPS))];
    let mut storage = Map::new();
    for (field, target) in places {
        // Of several mounts above it the deepest one holds it.
        let above = mounts.iter().filter(|mount| target.starts_with(&mount.target));
        let Some(mount) = above.max_by_key(|mount| mount.target.components().count()) else { continue };
        match volume(mount, target) {
            Ok(volume) => {
                storage.insert(field.to_owned(), volume);
                if mount.target != target {
                    told.push(format!(
                        "volumes: {}: {field} are taken from its subdirectory; nothing else of it is mounted",
                        mount.written
                    ));
                }
                warn_of_driver(project, mount, field, told);
                if mount.read_only {
                    told.push(format!("volumes: {}: it is read-only, and an instance writes to it", mount.written));
                }
            }
            Err(why) if field == "data" => told.push(format!("data: {}: {why}, so it is lost to the instance, which would start empty; move it to a directory or volume of its own first, and name that in spec.storage.data", mount.written)),
            Err(why) => told.push(format!("volumes: {}: {why}; name a directory or volume in spec.storage.{field}", mount.written)),
        }
    }
    for mount in &mounts {
        if places.iter().any(|(_, target)| target.starts_with(&mount.target)) {
            continue;
        }
        match places.iter().find(|(_, target)| mount.target.starts_with(target)) {
            Some((field, target)) => told.push(format!(
                "volumes: {}: it holds a part of the {field} ({}), which would be missing; move it into the {field} before the instance starts",
                mount.written,
                mount.target.strip_prefix(target).unwrap_or(&mount.target).display()
            )),
            None => told.push(format!(
                "volumes: {}: instances have data and backups alone, nothing at {}",
                mount.written,
                mount.target.display()
            )),
        }
    }
    if !storage.contains_key("data") && !told.iter().any(|sentence| sentence.starts_with("data: ")) {
        told.push(format!(
            "data: no volume is mounted at {}, so what is in the container is lost when it is removed; copy it out first",
            data.display()
        ));
    }
    storage
}

fn volume(mount: &Mount, target: &Path) -> Result<Value, &'static str> {
    let below = target.strip_prefix(&mount.target).unwrap_or(Path::new(""));
    match (&mount.place, &mount.subpath) {
        (Place::Nowhere, _) => Err("it has no name, so it cannot be found again"),
        (Place::Volume(..), Some(_)) => {
            Err("only a subdirectory of the volume is mounted, which a document cannot name")
        }
        (Place::Volume(..), None) if below != Path::new("") => {
            Err("the data is in a subdirectory of the volume, which a document cannot name")
        }
        (Place::Volume(_, name), None) => Ok(json!({"volumeName": name})),
        (Place::Directory(directory), subpath) => {
            let directory = directory.join(subpath.as_deref().unwrap_or_default()).join(below);
            Ok(json!({"hostPath": clean(&directory).display().to_string()}))
        }
    }
}

fn warn_of_driver(project: &Project, mount: &Mount, field: &str, told: &mut Vec<String>) {
    let Place::Volume(key, name) = &mount.place else { return };
    let declared = &project.file["volumes"][key.as_str()];
    let driver = text(&declared["driver"]).filter(|driver| driver != "local");
    let kind = text(&declared["driver_opts"]["type"]).unwrap_or_default().to_lowercase();
    if matches!(kind.as_str(), "nfs" | "nfs4" | "cifs" | "smb" | "smb3") {
        told.push(format!(
            "volumes: {name}: the {field} are on a share ({}), where a database that several processes open loses data (SQLite's write-ahead log); move them to a disk of this server",
            kind.to_uppercase()
        ));
    } else if let Some(driver) = driver {
        told.push(format!("volumes: {name}: it is kept by the volume driver {driver}; mai uses it and never makes it"));
    }
}

fn mount(project: &Project, directory: &Path, home: &Path, volume: &Value) -> Mount {
    let (source, target, read_only, subpath, is_named) = match volume {
        Value::Object(_) => {
            let kind = text(&volume["type"]).unwrap_or_default();
            let source = text(&volume["source"]).filter(|source| !source.is_empty() && kind != "tmpfs");
            let subpath = text(&volume["volume"]["subpath"]).filter(|path| !path.is_empty());
            (
                source,
                text(&volume["target"]).unwrap_or_default(),
                is_true(&volume["read_only"]),
                subpath,
                kind == "volume",
            )
        }
        short => {
            let short = text(short).unwrap_or_default();
            let mut parts = short.split(':');
            let (first, second, options) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
            let read_only = options.is_some_and(|options| options.split(',').any(|option| option == "ro"));
            match second {
                Some(target) => (Some(first.to_owned()), target.to_owned(), read_only, None, false),
                None => (None, first.to_owned(), false, None, false),
            }
        }
    };
    let place = match source {
        None => Place::Nowhere,
        Some(source) if !is_named && source.starts_with(['.', '/', '~']) => {
            Place::Directory(absolute(directory, home, &source))
        }
        Some(key) => {
            let name = volume_name(project, &key);
            Place::Volume(key, name)
        }
    };
    let written = match (&place, volume) {
        (_, Value::String(short)) => short.clone(),
        (Place::Directory(directory), _) => format!("{}:{target}", directory.display()),
        (Place::Volume(key, _), _) => format!("{key}:{target}"),
        (Place::Nowhere, _) => {
            format!("{}{target}", text(&volume["type"]).map(|kind| format!("{kind} ")).unwrap_or_default())
        }
    };
    Mount { target: clean(Path::new(&target)), place, read_only, subpath, written }
}

fn absolute(directory: &Path, home: &Path, source: &str) -> PathBuf {
    clean(&match source.strip_prefix('~') {
        Some(rest) => home.join(rest.trim_start_matches('/')),
        None => directory.join(source),
    })
}

/// Returns a path without `.`, `..` and trailing slashes.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(clean.pop()),
            part => clean.push(part),
        }
    }
    clean
}

/// As Compose names it: by its `name`, by its key when it is external, else with the project in
/// front.
fn volume_name(project: &Project, key: &str) -> String {
    let declared = &project.file["volumes"][key];
    external_name(declared, key)
        .or_else(|| text(&declared["name"]))
        .unwrap_or_else(|| format!("{}_{key}", project.name))
}
