//! `mai statement` prints what a client owes for a closed month, and says why it cannot.

use std::process::Command;

use jiff::{ToSpan, Zoned};

use crate::fixtures::compose::{Workspace, document, http, sign_up, wait_ready, wait_until};
use crate::fixtures::ports::free_port;
use crate::fixtures::serve::change_data;

#[tokio::test]
async fn statement_is_printed_in_each_format() {
    let (workspace, port) = (Workspace::new(), free_port());
    workspace.write("a.yaml", &document("alpha", port, ""));
    let compose = workspace.compose(&[]);
    compose.wait_for_line(&["alpha", "ready"]);
    sign_up(port);
    // The account is older than this month and the one before, which ends too late for a statement on
    // the first day of the next.
    let first = Zoned::now().first_of_month().unwrap();
    let (closed, current) = (first.clone() - 2.months(), first.strftime("%Y-%m").to_string());
    let created = closed.timestamp().as_millisecond().to_string();
    change_data(&workspace.data("alpha"), "UPDATE user SET created_at = ?", &created).await;
    assert_eq!(workspace.mai("restart", &["alpha"]).0, 0);
    wait_ready(port);

    let closed = closed.strftime("%Y-%m").to_string();
    let print = |format: &str| workspace.mai("statement", &["alpha", &closed, "-o", format]);
    let table = wait_until(
        || format!("{:?}", print("table")),
        || {
            let (code, out, _) = print("table");
            (code == 0).then_some(out)
        },
    );
    for part in [closed.as_str(), "UTC", "MARGIN", "TOTAL", "no exchange rate is known"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let (code, json, err) = print("json");
    assert_eq!(code, 0, "{err}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["month"], &json["total"]["margin_nano_usd"]), (&closed.as_str().into(), &0.into()));
    let (_, csv, _) = print("csv");
    assert!(csv.starts_with("kind,period,") && csv.contains(&format!("\ntotal,{closed},")), "{csv}");

    for (month, reason) in
        [(current.as_str(), "is not closed yet"), ("2026-1", "is no month"), ("2001-01", "no statement")]
    {
        let (code, _, err) = workspace.mai("statement", &["alpha", month]);
        assert!(code == 1 && err.contains(reason), "{month}: {code} {err}");
    }
    // Nobody else is told.
    let path = format!("/internal/statements/{closed}");
    assert_eq!(http("GET", port, &path, "", "").unwrap().0, 401);
    compose.stop();
    let (code, _, err) = workspace.mai("statement", &["alpha", &closed]);
    assert!(code == 1 && err.contains("is stopped"), "{code} {err}");

    // Inside of a container the server is asked by its own environment.
    let inside = Command::new(env!("CARGO_BIN_EXE_mai"))
        .args(["server-statement", &closed])
        .env_clear()
        .envs([("HOST", "127.0.0.1"), ("PORT", &port.to_string()), ("WEBUI_SECRET_KEY", "another")])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&inside.stderr).contains("does not answer"), "{inside:?}");
}
