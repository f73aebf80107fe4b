//! Verbs for manual operations on a client's container: run a command, restore the owner of files,
//! take it down.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, lchown};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::engine;
use super::environment::Environment;

use crate::fixtures::compose::{collect_lines, wait_ready, wait_until};

#[test]
fn exec_passes_stdin_and_exit_code() {
    let _engine = engine::shared();
    let env = Environment::new("commanded");
    let compose = env.up("");
    let run = env.run();
    assert_eq!(env.mai("exec", &["--", "/fixture", "health"]), (0, String::new(), String::new()));
    let (code, out, err) = env.mai("exec", &["--", "/fixture", "copy", "7"]);
    assert_eq!((code, out.as_str(), err.as_str()), (7, "", "copied\n"));

    let mut child = Command::new(env!("CARGO_BIN_EXE_mai"))
        .arg("exec")
        .arg(&env.workspace.documents)
        .args([&env.name, "-i", "--docker-host", &engine::host(), "--state-dir"])
        .arg(&env.workspace.state)
        .args(["--", "/fixture", "copy", "0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = "a line\n".repeat(50_000);
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn({
        let text = text.clone();
        move || stdin.write_all(text.as_bytes()).unwrap()
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success() && output.stdout == text.as_bytes(), "{} bytes came back", output.stdout.len());

    let (code, out, err) = env.mai("exec", &["--", "/nothing"]);
    assert!(code != 0 && format!("{out}{err}").contains("/nothing"), "{code} {out} {err}");
    assert_eq!(env.run(), run, "the server was disturbed");
    compose.stop();
}

#[test]
fn prune_removes_the_volume_of_a_removed_document() {
    let _engine = engine::shared();
    let env = Environment::new("pruned");
    let compose = env.up("");
    let (data, backups) = (env.volume("data"), env.volume("backups"));
    let host = engine::host();
    let prune = |more: &[&str]| env.workspace.mai("prune", &[&["--docker-host", &host, "--yes"], more].concat());
    let (code, out, _) = prune(&[]);
    assert_eq!((code, out.as_str()), (0, "there is nothing that no document uses\n"));
    env.workspace.remove("instance.yaml");
    compose.wait_for_line(&["pruned", "gone"]);
    let (code, out, err) = prune(&[]);
    assert!(code == 0 && out.contains("mai-pruned-data") && !data.exists() && backups.exists(), "{out}{err}");
    let (code, out, err) = prune(&["--with-backups"]);
    assert!(code == 0 && !backups.exists(), "{out}{err}");
    assert!(!env.workspace.state.join("instances/pruned").exists());
    compose.stop();
}

#[test]
fn exec_from_a_terminal_gets_a_terminal() {
    let _engine = engine::shared();
    let env = Environment::new("terminal");
    let compose = env.up("");
    let line = format!(
        "{} exec {} {} --docker-host {} --state-dir {} -- /fixture copy 5",
        env!("CARGO_BIN_EXE_mai"),
        env.workspace.documents.display(),
        env.name,
        engine::host(),
        env.workspace.state.display()
    );
    let mut terminal = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = terminal.stdin.take().unwrap();
    let screen = collect_lines(&mut terminal);
    let count = |line: &str| screen.lock().unwrap().iter().filter(|shown| *shown == line).count();
    let mut number = 0;
    // Types lines until one of them is shown twice; returns its number.
    let mut type_until_twice = || {
        let first = number + 1;
        wait_until(
            || format!("a line twice; {:?}", screen.lock().unwrap()),
            || {
                number += 1;
                keys.write_all(format!("dear {number}\n").as_bytes()).and_then(|()| keys.flush()).unwrap();
                std::thread::sleep(Duration::from_millis(100));
                (first..=number).find(|number| count(&format!("dear {number}")) >= 2)
            },
        )
    };
    // Input before the terminal is raw is interpreted by the kernel, so the first lines may be echoed
    // by it. The others are echoed by the container's terminal, and copied by the command.
    type_until_twice();
    type_until_twice();
    // The end of the input, for the container's own terminal.
    keys.write_all(b"\x04").unwrap();
    assert_eq!(terminal.wait().unwrap().code(), Some(5), "{:?}", screen.lock().unwrap());
    wait_until(
        || format!("the end of the output; {:?}", screen.lock().unwrap()),
        || screen.lock().unwrap().iter().any(|line| line.contains("copied")).then_some(()),
    );
    compose.stop();
}

#[test]
fn fix_permissions_gives_files_of_root_to_the_server() {
    let _engine = engine::shared();
    let env = Environment::new("rootowned");
    let compose = env.up("");
    compose.stop();
    let file = env.volume("data").join("restored/letter");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "dear").unwrap();
    let owner = || file.symlink_metadata().unwrap().uid();
    lchown(&file, Some(0), Some(0)).unwrap();
    let (code, out, err) = env.mai("fix-permissions", &[]);
    assert_eq!(code, 0, "{err}");
    let line = |volume: &str| out.lines().find(|line| line.contains(volume)).unwrap_or_else(|| panic!("{out}"));
    assert!(line("mai-rootowned-data").contains("2 of 5 entries given to 65532:65532"), "{out}");
    assert!(line("mai-rootowned-backups").contains("nothing to do"), "{out}");
    assert_eq!(owner(), 65532);
    let (_, out, _) = env.mai("fix-permissions", &[]);
    assert!(out.lines().all(|line| line.contains("nothing to do")), "{out}");
}

#[test]
fn down_removes_containers_and_keeps_data() {
    let _engine = engine::shared();
    let (env, other) = (Environment::new("downed"), Environment::new("stays"));
    let compose = env.up("");
    let neighbour = other.up("");
    let host = engine::host();
    let down = || env.workspace.mai("down", &["--runtime", "docker", "--docker-host", host.as_str()]);
    let (code, _, err) = down();
    assert!(code == 1 && err.contains("a reconciler would start the servers again; stop it first"), "{err}");
    assert!(env.run().is_some());
    compose.stop();
    let (code, out, err) = down();
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("downed") && out.contains("its data and backups stay") && !out.contains("stays "), "{out}");
    assert!(env.containers().is_empty());
    assert!(other.run().is_some(), "another directory's container was touched");
    neighbour.stop();
    let (_, out, _) = down();
    assert!(out.contains("nothing runs for"), "{out}");

    let compose = env.compose();
    wait_ready(env.port);
    assert_eq!(env.starts(), 2, "the data is another");
    compose.stop();
}
