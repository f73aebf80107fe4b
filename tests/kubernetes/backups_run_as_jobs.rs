//! Backups are made and verified by jobs of the cluster, on the claims of an instance and in a
//! bucket, whatever its server or the operator does meanwhile.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::cluster;
use super::environment::Environment;
use super::gate::Gate;
use super::images;
use super::operator::Operator;
use super::requests::{self, answer, claim_directory, condition, kube, output, stalled};

use crate::fixtures::s3::COPIES;

pub fn request(env: &Environment, name: &str, instance: &str) {
    env.apply(&format!(
        "apiVersion: mai.dev/v1alpha1\nkind: MaiBackup\nmetadata: {{name: {name}}}\nspec: {{instance: {instance}, reason: before the move}}\n"
    ));
}

/// Waits until the only pod of the only job of an instance runs; returns the uid of the Job.
fn running_job(env: &Environment, operator: &Operator) -> String {
    env.wait_until(
        operator,
        || "a job that runs".into(),
        || {
            let [pod] = <[Value; 1]>::try_from(env.list(&["pods"], "mai.dev/job")).ok()?;
            let [job] = <[Value; 1]>::try_from(env.list(&["jobs"], "")).ok()?;
            (pod["status"]["phase"] == "Running").then(|| job["metadata"]["uid"].as_str().unwrap().to_owned())
        },
    )
}

/// Returns what exists for jobs: Jobs, their pods, policies and Secrets.
pub fn job_objects(env: &Environment) -> Vec<Value> {
    env.list(&["jobs", "pods", "networkpolicies", "secrets"], "mai.dev/job")
}

