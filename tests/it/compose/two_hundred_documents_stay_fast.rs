//! Validation, the first pass and edits stay fast with two hundred clients. All but a few are
//! suspended, so that the reconciler is measured and not the servers. The bounds are loose, because
//! tests share their machine.

use std::time::{Duration, Instant};

use crate::fixtures::compose::{PATIENCE, Workspace, document, wait_ready, wait_until};
use crate::fixtures::measurement;
use crate::fixtures::ports::free_port;

const CLIENTS: usize = 200;
const RUNNING: usize = 2;
/// First port of the suspended clients. Nobody listens there; all are below those of `free_port`.
const FIRST_PORT: usize = 14_000;

fn name(number: usize) -> String {
    format!("client-{number:03}")
}

#[test]
fn two_hundred_documents_are_validated_applied_and_followed() {
    let _turn = measurement::blocking_turn();
    let workspace = Workspace::new();
    let ports: Vec<u16> = (0..RUNNING).map(|_| free_port()).collect();
    for number in 0..CLIENTS {
        let text = match ports.get(number) {
            Some(port) => document(&name(number), *port, ""),
            None => document(&name(number), u16::try_from(FIRST_PORT + number).unwrap(), "  suspend: true\n"),
        };
        workspace.write(&format!("clients/{}.yaml", name(number)), &text);
    }
    let timed = |what: &str, verb: &str, arguments: &[&str]| {
        let begun = Instant::now();
        let output = if verb == "validate" { workspace.validate() } else { workspace.mai(verb, arguments) };
        println!("{what}: {:?}", begun.elapsed());
        assert!(begun.elapsed() < PATIENCE, "{what} took {:?}", begun.elapsed());
        output
    };
    let (code, out, err) = timed("validate", "validate", &[]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = timed("plan", "plan", &[]);
    assert_eq!(code, 2, "{out}{err}");
    assert!(out.contains(&name(0)), "{out}");

    let begun = Instant::now();
    let compose = workspace.compose(&["--resync", "500ms"]);
    ports.iter().for_each(|port| wait_ready(*port));
    let reasons = || {
        let reason = |item: &serde_json::Value| item["status"]["conditions"][0]["reason"].as_str().map(str::to_owned);
        let (code, out, _) = workspace.mai("status", &["-o", "json"]);
        let items = (code == 0).then(|| serde_json::from_str::<serde_json::Value>(&out).unwrap())?;
        Some(items["items"].as_array()?.iter().filter_map(reason).collect::<Vec<_>>())
    };
    let count = |reason: &str| reasons().unwrap_or_default().iter().filter(|found| *found == reason).count();
    wait_until(
        || format!("all of them; {:?}", reasons()),
        || (count("Suspended") == CLIENTS - RUNNING && count("Ready") == RUNNING).then_some(()),
    );
    println!("{CLIENTS} documents taken in: {:?}", begun.elapsed());

    // Several passes over all of them write nothing.
    let log =
        || workspace.state.join("state.db-wal").metadata().map(|file| (file.len(), file.modified().unwrap())).ok();
    wait_until(
        || "passes that do not write to the state database".into(),
        || {
            let before = log();
            std::thread::sleep(Duration::from_secs(3));
            (log() == before).then_some(())
        },
    );

    // An edit is applied promptly to its instance alone.
    let pid = workspace.pid(&name(1));
    let begun = Instant::now();
    workspace.write(&format!("clients/{}.yaml", name(0)), &document(&name(0), ports[0], "  suspend: true\n"));
    wait_until(|| "the edit".into(), || workspace.pid(&name(0)).is_none().then_some(()));
    println!("an edit: {:?}", begun.elapsed());
    workspace.wait_for_reason(&name(0), "Ready", "Suspended");
    assert_eq!(workspace.pid(&name(1)), pid, "a neighbour was touched");
    compose.stop();
}
