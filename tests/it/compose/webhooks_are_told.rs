//! Webhooks are told once what turns bad and good again, whatever is killed or fails meanwhile.

use sqlx::{Connection, SqliteConnection};

use crate::fixtures::compose::{Compose, Workspace, wait_until};
use crate::fixtures::ports::free_port;
use crate::fixtures::webhook::{Received, Webhook};

/// Returns a document that is blocked until its Secret is there.
fn blocked(name: &str, secret: &str) -> String {
    format!(
        "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {{name: {name}}}\nspec:\n  displayName: {name}\n  openRouter: {{apiKeySecretRef: {{name: {secret}, key: key}}}}\n  expose: {{port: {}}}\n",
        free_port()
    )
}

fn compose(workspace: &Workspace, webhook: &Webhook, more: &[&str]) -> Compose {
    let url = webhook.url();
    let mut arguments = vec!["--notify-url", &url, "--notify-after", "1s", "--notify-name", "example"];
    arguments.extend(more);
    workspace.compose(&arguments)
}

/// Returns what the state database has of what was told.
fn recorded(workspace: &Workspace) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(workspace.state.join("state.db"));
        let mut connection = SqliteConnection::connect_with(&options.read_only(true)).await.unwrap();
        sqlx::query_scalar("SELECT notified FROM notified").fetch_optional(&mut connection).await.unwrap()
    })
}

fn wait_for(webhook: &Webhook, number: usize, compose: &Compose) -> Received {
    webhook.wait_for(number, || compose.output())
}

#[test]
fn edges_are_told_once_and_what_stays_bad_again() {
    let (workspace, webhook) = (Workspace::new(), Webhook::start());
    workspace.write("a.yaml", &blocked("alpha", "upstream"));
    let mut first = compose(&workspace, &webhook, &[]);
    let notice = wait_for(&webhook, 0, &first);
    assert_eq!(
        (notice.target.as_str(), notice.changes()),
        ("POST /hidden-path?token=hidden HTTP/1.1", vec!["+alpha.Ready".to_owned()])
    );
    let change = notice.json()["changes"][0].clone();
    assert_eq!(
        (&change["reason"], notice.json()["text"].as_str()),
        (&"MissingSecret".into(), Some("mai on example: 1 turned bad"))
    );
    assert!(change["message"].as_str().unwrap().contains("Secret upstream") && change["since"].is_string(), "{change}");
    let recorded = || recorded(&workspace);
    wait_until(|| format!("a record; {}", first.output()), || recorded().filter(|text| text.contains("/alpha/")));
    first.kill();

    // A restart repeats nothing; the next to be told is another instance.
    workspace.write("b.yaml", &blocked("beta", "another"));
    let second = compose(&workspace, &webhook, &[]);
    assert_eq!(wait_for(&webhook, 1, &second).changes(), ["+beta.Ready"]);
    second.stop();
    let third = compose(&workspace, &webhook, &["--notify-reminder", "2s"]);
    let reminder = wait_for(&webhook, 2, &third);
    let still_bad: Vec<_> =
        reminder.json()["stillBad"].as_array().unwrap().iter().map(|one| one["instance"].clone()).collect();
    assert_eq!((reminder.changes().len(), still_bad), (0, vec!["alpha".into(), "beta".into()]));
    third.stop();

    let fourth = compose(&workspace, &webhook, &[]);
    workspace.write_secret("upstream", "key", "sk-or-v1-test");
    let told = webhook.received().len();
    assert_eq!(wait_for(&webhook, told, &fourth).changes(), ["-alpha.Ready"]);
    workspace.remove("b.yaml");
    assert_eq!(wait_for(&webhook, told + 1, &fourth).changes(), ["-beta.Ready"]);
    assert!(!fourth.output().contains("hidden"), "{}", fourth.output());
    fourth.stop();
}

