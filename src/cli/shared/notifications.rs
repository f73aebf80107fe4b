//! Options of the reconcilers about webhooks and heartbeats.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use secrecy::{ExposeSecret, SecretString};

use crate::api::parse_duration;
use crate::notification::{Client, Format, HeartbeatOptions, NotificationOptions, SecretUrl, Senders, Webhook};

/// Largest file of URLs.
const LARGEST_FILE: usize = 64 << 10;
/// Shortest interval between reminders or heartbeats.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Notifications {
    /// Webhook that is told when a condition of an instance turns bad or good again, and every day
    /// what is still bad; may be repeated, or hold several with spaces between
    #[arg(
        long = "notify-url",
        env = "MAI_NOTIFY_URL",
        value_parser = secret,
        hide_env_values = true,
        value_name = "URL",
        help_heading = "Notifications"
    )]
    urls: Vec<SecretString>,

    /// File with URLs of webhooks, one a line
    #[arg(long = "notify-url-file", env = "MAI_NOTIFY_URL_FILE", value_name = "FILE", help_heading = "Notifications")]
    url_file: Option<PathBuf>,

    /// Form of what webhooks are told
    #[arg(
        long = "notify-format",
        env = "MAI_NOTIFY_FORMAT",
        value_enum,
        default_value = "auto",
        value_name = "FORMAT",
        help_heading = "Notifications"
    )]
    format: Format,

    /// Time for which a condition has to be bad, or good again, before it is told
    #[arg(
        long = "notify-after",
        env = "MAI_NOTIFY_AFTER",
        default_value = "1m",
        value_parser = parse_duration,
        value_name = "TIME",
        help_heading = "Notifications"
    )]
    after: Duration,

    /// Interval between lists of what is still bad; 0s for none
    #[arg(
        long = "notify-reminder",
        env = "MAI_NOTIFY_REMINDER",
        default_value = "24h",
        value_parser = interval_or_none,
        value_name = "TIME",
        help_heading = "Notifications"
    )]
    reminder: Duration,

    /// Name of this server or cluster in what is told [default: the name of the machine]
    #[arg(long = "notify-name", env = "MAI_NOTIFY_NAME", value_name = "NAME", help_heading = "Notifications")]
    name: Option<String>,

    /// URL that is requested as long as every instance is observed, for a service that notices when
    /// that ends
    #[arg(
        long = "heartbeat-url",
        env = "MAI_HEARTBEAT_URL",
        value_parser = secret,
        hide_env_values = true,
        value_name = "URL",
        help_heading = "Notifications"
    )]
    heartbeat_url: Option<SecretString>,

    /// File with the heartbeat URL
    #[arg(
        long,
        env = "MAI_HEARTBEAT_URL_FILE",
        conflicts_with = "heartbeat_url",
        value_name = "FILE",
        help_heading = "Notifications"
    )]
    heartbeat_url_file: Option<PathBuf>,

    /// Interval between heartbeats
    #[arg(
        long,
        env = "MAI_HEARTBEAT_INTERVAL",
        default_value = "5m",
        value_parser = interval,
        value_name = "TIME",
        help_heading = "Notifications"
    )]
    heartbeat_interval: Duration,
}

impl Notifications {
    /// Returns what is to be sent of a loop with this interval between reconciliations; `None` if
    /// nothing is.
    pub(in crate::cli) fn senders(&self, resync: Duration) -> anyhow::Result<Option<Senders>> {
        let mut urls = Vec::new();
        for given in &self.urls {
            urls.extend(parsed(given, "--notify-url")?);
        }
        if let Some(file) = &self.url_file {
            urls.extend(read_urls(file)?);
        }
        let heartbeat = match &self.heartbeat_url_file {
            None => self.heartbeat_url.iter().map(|url| parsed(url, "--heartbeat-url")).next().transpose()?,
            Some(file) => Some(read_urls(file)?),
        };
        let heartbeat = heartbeat.unwrap_or_default();
        anyhow::ensure!(heartbeat.len() <= 1, "more than one heartbeat URL is given; name one");
        let heartbeat = heartbeat.into_iter().next();
        if urls.is_empty() && heartbeat.is_none() {
            return Ok(None);
        }
        let client = Client::new(urls.iter().chain(&heartbeat))?;
        let mut webhooks: Vec<Webhook> = Vec::new();
        for webhook in urls.into_iter().map(|url| Webhook::new(url, self.format)) {
            if !webhooks.contains(&webhook) {
                webhooks.push(webhook);
            }
        }
        let notifications = (!webhooks.is_empty()).then(|| NotificationOptions {
            webhooks,
            source: format!("mai on {}", self.name.clone().unwrap_or_else(machine)),
            after: self.after,
            reminder: Some(self.reminder).filter(|interval| !interval.is_zero()),
        });
        let heartbeat = heartbeat.map(|url| HeartbeatOptions {
            url,
            interval: self.heartbeat_interval,
            patience: resync.saturating_mul(3).saturating_add(Duration::from_secs(60)),
        });
        Ok(Some(Senders { client, notifications, heartbeat }))
    }
}

