//! A notice as the request that a service takes. Each is bounded, whatever the fleet looks like.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::decide::{Item, Notice};
use super::webhook::Format;
use crate::core::log_name;

/// Most conditions in a text.
const LINES: usize = 20;
/// Most conditions in an object.
const OBJECTS: usize = 200;
/// Longest message of a condition.
const MESSAGE: usize = 300;
/// Longest text that ntfy shows as a message.
const NTFY_TEXT: usize = 4000;

/// Headers and body of a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// Returns the message of a notice. `source` names this server or cluster.
pub(super) fn message(notice: &Notice, source: &str, format: Format, now: Timestamp) -> Message {
    match format {
        Format::Slack => {
            let text = text(notice, source).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            of_json(&json!({ "text": text }))
        }
        Format::Ntfy => ntfy(notice, source),
        Format::Json | Format::Auto => of_json(&object(notice, source, now)),
    }
}

fn of_json(value: &Value) -> Message {
    Message { headers: vec![("content-type", "application/json".to_owned())], body: value.to_string() }
}

fn ntfy(notice: &Notice, source: &str) -> Message {
    let is_bad = notice.changes.iter().any(|item| item.is_bad) || !notice.still_bad.is_empty();
    let (priority, tag) = if is_bad { ("high", "warning") } else { ("default", "white_check_mark") };
    // A header holds ASCII.
    let title = title(notice, source).replace(|c: char| !c.is_ascii_graphic() && c != ' ', "?");
    let headers = vec![("title", title), ("priority", priority.to_owned()), ("tags", tag.to_owned())];
    let mut body = lines(notice).join("\n");
    body.truncate(body.floor_char_boundary(NTFY_TEXT));
    Message { headers, body }
}

fn text(notice: &Notice, source: &str) -> String {
    std::iter::once(title(notice, source)).chain(lines(notice)).collect::<Vec<_>>().join("\n")
}

/// Returns a sentence such as "mai on example: 2 turned bad, 1 is good again".
fn title(notice: &Notice, source: &str) -> String {
    let bad = notice.changes.iter().filter(|item| item.is_bad).count();
    let good = notice.changes.len() - bad;
    let is = |count: usize| if count == 1 { "is" } else { "are" };
    let parts = [
        (bad, format!("{bad} turned bad")),
        (good, format!("{good} {} good again", is(good))),
        (notice.still_bad.len(), format!("{} {} still bad", notice.still_bad.len(), is(notice.still_bad.len()))),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, part)| part).collect();
    format!("{source}: {}", parts.join(", "))
}

fn lines(notice: &Notice) -> Vec<String> {
    let all = notice.changes.iter().map(|item| (item, if item.is_bad { "bad" } else { "good" }));
    let all = all.chain(notice.still_bad.iter().map(|item| (item, "still bad")));
    let mut lines: Vec<String> = all.clone().take(LINES).map(|(item, state)| line(item, state)).collect();
    let left_out = all.count() - lines.len();
    if left_out > 0 {
        lines.push(format!("and {left_out} more; `mai status` has all of them"));
    }
    lines
}

fn line(item: &Item, state: &str) -> String {
    let instance = log_name(&item.instance.namespace, &item.instance.name);
    let reason = if item.reason.is_empty() { String::new() } else { format!("{}: ", item.reason) };
    let since = item.since.map(|since| format!(" (since {})", since.strftime("%Y-%m-%d %H:%M UTC")));
    let message = shortened(&item.message);
    format!("{state}: {instance} {}: {reason}{message}{}", item.topic.name(), since.unwrap_or_default())
}

fn object(notice: &Notice, source: &str, now: Timestamp) -> Value {
    let shown = |items: &[Item], left: usize| -> Vec<Value> {
        let objects = items.iter().take(left).map(|item| {
            json!({
                "namespace": item.instance.namespace,
                "instance": item.instance.name,
                "condition": item.topic.name(),
                "state": if item.is_bad { "bad" } else { "good" },
                "reason": item.reason,
                "message": shortened(&item.message),
                "since": item.since,
            })
        });
        objects.collect()
    };
    let changes = shown(&notice.changes, OBJECTS);
    let still_bad = shown(&notice.still_bad, OBJECTS - changes.len());
    json!({
        "source": source,
        "text": title(notice, source),
        "at": now,
        "leftOut": notice.changes.len() + notice.still_bad.len() - changes.len() - still_bad.len(),
        "changes": changes,
        "stillBad": still_bad,
    })
}

