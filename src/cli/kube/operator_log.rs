//! The parts of the operator's log and pod that are about the instances of a report.
//!
//! A line names instances by its field `instance` and, within a reconciliation, by its object; a
//! message of the API server may name a namespace. A line that names none is about the operator
//! itself.

use k8s_openapi::api::core::v1::Pod;
use regex::Regex;
use serde_json::{Value, json};

/// The field of a log line, as text and as JSON: `NAMESPACE/NAME`, or `NAME` in `default`.
const INSTANCE: &str = r#"\binstance"?[=:]"?([a-z0-9][a-z0-9./-]*)"#;
/// The object of a reconciliation: `MaiInstance.v1alpha1.mai.dev/NAME.NAMESPACE`.
const OBJECT: &str = r#"\bobject\.ref"?[=:]"?[^/\s"]+/([a-z0-9.-]+)"#;
/// A namespace in a URL, as a field, and as the API server writes it, in quotes that JSON escapes.
const NAMESPACE: &str = r#"\bnamespaces?(?:/|="?|":"| \\?")([a-z0-9][a-z0-9-]*)"#;
/// Beginning of the first line of a message; JSON has one line for each.
const BEGIN: &str = r"^(?:\d{4}-\d\d-\d\dT|\{|Error: |thread ')";
/// Variable with the namespaces that are reconciled.
const NAMESPACES: &str = "MAI_NAMESPACES";

/// Filter for the instances of a report.
pub(super) struct LogFilter<'a> {
    namespace: &'a str,
    name: Option<&'a str>,
    instance: Regex,
    object: Regex,
    namespaces: Regex,
    begin: Regex,
}

impl<'a> LogFilter<'a> {
    /// Returns a filter for one instance of a namespace, or all of them.
    pub(super) fn new(namespace: &'a str, name: Option<&'a str>) -> Result<Self, regex::Error> {
        let [instance, object, namespaces, begin] = [INSTANCE, OBJECT, NAMESPACE, BEGIN].map(Regex::new);
        Ok(Self { namespace, name, instance: instance?, object: object?, namespaces: namespaces?, begin: begin? })
    }

    /// Returns the last `tail` lines that pass of the log of an operator that runs in the namespace
    /// `home`.
    pub(super) fn lines(&self, log: &str, home: &str, tail: usize) -> String {
        // A log without a beginning is that of an operator that could not start.
        let mut keeps = !log.lines().any(|line| self.begin.is_match(line));
        let keep = |line: &&str| {
            if self.begin.is_match(line) {
                keeps = self.keeps(line, home);
            }
            keeps
        };
        let kept: Vec<&str> = log.split_inclusive('\n').filter(keep).collect();
        kept[kept.len().saturating_sub(tail)..].concat()
    }

    fn keeps(&self, line: &str, home: &str) -> bool {
        let named = |pattern: &Regex| -> Vec<&str> {
            pattern.captures_iter(line).filter_map(|found| found.get(1)).map(|found| found.as_str()).collect()
        };
        let is_ours =
            |namespace: &str, name: &str| namespace == self.namespace && self.name.is_none_or(|ours| ours == name);
        named(&self.instance).iter().all(|named| {
            let (namespace, name) = named.split_once('/').unwrap_or(("default", named));
            is_ours(namespace, name)
        }) && named(&self.object)
            .iter()
            .all(|named| named.rsplit_once('.').is_some_and(|(name, namespace)| is_ours(namespace, name)))
            && named(&self.namespaces).iter().all(|named| *named == self.namespace || *named == home)
    }

    /// Returns its pod without the namespaces of others.
    pub(super) fn pod(&self, pod: &Pod) -> Value {
        let mut pod = json!(pod);
        for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
            let variables = container["env"].as_array_mut().into_iter().flatten();
            for variable in variables.filter(|variable| variable["name"] == NAMESPACES) {
                let value = variable["value"].as_str().unwrap_or_default();
                let ours: Vec<&str> = value.split(',').filter(|namespace| *namespace == self.namespace).collect();
                variable["value"] = ours.join(",").into();
            }
        }
        pod
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const OURS: [&str; 7] = [
        "2026-11-24T15:00:00.1Z  INFO mai_operator::operator::leader: leading lease=mai-operator identity=mai-operator-x\n",
        "2026-11-24T15:00:00.2Z  INFO mai_operator::operator: Ready: the instance answers instance=\"client-a/abc\"\n",
        "2026-11-24T15:00:00.3Z ERROR reconciling object{object.ref=MaiInstance.v1alpha1.mai.dev/abc.client-a object.reason=x}: kube_client: failed\nwith two lines\n",
        "2026-11-24T15:00:00.4Z  WARN mai_operator: Lease could not be had: forbidden in the namespace \"mai-system\"\n",
        "Error: Lease mai-operator was lost\n",
        "{\"level\":\"INFO\",\"message\":\"Ready\",\"instance\":\"client-a/abc\",\"target\":\"x\"}\n",
        "{\"level\":\"WARN\",\"message\":\"a watch of the namespace failed\",\"target\":\"x\"}\n",
    ];
    const OTHERS: [&str; 6] = [
        "2026-11-24T15:00:00.2Z  INFO mai_operator::operator: Ready: the instance answers instance=\"client-a/xyz\"\nwith two lines\n",
        "2026-11-24T15:00:00.2Z  INFO mai_operator::operator: Ready: the instance answers instance=abc\n",
        "2026-11-24T15:00:00.3Z ERROR reconciling object{object.ref=MaiInstance.v1alpha1.mai.dev/abc.client-b object.reason=x}: kube_client: failed\n",
        "2026-11-24T15:00:00.3Z  WARN the watch failed: forbidden: services in the namespace \"client-b\"\n",
        "{\"level\":\"WARN\",\"message\":\"forbidden: services in the namespace \\\"client-b\\\"\",\"target\":\"x\"}\n",
        "{\"level\":\"INFO\",\"instance\":\"client-a/xyz\",\"spans\":[{\"object.ref\":\"MaiInstance.v1alpha1.mai.dev/xyz.client-a\"}]}\n",
    ];

    #[test]
    fn lines_about_other_instances_are_left_out() {
        let log: String =
            OTHERS.iter().zip(OURS).flat_map(|(other, ours)| [*other, ours]).collect::<String>() + OURS[6];
        assert_eq!(LogFilter::new("client-a", Some("abc")).unwrap().lines(&log, "mai-system", 99), OURS.concat());
        let all = LogFilter::new("client-a", None).unwrap();
        for (line, is_kept) in [(OTHERS[0], true), (OTHERS[5], true), (OTHERS[1], false), (OTHERS[2], false)] {
            assert_eq!(!all.lines(line, "mai-system", 99).is_empty(), is_kept, "{line}");
        }
        let in_default = LogFilter::new("default", Some("abc")).unwrap();
        assert_eq!(in_default.lines(OTHERS[1], "mai-system", 99), OTHERS[1]);
        assert_eq!(in_default.lines(&OURS.concat(), "mai-system", 1), OURS[6]);
        assert_eq!(in_default.lines("what cannot start\n", "mai-system", 99), "what cannot start\n");
    }
}