/// Unpacks an archive with standard tools and checks its sums.
fn check_archive(archive: &Path) {
    let unpacked = tempfile::tempdir().unwrap();
    for (program, arguments) in
        [("tar", vec!["xzf", archive.to_str().unwrap()]), ("sha256sum", vec!["--quiet", "-c", "SHA256SUMS"])]
    {
        let output = Command::new(program).args(&arguments).current_dir(unpacked.path()).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(unpacked.path().join("data").is_dir() && unpacked.path().join("instance/document.json").is_file());
}

#[test]
fn requested_backup_is_verified_on_the_claims() {
    let _shared = cluster::shared();
    let env = Environment::new("backup");
    env.kubectl(&["label", "namespace", &env.namespace, "pod-security.kubernetes.io/enforce=restricted"]);
    let operator = requests::operator(&env);
    env.apply(&env.document("abc", &format!("  image: {}\n  openRouter: {{mock: true}}\n", images::own())));
    env.wait_ready(&operator, "abc");
    let server = env.pod("abc").unwrap();
    let output = output(&env, &["backup", "abc", "--reason", "before the move"]);
    let name = env.kubectl(&["get", "maibackups", "-o", "jsonpath={.items[*].metadata.name}"]);
    env.kubectl(&["wait", "--for=condition=Ready", &format!("maibackup/{name}"), "--timeout=3m"]);
    let status = env.get(&format!("maibackup/{name}")).unwrap()["status"].clone();
    let id = status["backup"].as_str().unwrap();
    assert!(output.contains(id), "{output}");
    assert_eq!(status["phase"], "Completed");
    assert_eq!(status["destinations"][0]["name"], "backups");
    assert_eq!(status["destinations"][0]["result"], "Verified");
    assert!(status["startedAt"].as_str() <= status["completedAt"].as_str());
    env.wait_until(
        &operator,
        || format!("backup {id} in the status"),
        || (env.get("mai/abc")?["status"]["backup"]["last"]["id"] == id).then_some(()),
    );
    let backups = claim_directory(&env, "mai-abc-backups");
    check_archive(&backups.join(format!("{id}.tar.gz")));
    let summary: Value = serde_json::from_slice(&std::fs::read(backups.join(format!("{id}.json"))).unwrap()).unwrap();
    assert!(summary["databases"].as_u64() >= Some(1), "{summary}");

    // Nothing of the job is left, the server ran on, and idle passes write nothing.
    env.wait_until(&operator, || "the job to be gone".into(), || job_objects(&env).is_empty().then_some(()));
    assert_eq!(env.pod("abc").unwrap(), server);
    let versions =
        || (env.children("abc"), env.resource_version("mai/abc"), env.resource_version(&format!("maibackup/{name}")));
    env.wait_settled(&operator, versions);
    env.refusal(&format!(
        "apiVersion: mai.dev/v1alpha1\nkind: MaiBackup\nmetadata: {{name: {name}}}\nspec: {{instance: xyz}}\n"
    ));
}

#[test]
fn due_drill_runs_as_a_job_without_the_data() {
    let _shared = cluster::shared();
    let env = Environment::new("backup-drill");
    env.kubectl(&["label", "namespace", &env.namespace, "pod-security.kubernetes.io/enforce=restricted"]);
    let operator = requests::operator(&env);
    let more = "  openRouter: {mock: true}\n  backup: {schedule: '0 0 1 1 *', drill: Monthly}\n";
    env.apply(&env.document("abc", &format!("  image: {}\n{more}", images::own())));
    env.wait_ready(&operator, "abc");
    let server = env.pod("abc").unwrap();
    request(&env, "first", "abc");
    assert_eq!(answer(&env, &operator, "maibackup/first")["phase"], "Completed");
    env.wait_until(
        &operator,
        || "the job of the backup to be gone".into(),
        || job_objects(&env).is_empty().then_some(()),
    );
    operator.stop();
    // What a month without an operator leaves.
    let patch = json!({"status": {"backup": {"drill": {"lastDue": "2020-06-01T00:00:00Z"}}}}).to_string();
    env.kubectl(&["patch", "mai/abc", "--subresource=status", "--type=merge", "--patch", &patch]);
    let operator = requests::operator(&env);
    let volumes = env.wait_until(
        &operator,
        || format!("the pod of the drill; {:?}", env.condition("abc", "RestoreVerified")),
        || {
            let names =
                env.kubectl(&["get", "pods", "-l", "mai.dev/job", "-o", "jsonpath={.items[*].spec.volumes[*].name}"]);
            (!names.is_empty()).then_some(names)
        },
    );
    assert_eq!(volumes, "order staging tmp backups");
    let (operator, killed_at) = requests::kill_at_each_step(&env, "abc", operator, |status| {
        if status["backup"]["drill"]["last"]["endedAt"].is_null() {
            return Some("running".to_owned());
        }
        (!job_objects(&env).is_empty()).then(|| "ended".to_owned())
    });
    assert_eq!(killed_at[0], "running");
    env.wait_until(
        &operator,
        || format!("the end of the drill; {:?}", env.condition("abc", "RestoreVerified")),
        || env.condition("abc", "RestoreVerified").filter(|(_, reason, _)| reason == "DrillPassed"),
    );
    let drill = env.get("mai/abc").unwrap()["status"]["backup"]["drill"].clone();
    assert_eq!((drill["passed"]["people"].as_i64(), drill["last"]["result"].as_str()), (Some(0), Some("Passed")));
    assert!(drill["passed"]["serverVersion"].is_string(), "{drill}");
    env.wait_until(&operator, || "the job to be gone".into(), || job_objects(&env).is_empty().then_some(()));
    assert_eq!(env.pod("abc").unwrap(), server);
    let verb = |arguments: &[&str]| {
        let output = kube(&env, arguments);
        (output.status.success(), format!("{output:?}"))
    };
    let (is_reported, page) = verb(&["drill-report", "abc", "--output", "html"]);
    assert!(is_reported && page.contains("Passed"), "{page}");

    // Another one, on demand.
    let (is_passed, told) = verb(&["drill", "abc"]);
    assert!(is_passed && told.contains("came back from backups in "), "{told}");
    let next = env.get("mai/abc").unwrap()["status"]["backup"]["drill"].clone();
    assert_ne!(next["last"]["id"], drill["last"]["id"], "{next}");
    env.apply(&env.document("new", "  suspend: true\n  openRouter: {mock: true}\n"));
    let (is_passed, told) = verb(&["drill", "new"]);
    assert!(!is_passed && told.contains("no backup of new was verified yet"), "{told}");
}

#[test]
fn job_survives_an_operator_and_its_loss_is_told() {
    let _shared = cluster::shared();
    let env = Environment::new("backup-lost");
    let gate = Gate::new(&env, None);
    env.kubectl(&["create", "secret", "generic", "s3", "--from-literal=id=a", "--from-literal=key=the-secret-key"]);
    let operator = requests::operator(&env);
    env.apply(&env.fixture("abc", &gate.destination("copies")));
    env.wait_ready(&operator, "abc");
    request(&env, "first", "abc");
    let job = running_job(&env, &operator);
    let policy = env.kubectl(&["get", "networkpolicies", "-l", "mai.dev/job", "-o", "json"]);
    assert!(policy.contains(&format!("\"port\": {}", gate.address.port())), "{policy}");
    assert!(!env.kubectl(&["get", "jobs,pods", "-l", "mai.dev/job", "-o", "yaml"]).contains("the-secret-key"));
    operator.kill();

    // Another operator goes on with the same job.
    let operator = requests::operator(&env);
    assert_eq!(running_job(&env, &operator), job);
    assert_eq!(env.get("maibackup/first").unwrap()["status"]["phase"], "Running");
    env.kubectl(&["delete", "pods", "-l", "mai.dev/job", "--wait=false"]);
    let status = answer(&env, &operator, "maibackup/first");
    assert_eq!((status["phase"].as_str(), condition(&status, "Stalled").as_deref()), (Some("Failed"), Some("True")));
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("its pod was deleted while it ran"), "{message}");
    env.wait_until(&operator, || "the job to be gone".into(), || job_objects(&env).is_empty().then_some(()));
    // It is repeated soon, and not only at the next due time.
    let backup = env.wait_until(
        &operator,
        || "the failure in the status".into(),
        || Some(env.get("mai/abc")?["status"]["backup"].clone()).filter(|backup| backup["failures"] == 1),
    );
    let next: jiff::Timestamp = backup["next"].as_str().unwrap().parse().unwrap();
    assert!(next.duration_since(jiff::Timestamp::now()).as_mins() <= 5, "{backup}");

    // A Job that somebody removes leaves nothing behind either, such as its Secret.
    request(&env, "second", "abc");
    running_job(&env, &operator);
    env.kubectl(&["delete", "jobs", "-l", "mai.dev/job", "--wait=false"]);
    let status = answer(&env, &operator, "maibackup/second");
    assert!(status["message"].as_str().unwrap().contains("its Job is gone"), "{status}");
    env.wait_until(&operator, || "its objects to be gone".into(), || job_objects(&env).is_empty().then_some(()));

    // A deleted instance ends its job first.
    request(&env, "third", "abc");
    running_job(&env, &operator);
    env.kubectl(&["delete", "mai/abc", "--timeout=3m"]);
    env.wait_until(&operator, || "nothing of the job".into(), || job_objects(&env).is_empty().then_some(()));
    let claims = env.kubectl(&["get", "pvc", "-o", "jsonpath={.items[*].metadata.name}"]);
    assert_eq!(claims, "mai-abc-backups mai-abc-data");
    assert!(!operator.output().contains("the-secret-key"));
}