/// Returns a message on one line, cut where it is long.
fn shortened(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = line.floor_char_boundary(MESSAGE);
    if end < line.len() { format!("{}…", &line[..end]) } else { line }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::decide::Topic;
    use super::*;
    use crate::api::ConditionKind;
    use crate::core::InstanceId;

    fn item(name: &str, is_bad: bool, message: &str) -> Item {
        Item {
            instance: InstanceId { namespace: "default".into(), name: name.into(), uid: "1".into() },
            topic: Topic::Condition(ConditionKind::BackupHealthy),
            is_bad,
            reason: "BackupFailed".into(),
            message: message.into(),
            since: Some(Timestamp::UNIX_EPOCH),
        }
    }

    fn notice() -> Notice {
        Notice {
            changes: vec![item("a", true, "<b> & \"c\"\nd"), item("b", false, "all is well")],
            still_bad: vec![item("c", true, "the disk is full")],
        }
    }

    #[test]
    fn notice_is_written_for_each_service() {
        let at = |format| message(&notice(), "mai on łódź", format, Timestamp::UNIX_EPOCH);
        let slack: Value = serde_json::from_str(&at(Format::Slack).body).unwrap();
        assert_eq!(
            slack["text"],
            "mai on łódź: 1 turned bad, 1 is good again, 1 is still bad\n\
             bad: a BackupHealthy: BackupFailed: &lt;b&gt; &amp; \"c\" d (since 1970-01-01 00:00 UTC)\n\
             good: b BackupHealthy: BackupFailed: all is well (since 1970-01-01 00:00 UTC)\n\
             still bad: c BackupHealthy: BackupFailed: the disk is full (since 1970-01-01 00:00 UTC)"
        );
        let ntfy = at(Format::Ntfy);
        assert!(ntfy.body.starts_with("bad: a BackupHealthy: BackupFailed: <b> & \"c\" d"), "{}", ntfy.body);
        let title = "mai on ??d?: 1 turned bad, 1 is good again, 1 is still bad".to_owned();
        assert_eq!(ntfy.headers[..2], [("title", title), ("priority", "high".to_owned())]);
        let json: Value = serde_json::from_str(&at(Format::Json).body).unwrap();
        assert_eq!(
            json["changes"][0],
            json!({
                "namespace": "default", "instance": "a", "condition": "BackupHealthy", "state": "bad",
                "reason": "BackupFailed", "message": "<b> & \"c\" d", "since": "1970-01-01T00:00:00Z",
            })
        );
        assert_eq!((&json["stillBad"][0]["instance"], &json["leftOut"]), (&json!("c"), &json!(0)));
    }

    #[test]
    fn notice_of_a_large_fleet_is_bounded() {
        let changes = (0..1000).map(|n| item(&format!("a{n}"), true, &"ł".repeat(5000))).collect();
        let notice = Notice { changes, still_bad: vec![item("b", true, "")] };
        for (format, longest) in [(Format::Slack, 16_000), (Format::Ntfy, NTFY_TEXT), (Format::Json, 120_000)] {
            let body = message(&notice, "mai", format, Timestamp::UNIX_EPOCH).body;
            assert!(body.len() <= longest, "{format:?} has {} bytes", body.len());
        }
        let text = text(&notice, "mai");
        assert!(text.ends_with("and 981 more; `mai status` has all of them"), "{text}");
        let json: Value =
            serde_json::from_str(&message(&notice, "mai", Format::Json, Timestamp::UNIX_EPOCH).body).unwrap();
        assert_eq!((json["changes"].as_array().unwrap().len(), &json["leftOut"]), (OBJECTS, &json!(801)));
    }
}
