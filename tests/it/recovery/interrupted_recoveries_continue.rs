//! `mai recover` that is killed at any moment goes on where it was.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::fleet::{Copies, Fleet, Keys, start};
use crate::fixtures::compose::Workspace;

/// Pause before each kill, longer by this each time.
const STEP: Duration = Duration::from_millis(40);
const MOST_KILLS: u32 = 200;

#[test]
fn recovery_that_is_killed_again_and_again_ends_whole() {
    let (copies, keys) = (Copies::directory(), Keys::new());
    let arguments = [copies.to(), vec!["--recovery-recipient", &keys.public]].concat();
    let names = ["alpha", "beta", "gamma"];
    let fleet = Fleet::start(&names, &copies, Some(&keys), &arguments);
    for name in names {
        // So that there is time to be killed in.
        let noise: Vec<u8> =
            (0_u32..500_000).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        std::fs::write(fleet.workspace.data(name).join("noise"), noise).unwrap();
        fleet.back_up(name);
    }
    fleet.compose.wait_for_server_backup(&fleet.workspace);
    let before = fleet.found();
    let clients = fleet.die();

    let machine = Workspace::new();
    let record = machine.state.join("recovery.json");
    // As after a kill in the first moment.
    std::fs::create_dir_all(&machine.state).unwrap();
    std::fs::write(machine.state.join("recovery.json.tmp"), "{").unwrap();
    let mut kills = 0;
    let mut seen_unfinished = false;
    let (status, output) = loop {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mai"))
            .arg("recover")
            .arg(&machine.documents)
            .arg("--state-dir")
            .arg(&machine.state)
            .args(copies.from())
            .args(["--identity", keys.identity()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        kills += 1;
        assert!(kills < MOST_KILLS, "it does not end");
        std::thread::sleep(STEP * kills);
        if let Some(status) = child.try_wait().unwrap() {
            break (status, child.wait_with_output().unwrap());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let is_finished = |text: String| serde_json::from_str::<Value>(&text).unwrap()["isFinished"] == true;
        if std::fs::read_to_string(&record).is_ok_and(|text| !is_finished(text)) {
            let (code, out, err) = machine.mai("compose", &[]);
            assert!(code == 1 && err.contains("run the same `mai recover` again"), "{out}{err}");
            seen_unfinished = true;
        }
    };
    assert!(status.success() && seen_unfinished, "{status} after {kills} kills: {output:?}");
    for name in names {
        let beside = std::fs::read_dir(machine.data(name).parent().unwrap()).unwrap();
        let left: Vec<_> = beside
            .flatten()
            .map(|entry| entry.file_name())
            .filter(|name| name.to_str().unwrap().contains(".restore-"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
    assert_eq!(start(&machine, &clients), before);
}
