//! A size that a volume was refused is requested again, so that a class that is corrected needs no
//! restart of the operator.

use serde_json::json;

use super::super::cluster::{self, cluster};
use super::super::environment::Environment;

/// Sets whether volumes of the class `fixed` may grow.
fn set_growth(allowed: bool) {
    let patch = json!({"allowVolumeExpansion": allowed}).to_string();
    let output = cluster().kubectl(&["patch", "storageclass", "fixed", "--type=merge", "--patch", &patch], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Restores the class for other tests.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        set_growth(false);
    }
}

#[test]
fn refused_volume_grows_once_its_class_permits() {
    // It changes a class that other tests use.
    let _alone = cluster::alone();
    let env = Environment::new("permitted");
    env.apply(&env.fixture("abc", "  storage: {data: {size: 1Gi, storageClassName: fixed}, backups: {size: 1Gi}}\n"));
    let operator = env.operator_with(&["--resync", "1s"]);
    env.wait_ready(&operator, "abc");
    env.patch("abc", &json!({"storage": {"data": {"size": "2Gi"}}}));
    let message = env.wait_for_reason(&operator, "abc", "StorageReady", "ResizeFailed");
    assert!(message.contains("mai-abc-data stays at 1Gi") && message.contains("forbidden"), "{message}");
    let pod = env.pod("abc");

    let _restored = Restored;
    set_growth(true);
    env.wait_until(
        &operator,
        || "the volume to grow".into(),
        || (env.get("pvc/mai-abc-data")?["status"]["capacity"]["storage"] == "2Gi").then_some(()),
    );
    env.wait_until(
        &operator,
        || "the refusal to be cleared".into(),
        || env.condition("abc", "StorageReady").filter(|(status, _, _)| status == "True"),
    );
    assert_eq!(env.pod("abc"), pod);
}