#[test]
fn data_claim_goes_after_a_verified_last_backup() {
    let _shared = cluster::shared();
    let env = Environment::new("backup-last");
    let operator = requests::operator(&env);
    let spec = format!("  image: {}\n  openRouter: {{mock: true}}\n  deletionPolicy: Snapshot\n", images::own());
    env.apply(&env.document("abc", &spec));
    env.wait_ready(&operator, "abc");
    let backups = claim_directory(&env, "mai-abc-backups");
    // The pod of the job is refused at first.
    env.apply_quota(&operator, "small", "pods", 0);
    env.kubectl(&["delete", "mai/abc", "--wait=false"]);
    let message = env.wait_for_reason(&operator, "abc", "Stalled", "BackupFailed");
    assert!(message.contains("the data stays") && message.contains("exceeded quota"), "{message}");
    assert!(env.get("pvc/mai-abc-data").is_some());
    env.kubectl(&["delete", "resourcequota", "small"]);
    operator.kill();

    // It is made again after five minutes, or at once where nothing is remembered of the failure.
    let forget = r#"{"status":{"backup":null}}"#;
    env.kubectl(&["patch", "mai/abc", "--subresource=status", "--type=merge", "--patch", forget]);
    let operator = requests::operator(&env);
    env.wait_until(&operator, || "the document to go".into(), || env.get("mai/abc").is_none().then_some(()));
    let left = || env.children("abc").into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let kept = ["PersistentVolumeClaim/mai-abc-backups", "Secret/mai-abc-session"];
    env.wait_until(&operator, || format!("{:?} to go", left()), || (left() == kept).then_some(()));
    let archives: Vec<PathBuf> = std::fs::read_dir(&backups).unwrap().map(|file| file.unwrap().path()).collect();
    let archive = archives.iter().find(|file| file.to_str().unwrap().ends_with(".tar.gz")).unwrap();
    check_archive(archive);
    let summary = std::fs::read_to_string(archive.to_str().unwrap().replace(".tar.gz", ".json")).unwrap();
    assert!(summary.contains("before its deletion"), "{summary}");
}

