//! `mai drill DIR NAME`: asks the reconciler for a drill of one instance, and waits until a backup
//! of it was brought back and checked.

use std::process::ExitCode;

use mai_contract::job::{DrillReport, Outcome};

use crate::cli::shared::asked_job::{WaitArgs, ask};
use crate::cli::shared::backup_output::{bytes, local};
use crate::cli::shared::block_on::block_on;
use crate::cli::shared::named_instance::InstanceArgs;
use crate::core::JobWork;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    instance: InstanceArgs,

    #[command(flatten)]
    wait: WaitArgs,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(drill(args))
}

async fn drill(args: &Args) -> anyhow::Result<ExitCode> {
    let reason = "requested with mai drill".to_owned();
    let outcome = ask(&args.instance, &args.wait, JobWork::Drill(None), reason, outcome_text).await?;
    Ok(if matches!(outcome, None | Some(Outcome::Drilled(_))) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn outcome_text(name: &str, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Drilled(report) => report_text(name, report),
        Outcome::Failed { message } => format!("{name:<20} the drill failed: {message}\n"),
        Outcome::Backup(_) | Outcome::Restored(_) | Outcome::DataKept | Outcome::Swapped => {
            outcome_text(name, &Outcome::of_other_work())
        }
    }
}

fn report_text(name: &str, report: &DrillReport) -> String {
    let start = report.server.as_ref().map_or(0, |server| server.start_millis);
    let seconds = (report.restore_millis + start) as f64 / 1000.0;
    let mut text = format!(
        "{name:<20} backup {} of {} came back from {} in {seconds:.1} s\n{:<20} {} in {} files were compared, and {} rows in {} databases\n",
        report.backup,
        local(report.taken_at),
        report.destination,
        "",
        bytes(report.data_bytes),
        report.files,
        report.rows,
        report.databases,
    );
    let counts = [(report.people, "accounts"), (report.chats, "chats")];
    let counts: Vec<String> =
        counts.iter().filter_map(|(count, what)| count.map(|count| format!("{count} {what}"))).collect();
    let counts = if counts.is_empty() { String::new() } else { format!("; it has {}", counts.join(" and ")) };
    text += &match &report.server {
        Some(server) => format!(
            "{:<20} a server of mai {} was ready on it, and an account that was made for it signed in{counts}\n",
            "", server.version
        ),
        None => format!("{:<20} no server was started, since its program is not mai{counts}\n", ""),
    };
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mai_contract::job::ServerReport;

    use super::*;

    #[test]
    fn outcome_names_backup_time_and_checks() {
        let report = DrillReport {
            id: "20261130-020000-1f2e3d".parse().unwrap(),
            backup: "20261129-020000-1f2e3d".parse().unwrap(),
            destination: "off-site".to_owned(),
            taken_at: "2026-11-29T02:00:00Z".parse().unwrap(),
            is_encrypted: false,
            archive_bytes: 1,
            data_bytes: 5 << 20,
            files: 3,
            databases: 1,
            rows: 42,
            people: Some(4),
            chats: Some(7),
            restore_millis: 1500,
            server: Some(ServerReport { version: "0.1.0".to_owned(), start_millis: 600, people: 4 }),
        };
        let text = outcome_text("abc", &Outcome::Drilled(Box::new(report.clone())));
        for part in ["20261129-020000-1f2e3d", "off-site in 2.1 s", "5.0 MiB in 3 files", "42 rows", "mai 0.1.0"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("it has 4 accounts and 7 chats"), "{text}");
        let foreign = DrillReport { server: None, people: None, chats: None, ..report };
        let text = outcome_text("abc", &Outcome::Drilled(Box::new(foreign)));
        assert!(text.contains("in 1.5 s") && text.ends_with("its program is not mai\n"), "{text}");
        let text = outcome_text("abc", &Outcome::Failed { message: "the archive is cut off".to_owned() });
        assert!(text.contains("the drill failed: the archive is cut off"), "{text}");
    }
}
