//! Requests for backups and restores, and an operator that fulfils them.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use super::cluster::cluster;
use super::environment::Environment;
use super::images;
use super::operator::Operator;

/// Starts an operator whose jobs use the image of the binary under test.
pub fn operator(env: &Environment) -> Operator {
    env.operator_with(&["--helper-image", images::own(), "--leader-election", "false", "--resync", "1s"])
}

/// Runs `mai kube …` in the namespace of the test.
pub fn kube(env: &Environment, arguments: &[&str]) -> Output {
    let mut all = vec!["kube", arguments[0], "--namespace", &env.namespace];
    all.extend(&arguments[1..]);
    Command::new(env!("CARGO_BIN_EXE_mai"))
        .args(all)
        .env("KUBECONFIG", cluster().kubeconfig())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

/// Returns the standard output of a verb of `mai kube` that succeeds.
pub fn output(env: &Environment, arguments: &[&str]) -> String {
    let made = kube(env, arguments);
    let output = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(made.status.success(), "{arguments:?}: {output}{}", String::from_utf8_lossy(&made.stderr));
    output
}

/// Waits until a request such as `maibackup/first` is answered; returns its status.
pub fn answer(env: &Environment, operator: &Operator, request: &str) -> Value {
    env.wait_until(
        operator,
        || format!("an answer to {request}"),
        || {
            let status = env.get(request)?["status"].clone();
            status["completedAt"].is_string().then_some(status)
        },
    )
}

/// Returns the status of a condition of a request.
pub fn condition(status: &Value, kind: &str) -> Option<String> {
    let found = status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)?;
    found["status"].as_str().map(str::to_owned)
}

/// Waits until a request waits for a person; returns its message.
pub fn stalled(env: &Environment, operator: &Operator, request: &str) -> String {
    env.wait_until(
        operator,
        || format!("{request} to be stalled"),
        || {
            let status = env.get(request)?["status"].clone();
            (condition(&status, "Stalled")? == "True").then(|| status["message"].as_str().unwrap().to_owned())
        },
    )
}

/// Kills the operator at each step that the status of an instance shows, and starts another, until
/// `step` shows none. Returns the last operator, and the steps.
pub fn kill_at_each_step(
    env: &Environment,
    instance: &str,
    mut operator: Operator,
    step: impl Fn(&Value) -> Option<String>,
) -> (Operator, Vec<String>) {
    let mut steps: Vec<String> = Vec::new();
    loop {
        let next = env.wait_until(
            &operator,
            || format!("a step after {steps:?}"),
            || match step(&env.get(&format!("mai/{instance}"))?["status"]) {
                Some(step) if steps.contains(&step) => None,
                other => Some(other),
            },
        );
        let Some(next) = next else { return (operator, steps) };
        operator.kill();
        steps.push(next);
        operator = self::operator(env);
    }
}

/// Waits until no job of an instance is left.
pub fn wait_no_job(env: &Environment, operator: &Operator, instance: &str) {
    let jobs = || env.children(instance).into_iter().filter(|(name, _)| name.starts_with("Job/")).collect::<Vec<_>>();
    env.wait_until(operator, || format!("{:?} to go", jobs()), || jobs().is_empty().then_some(()));
}

/// Returns the directory of a claim on this machine.
pub fn claim_directory(env: &Environment, claim: &str) -> PathBuf {
    let volume = env.kubectl(&["get", "pvc", claim, "-o", "jsonpath={.spec.volumeName}"]);
    env.kubectl(&["get", "pv", &volume, "-o", "jsonpath={.spec.local.path}"]).into()
}
