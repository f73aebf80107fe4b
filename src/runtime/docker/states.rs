//! Ids of state directories: the own one, and those whose objects were adopted.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use crate::core::InstanceId;

/// File with the id of a state directory, in it.
const ID: &str = "engine-id";
/// File with what was adopted, in a state directory: the id of another one and an instance a line.
const ADOPTED: &str = "adopted";
/// File with the instances whose objects another state directory adopted, one a line.
const GIVEN_AWAY: &str = "given-away";

/// The state directories whose objects belong to this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct States {
    /// Id of the own state directory, in the labels of all that is created.
    pub(super) own: String,
    /// Ids of others, each with an instance, as NAMESPACE/NAME.
    adopted: BTreeSet<(String, String)>,
    /// Instances that others adopted, as NAMESPACE/NAME.
    given_away: BTreeSet<String>,
}

impl States {
    /// Reads the ids of a state directory, of which nothing need exist.
    pub(super) fn read(state_dir: &Path) -> Self {
        let text = |file: &str| std::fs::read_to_string(state_dir.join(file)).unwrap_or_default();
        let adopted = text(ADOPTED).lines().filter_map(|line| line.split_once(' ')).map(owned).collect();
        let given_away = text(GIVEN_AWAY).lines().map(str::to_owned).collect();
        Self { own: text(ID).trim().to_owned(), adopted, given_away }
    }

    /// Reads the ids of a state directory. Its own is created once and moves along with it.
    pub(super) fn read_or_create(state_dir: &Path) -> io::Result<Self> {
        let file = state_dir.join(ID);
        match std::fs::read_to_string(&file) {
            Ok(id) if !id.trim().is_empty() => return Ok(Self::read(state_dir)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        write(&file, &uuid::Uuid::new_v4().simple().to_string())?;
        Ok(Self::read(state_dir))
    }

    /// Returns whether an object that `state` created for an instance belongs to this state
    /// directory.
    pub(super) fn own(&self, id: &InstanceId, state: Option<&str>) -> bool {
        let Some(state) = state else { return false };
        let instance = instance(id);
        if state == self.own {
            return !self.given_away.contains(&instance);
        }
        self.adopted.contains(&(state.to_owned(), instance))
    }

    /// Adds what another state directory created for an instance, and writes it.
    pub(super) fn adopt(&mut self, state_dir: &Path, id: &InstanceId, states: &BTreeSet<String>) -> io::Result<()> {
        let others = states.iter().filter(|state| **state != self.own);
        self.adopted.extend(others.map(|state| (state.clone(), instance(id))));
        self.given_away.remove(&instance(id));
        self.write(state_dir)
    }

    /// Removes what belongs to an instance, which another state directory adopts, and writes it.
    pub(super) fn give_away(&mut self, state_dir: &Path, id: &InstanceId) -> io::Result<()> {
        self.adopted.retain(|(_, adopted)| *adopted != instance(id));
        self.given_away.insert(instance(id));
        self.write(state_dir)
    }

    fn write(&self, state_dir: &Path) -> io::Result<()> {
        let adopted: String = self.adopted.iter().map(|(state, instance)| format!("{state} {instance}\n")).collect();
        let given_away: String = self.given_away.iter().map(|instance| format!("{instance}\n")).collect();
        for (file, text) in [(ADOPTED, adopted), (GIVEN_AWAY, given_away)] {
            let path = state_dir.join(file);
            if !text.is_empty() || path.exists() {
                write(&path, &text)?;
            }
        }
        Ok(())
    }
}

fn owned((state, instance): (&str, &str)) -> (String, String) {
    (state.to_owned(), instance.to_owned())
}

fn instance(id: &InstanceId) -> String {
    format!("{}/{}", id.namespace, id.name)
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    let unfinished = file.with_extension("new");
    std::fs::write(&unfinished, text)?;
    std::fs::rename(unfinished, file)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn adopted_objects_belong_to_their_instance_alone() {
        let directory = tempfile::tempdir().unwrap();
        let id = |name: &str| InstanceId { namespace: "team".into(), name: name.into(), uid: "1".into() };
        let mut states = States::read_or_create(directory.path()).unwrap();
        states.adopt(directory.path(), &id("abc"), &["s".to_owned(), states.own.clone()].into()).unwrap();
        let read = States::read_or_create(directory.path()).unwrap();
        assert_eq!(read, states);
        for (name, state, expected) in [
            ("abc", Some(read.own.as_str()), true),
            ("abc", Some("s"), true),
            ("xyz", Some("s"), false),
            ("abc", Some("t"), false),
            ("abc", None, false),
        ] {
            assert_eq!(read.own(&id(name), state), expected, "{name} {state:?}");
        }
        // The client moves on, and comes back.
        states.give_away(directory.path(), &id("abc")).unwrap();
        let read = States::read(directory.path());
        assert!(!read.own(&id("abc"), Some(&read.own)) && !read.own(&id("abc"), Some("s")));
        assert!(read.own(&id("xyz"), Some(&read.own)));
        states.adopt(directory.path(), &id("abc"), &[states.own.clone()].into()).unwrap();
        assert!(States::read(directory.path()).own(&id("abc"), Some(&read.own)));
    }
}