#[test]
fn request_for_a_missing_instance_waits_and_says_so() {
    let _shared = cluster::shared();
    let env = Environment::new("backup-early");
    let operator = requests::operator(&env);
    request(&env, "early", "abc");
    let message = stalled(&env, &operator, "maibackup/early");
    assert!(message.contains("no MaiInstance abc"), "{message}");
    env.apply(&env.fixture("abc", ""));
    let status = answer(&env, &operator, "maibackup/early");
    assert_eq!(condition(&status, "Ready").as_deref(), Some("True"), "{status}");
    assert_eq!(condition(&status, "Stalled"), None);
}

#[test]
fn quota_refusal_of_a_job_is_quoted() {
    let _shared = cluster::shared();
    let env = Environment::new("backup-quota");
    let operator = requests::operator(&env);
    env.apply(&env.fixture("abc", ""));
    env.wait_ready(&operator, "abc");
    env.apply_quota(&operator, "small", "pods", 1);
    request(&env, "refused", "abc");
    let status = answer(&env, &operator, "maibackup/refused");
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("its pod is refused") && message.contains("exceeded quota: small"), "{message}");
    env.kubectl(&["delete", "resourcequota", "small"]);
    request(&env, "again", "abc");
    assert_eq!(answer(&env, &operator, "maibackup/again")["phase"], "Completed");
}

#[test]
fn bucket_gets_the_backup_of_a_suspended_instance() {
    let _shared = cluster::shared();
    let env = Environment::new("backup-bucket");
    let gate = Gate::to_bucket(&env);
    let operator = requests::operator(&env);
    env.apply(&env.fixture("abc", &gate.destination(COPIES)));
    env.wait_ready(&operator, "abc");
    env.patch("abc", &json!({"suspend": true}));
    env.wait_for_reason(&operator, "abc", "Ready", "Suspended");
    env.wait_no_pod(&operator, "abc");
    request(&env, "night", "abc");
    let status = answer(&env, &operator, "maibackup/night");
    assert_eq!(status["phase"], "Completed", "{status}");
    let results: Vec<_> =
        status["destinations"].as_array().unwrap().iter().map(|one| (&one["name"], &one["result"])).collect();
    assert_eq!(results, [(&json!("backups"), &json!("Verified")), (&json!("offsite"), &json!("Verified"))]);
    assert!(env.pod("abc").is_none());
    env.wait_for_reason(&operator, "abc", "BackupHealthy", "BackupVerified");
}
