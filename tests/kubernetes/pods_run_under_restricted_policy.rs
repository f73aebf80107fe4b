//! The server's image runs under the restricted pod security policy and keeps its data on a volume.

use serde_json::json;

use super::cluster;
use super::environment::Environment;
use super::images;

use crate::fixtures::compose::wait_until;

const POD: &str = r"
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Service
metadata: {name: mai-confined}
spec: {selector: {app: confined}, ports: [{port: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: confined, labels: {app: confined}}
spec:
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: mai
    image: IMAGE
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
    env: [{name: WEBUI_NAME, value: Confined}]
    readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 1}
    volumeMounts: [{name: data, mountPath: /app/backend/data}, {name: tmp, mountPath: /tmp}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}, {name: tmp, emptyDir: {}}]
";

#[test]
fn restricted_pod_serves_and_keeps_its_accounts() {
    let _shared = cluster::shared();
    let env = Environment::new("confined");
    env.kubectl(&["label", "namespace", &env.namespace, "pod-security.kubernetes.io/enforce=restricted"]);
    let documents = POD.replace("IMAGE", images::own());
    env.apply(&documents);
    env.kubectl(&["wait", "--for=condition=Ready", "pod/confined", "--timeout=3m"]);
    let answered =
        |path: &str, body: &str| env.ask("confined", "POST", path, "", body).filter(|(status, _)| *status == 200);
    let person = json!({"name": "Ada", "email": "ada@example.com", "password": "correct horse"}).to_string();
    wait_until(|| "the first account".into(), || answered("/api/v1/auths/signup", &person));

    env.kubectl(&["delete", "pod", "confined"]);
    env.apply(&documents);
    env.kubectl(&["wait", "--for=condition=Ready", "pod/confined", "--timeout=3m"]);
    wait_until(|| "the account on the kept data".into(), || answered("/api/v1/auths/signin", &person));
}