#[test]
fn refused_notice_is_told_after_a_restart() {
    let (workspace, webhook) = (Workspace::new(), Webhook::start());
    webhook.answer("307 Temporary Redirect\r\nlocation: /elsewhere\r\n");
    workspace.write("a.yaml", &blocked("alpha", "upstream"));
    let mut first = compose(&workspace, &webhook, &[]);
    let line = first.wait_for_line(&["was not told of 1 condition:", "307"]);
    assert!(line.contains("http://127.0.0.1:") && !line.contains("hidden"), "{line}");
    let targets: Vec<String> = webhook.received().into_iter().map(|one| one.target).collect();
    assert_eq!(targets, ["POST /hidden-path?token=hidden HTTP/1.1"], "the redirect is not followed");
    first.kill();
    webhook.answer("200 OK\r\n");
    let second = compose(&workspace, &webhook, &[]);
    assert_eq!(wait_for(&webhook, 1, &second).changes(), ["+alpha.Ready"]);
    second.stop();
}

#[test]
fn silent_webhook_delays_neither_others_nor_instances() {
    let (workspace, silent, webhook) = (Workspace::new(), Webhook::start(), Webhook::start());
    silent.answer("");
    for name in ["a", "b", "c"] {
        workspace.write(&format!("{name}.yaml"), &blocked(name, "upstream"));
    }
    let urls = workspace.state.with_file_name("urls");
    std::fs::write(&urls, format!("# the first never answers\n{}\n{}\n", silent.url(), webhook.url())).unwrap();
    let compose = workspace.compose(&["--notify-url-file", urls.to_str().unwrap(), "--notify-after", "2s"]);
    let expected = ["+a.Ready", "+b.Ready", "+c.Ready"];
    assert_eq!(wait_for(&webhook, 0, &compose).changes(), expected, "all at once");
    workspace.write_secret("upstream", "key", "sk-or-v1-test");
    assert_eq!(wait_for(&webhook, 1, &compose).changes(), expected.map(|change| change.replace('+', "-")));
    compose.wait_for_line(&["was not told of 3 conditions"]);
    compose.stop();
}

#[test]
fn heartbeats_are_sent_while_instances_are_observed() {
    let (workspace, service) = (Workspace::new(), Webhook::start());
    workspace.write("a.yaml", &blocked("alpha", "upstream"));
    let file = workspace.state.with_file_name("heartbeat");
    std::fs::write(&file, service.url()).unwrap();
    let arguments = ["--heartbeat-url-file", file.to_str().unwrap(), "--heartbeat-interval", "1s"];
    let mut compose = workspace.compose(&arguments);
    assert_eq!(wait_for(&service, 1, &compose).target, "GET /hidden-path?token=hidden HTTP/1.1");
    assert!(!compose.output().contains("hidden"), "{}", compose.output());
    compose.kill();

    // Nothing can be known of an instance whose files are not what they should be.
    std::fs::create_dir_all(workspace.state.join("instances/alpha")).unwrap();
    std::fs::write(workspace.state.join("instances/alpha/job"), "").unwrap();
    let compose = workspace.compose(&arguments);
    workspace.wait_for_reason("alpha", "Ready", "ObserveFailed");
    let before = service.received().len();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(service.received().len(), before, "it was sent although nothing is known; {}", compose.output());
    std::fs::remove_file(workspace.state.join("instances/alpha/job")).unwrap();
    wait_until(|| format!("a heartbeat; {}", compose.output()), || (service.received().len() > before).then_some(()));
    compose.stop();
}

#[test]
fn wrong_url_is_refused_without_showing_it() {
    let workspace = Workspace::new();
    for (arguments, message) in [
        (["--notify-url", "example.com/hidden"], "--notify-url: it is not a URL"),
        (["--heartbeat-url-file", "/no/such/file"], "/no/such/file could not be read"),
    ] {
        let (code, out, err) = workspace.mai("compose", &arguments);
        assert!(code != 0 && err.contains(message), "{out}{err}");
        assert!(!format!("{out}{err}").contains("hidden"), "{out}{err}");
    }
}