/// Takes any text, so that no message about an argument repeats one.
fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(SecretString::from(text))
}

/// Returns the URLs of an argument, which may have spaces or line ends between them.
fn parsed(given: &SecretString, argument: &str) -> anyhow::Result<Vec<SecretUrl>> {
    let urls = given.expose_secret().split_whitespace();
    urls.map(|url| url.parse().with_context(|| argument.to_owned())).collect()
}

fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map_or_else(|_| "this machine".to_owned(), |name| name.trim().to_owned())
}

fn interval(text: &str) -> anyhow::Result<Duration> {
    let interval = parse_duration(text)?;
    anyhow::ensure!(interval >= SHORTEST_INTERVAL, "{text} is shorter than a second");
    Ok(interval)
}

fn interval_or_none(text: &str) -> anyhow::Result<Duration> {
    let given = parse_duration(text)?;
    if given.is_zero() { Ok(given) } else { interval(text) }
}

/// Returns the URLs of a file, one a line. Blank lines and those that begin with # are left out.
fn read_urls(path: &Path) -> anyhow::Result<Vec<SecretUrl>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} could not be read", path.display()))?;
    anyhow::ensure!(text.len() <= LARGEST_FILE, "{} is larger than {LARGEST_FILE} bytes", path.display());
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            line.parse().map_err(|error| anyhow::anyhow!("{}:{}: {error}", path.display(), number + 1))
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _};

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Program {
        #[command(flatten)]
        notifications: Notifications,
    }

    fn parse(arguments: &[&str]) -> Result<Notifications, String> {
        let all = [&["mai"], arguments].concat();
        let matches = Program::command().try_get_matches_from(all).map_err(|error| error.to_string())?;
        Ok(Program::from_arg_matches(&matches).map_err(|error| error.to_string())?.notifications)
    }

    #[test]
    fn file_holds_one_url_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("urls");
        let path = file.to_str().unwrap();
        std::fs::write(&file, "# the team\nhttp://a/secret\n\n  http://b/secret \n").unwrap();
        let given = parse(&["--notify-url-file", path, "--notify-url", "http://c/secret http://a/secret"]).unwrap();
        let senders = given.senders(Duration::from_secs(20)).unwrap().unwrap();
        assert_eq!(senders.notifications.as_ref().unwrap().webhooks.len(), 3);
        assert!(senders.heartbeat.is_none() && !format!("{given:?}{senders:?}").contains("secret"));
        std::fs::write(&file, "http://a/\nhooks.example.com/secret\n").unwrap();
        let error = parse(&["--notify-url-file", path]).unwrap().senders(Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("urls:2: it is not a URL") && !error.contains("secret"), "{error}");
        let given = parse(&["--notify-url", "example.com/secret"]).unwrap();
        let error = format!("{:#}", given.senders(Duration::ZERO).unwrap_err());
        assert!(error.starts_with("--notify-url: it is not a URL") && !error.contains("secret"), "{error}");
        std::fs::write(&file, "\n").unwrap();
        assert!(parse(&["--notify-url-file", path]).unwrap().senders(Duration::ZERO).unwrap().is_none());
    }

    #[test]
    fn interval_is_a_second_at_least() {
        let beat = ["--heartbeat-url", "http://a/x", "--heartbeat-interval"];
        assert!(parse(&[&beat[..], &["1ms"]].concat()).unwrap_err().contains("shorter than a second"));
        let given = parse(&[&beat[..], &["1s"], &["--notify-reminder", "0s"]].concat()).unwrap();
        let heartbeat = given.senders(Duration::from_secs(20)).unwrap().unwrap().heartbeat.unwrap();
        assert_eq!((heartbeat.interval.as_secs(), heartbeat.patience.as_secs()), (1, 120));
        assert!(parse(&["--notify-reminder", "1ms"]).is_err());
    }
}
