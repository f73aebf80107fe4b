//! Promise: a volume grows when its document says so; where it cannot, that is told and the client goes on.

use serde_json::json;

use super::cluster;
use super::stage::Stage;

#[test]
fn a_volume_grows_where_its_class_lets_it_and_elsewhere_the_client_goes_on() {
    let _shared = cluster::shared();
    let stage = Stage::new("volumes");
    let storage = |class: &str| {
        format!("  storage: {{data: {{size: 1Gi, storageClassName: {class}}}, backups: {{size: 1Gi}}}}\n")
    };
    stage.apply(&stage.fixture("grows", &storage("standard")));
    stage.apply(&stage.fixture("stays", &storage("fixed")));
    let operator = stage.operator();
    let names = ["grows", "stays"];
    names.iter().for_each(|name| stage.wait_ready(&operator, name));
    let pods = names.map(|name| stage.pod(name));
    assert_eq!(stage.condition("stays", "StorageReady").unwrap().0, "True");

    names.iter().for_each(|name| stage.patch(name, &json!({"storage": {"data": {"size": "2Gi"}}})));
    stage.wait_until(
        &operator,
        || "the volume to grow".into(),
        || (stage.get("pvc/mai-grows-data")?["status"]["capacity"]["storage"] == "2Gi").then_some(()),
    );
    let message = stage.wait_for_reason(&operator, "stays", "StorageReady", "ResizeFailed");
    assert!(message.contains("mai-stays-data stays at 1Gi"), "{message}");
    names.iter().for_each(|name| stage.wait_ready(&operator, name));
    assert_eq!(stage.condition("grows", "StorageReady").unwrap().0, "True");
    assert_eq!(names.map(|name| stage.pod(name)), pods, "a server was replaced for it");

    // All else that is declared still reaches it, and another operator says the same.
    operator.stop();
    let operator = stage.operator();
    stage.patch("stays", &json!({"displayName": "next"}));
    stage.wait_ready(&operator, "stays");
    assert_eq!(stage.read("stays", "/name").as_deref(), Some("next"));
    let (status, reason, _) = stage.condition("stays", "StorageReady").unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("False", "ResizeFailed"));
}

#[test]
fn two_volumes_that_cannot_grow_are_both_told_and_asked_for_once() {
    let _shared = cluster::shared();
    let stage = Stage::new("both-volumes");
    let class = "size: 1Gi, storageClassName: fixed";
    stage.apply(&stage.fixture("stays", &format!("  storage: {{data: {{{class}}}, backups: {{{class}}}}}\n")));
    let operator = stage.operator();
    stage.wait_ready(&operator, "stays");
    stage.patch("stays", &json!({"storage": {"data": {"size": "2Gi"}, "backups": {"size": "3Gi"}}}));
    stage.wait_until(
        &operator,
        || "both volumes to be told".into(),
        || {
            let (_, _, message) = stage.condition("stays", "StorageReady")?;
            ["mai-stays-data stays at 1Gi", "mai-stays-backups stays at 1Gi"]
                .iter()
                .all(|sentence| message.contains(sentence))
                .then_some(())
        },
    );
    stage.wait_ready(&operator, "stays");
    let passes = || operator.figure("mai_operator_reconcile_total{kind=\"MaiInstance\",outcome=\"ok\"}").unwrap();
    let settled = passes();
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert!(passes() - settled < 5.0, "it is asked for again and again; it said:\n{}", operator.output());
}

#[test]
fn a_claim_that_is_there_is_used_and_kept_whatever_is_deleted() {
    let _shared = cluster::shared();
    let stage = Stage::new("existing");
    stage.apply("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: archive}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n");
    let operator = stage.operator();
    stage.apply(
        &stage.fixture("abc", "  storage: {data: {size: 1Gi, volumeName: archive}}\n  deletionPolicy: Delete\n"),
    );
    stage.wait_ready(&operator, "abc");
    assert!(stage.get("pvc/mai-abc-data").is_none());
    let archive = stage.get("pvc/archive").unwrap();
    assert_eq!(archive["status"]["phase"], "Bound");
    stage.kubectl(&["delete", "mai/abc", "--timeout=60s"]);
    stage.wait_until(&operator, || "all else to be gone".into(), || stage.children("abc").is_empty().then_some(()));
    assert!(stage.get("pvc/archive").unwrap()["metadata"]["deletionTimestamp"].is_null());
}
