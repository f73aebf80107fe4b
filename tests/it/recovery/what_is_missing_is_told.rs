//! All that cannot be brought back is named, and nothing that is there is overwritten.

use std::path::{Path, PathBuf};

use super::fleet::{Copies, Fleet, Keys, start};
use crate::fixtures::compose::{Workspace, http, read_file};

/// Makes backups of a server with three clients, the last of which has none.
fn dead_server(copies: &Copies, keys: &Keys) -> (Vec<super::fleet::Found>, Vec<super::fleet::Client>) {
    let arguments = [copies.to(), vec!["--recovery-recipient", &keys.public]].concat();
    let fleet = Fleet::start(&["alpha", "beta", "gamma"], copies, Some(keys), &arguments);
    // Twice, so that there is an older one.
    ["alpha", "alpha", "beta"].iter().for_each(|name| fleet.back_up(name));
    fleet.compose.wait_for_server_backup(&fleet.workspace);
    let before = fleet.found();
    (before, fleet.die())
}

/// Returns the archives of a client, oldest first. Two may be of one second.
fn archives(copies: &Copies, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(copies.path().join("default").join(name)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "age"));
    paths.sort_by_key(|path| path.metadata().unwrap().modified().unwrap());
    paths
}

fn is_empty(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

#[test]
fn wrong_identity_and_places_in_use_change_nothing() {
    let (copies, keys) = (Copies::directory(), Keys::new());
    let (_, _) = dead_server(&copies, &keys);
    let machine = Workspace::new();
    let recover = |more: &[&str]| machine.mai("recover", &[&copies.from(), more].concat());
    let wrong = Keys::new();
    for (more, words) in [
        (vec![], "--identity FILE"),
        (vec!["--identity", wrong.identity()], "is of none of those"),
        (vec!["--identity", "/nonexistent"], "--identity /nonexistent"),
        (vec!["--identity", keys.identity(), "--server", "nobody"], "there is no server nobody"),
    ] {
        let (code, out, err) = recover(&more);
        assert!(code == 1 && err.contains(words), "{more:?}: {out}{err}");
        assert!(is_empty(&machine.documents) && !machine.state.exists(), "{more:?}");
    }
    let (code, out, err) =
        machine.mai("recover", &["--from", machine.documents.to_str().unwrap(), "--identity", keys.identity()]);
    assert!(code == 1 && err.contains("no finished backup"), "{out}{err}");

    let good = ["--identity", keys.identity()];
    std::fs::write(machine.documents.join("mine.yaml"), "# mine\n").unwrap();
    let (code, out, err) = recover(&good);
    assert!(code == 1 && err.contains("is not empty") && err.contains("another directory"), "{out}{err}");
    std::fs::remove_file(machine.documents.join("mine.yaml")).unwrap();
    std::fs::create_dir_all(machine.state.join("instances")).unwrap();
    let (code, out, err) = recover(&good);
    assert!(code == 1 && err.contains("is not empty") && err.contains("--state-dir"), "{out}{err}");
    assert!(is_empty(&machine.documents) && is_empty(&machine.state.join("instances")));
}

#[test]
fn missing_client_stays_off_and_damage_takes_older_backup() {
    let (copies, keys) = (Copies::directory(), Keys::new());
    let (before, mut clients) = dead_server(&copies, &keys);
    let [_, newest] = &archives(&copies, "alpha")[..] else { panic!("not two archives") };
    let mut bytes = std::fs::read(newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(newest, bytes).unwrap();

    let machine = Workspace::new();
    let arguments = [copies.from(), vec!["--identity", keys.identity()]].concat();
    let (code, out, err) = machine.mai("recover", &arguments);
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains("default/gamma: there is no backup of it"), "{out}{err}");
    let id = |path: &Path| path.file_name().unwrap().to_str().unwrap().split('.').next().unwrap().to_owned();
    let note = out.lines().find(|line| line.contains(&id(newest)) && line.starts_with('*')).unwrap();
    assert!(note.contains("default/alpha: its backup") && note.contains("cannot be used"), "{out}");
    let aside = machine.documents.join("others.yaml.not-recovered");
    assert!(read_file(&aside).contains("name: gamma") && out.contains(aside.to_str().unwrap()), "{out}");
    assert!(!read_file(&machine.documents.join("others.yaml")).contains("name: gamma"));

    // A second run changes nothing that is there.
    let data = std::fs::metadata(machine.data("alpha")).unwrap().modified().unwrap();
    let (code, out, err) = machine.mai("recover", &arguments);
    assert!(code == 1 && out.contains("nothing to unpack"), "{out}{err}");
    assert_eq!(std::fs::metadata(machine.data("alpha")).unwrap().modified().unwrap(), data);

    let gamma = clients.pop().unwrap();
    let found = start(&machine, &clients);
    assert_eq!(found, before[..2]);
    assert!(http("GET", gamma.port, "/ready", "", "").is_err());
}

#[test]
fn file_that_was_changed_meanwhile_is_left_as_it_is() {
    let (copies, keys) = (Copies::directory(), Keys::new());
    dead_server(&copies, &keys);
    let machine = Workspace::new();
    let arguments = [copies.from(), vec!["--identity", keys.identity()]].concat();
    assert_eq!(machine.mai("recover", &arguments).0, 1);
    let path = machine.documents.join("others.yaml");
    let text = format!("# edited\n{}", read_file(&path));
    std::fs::write(&path, &text).unwrap();
    let (code, out, err) = machine.mai("recover", &arguments);
    assert!(code == 1 && out.contains("was changed meanwhile"), "{out}{err}");
    assert_eq!(read_file(&path), text);
}
