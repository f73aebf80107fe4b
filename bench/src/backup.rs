//! A backup of a live database under writes, beside `tar` and `cp` of the same directory.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::process::peak_kib;
use crate::report::Report;

/// Bytes of a chat, of which three quarters are words.
const CHAT_BYTES: usize = 3000;
/// Pause between two commits of the writer.
const PAUSE: Duration = Duration::from_millis(10);
/// Interval between checks of a program.
const POLL: Duration = Duration::from_millis(20);

/// Adds the rows of a backup of a database of this size.
pub fn measure(mai: &Path, mib: u64, report: &mut Report<'_>) -> anyhow::Result<()> {
    if !report.wants("backup: ") {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let place = |name: &str| -> anyhow::Result<_> {
        let path = directory.path().join(name);
        std::fs::create_dir(&path)?;
        Ok(path)
    };
    let (data, backups, copies) = (place("data")?, place("backups")?, place("copies")?);
    let database = data.join("mai.db");
    fill(&database, mib << 20)?;
    let order = directory.path().join("order.json");
    std::fs::write(&order, serde_json::to_vec(&self::order())?)?;

    let alone = Writer::start(&database)?;
    sleep(Duration::from_secs(5));
    let alone = alone.stop()?;
    let during = Writer::start(&database)?;
    let copy = watch(Command::new("cp").arg("-r").arg(&data).arg(copies.join("cp")))?;
    let during_copy = during.stop()?;
    let during = Writer::start(&database)?;
    let tar = watch(Command::new("tar").arg("czf").arg(copies.join("a.tar.gz")).arg(&data))?;
    let during_tar = during.stop()?;
    let during = Writer::start(&database)?;
    let mut command = Command::new(mai);
    command.arg("job").env_clear();
    command.args([Path::new("--order"), &order, Path::new("--data"), &data, Path::new("--backups"), &backups]);
    command.args(["--secrets", "/nonexistent"]);
    let job = watch(&mut command)?;
    let writes = during.stop()?;

    let archive = job.outcome["archiveBytes"].as_u64().context("no size of the archive")?;
    let verifying = job.seconds - job.making;
    report.add(
        &format!("backup: make one of {mib} MiB"),
        format!("tar czf {:.1} CPU s in {:.1} s, cp {:.1}", tar.seconds, tar.wall.as_secs_f64(), copy.seconds),
        format!(
            "{:.1} CPU s in {:.1} s, {} MiB; tar made {} MiB",
            job.making,
            job.made.as_secs_f64(),
            archive >> 20,
            copies.join("a.tar.gz").metadata()?.len() >> 20,
        ),
        "≤ 10 CPU s a GiB",
        job.making * 1024.0 <= 10.0 * mib as f64,
    );
    report.add(
        "backup: verify it",
        "nothing that was copied otherwise is checked".to_owned(),
        format!("{verifying:.1} CPU s in {:.1} s", (job.wall - job.made).as_secs_f64()),
        "≤ 8 CPU s a GiB",
        verifying * 1024.0 <= 8.0 * mib as f64,
    );
    report.add(
        "backup: peak memory",
        format!("tar {:.1} MiB", tar.peak_kib as f64 / 1024.0),
        format!("{:.1} MiB", job.peak_kib as f64 / 1024.0),
        "≤ 32 MiB",
        job.peak_kib <= 32 << 10,
    );
    report.add(
        "backup: longest write meanwhile",
        format!("alone {}, cp {}, tar {}", alone.shown(), during_copy.shown(), during_tar.shown()),
        writes.shown(),
        "none fails, ≤ 50 ms",
        writes.failed == 0 && writes.longest <= Duration::from_millis(50),
    );
    Ok(())
}

fn order() -> Value {
    json!({
        "kind": "backup",
        "id": "20261130-020000-000001",
        "instance": {"namespace": "default", "name": "bench", "uid": "uid"},
        "reason": "a measurement",
        "document": {},
        "destinations": [{"name": "backups", "store": "volume"}],
        "timeZone": "UTC",
    })
}

/// A program that has ended.
struct Ended {
    wall: Duration,
    /// CPU time, that of its own children included.
    seconds: f64,
    peak_kib: u64,
    /// Time and CPU time until it began to verify.
    made: Duration,
    making: f64,
    /// The report in its last line.
    outcome: Value,
}

/// Runs a program and watches what it uses and prints.
fn watch(command: &mut Command) -> anyhow::Result<Ended> {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let pid = child.id();
    let out = child.stdout.take().context("no output")?;
    let reader = std::thread::spawn(move || {
        let (mut made, mut making, mut last) = (Duration::ZERO, 0.0, Value::Null);
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let message: Value = serde_json::from_str(&line).unwrap_or_default();
            if made.is_zero() && message["progress"]["step"] == "verify" {
                (made, making) = (started.elapsed(), cpu_seconds(pid).unwrap_or_default());
            }
            last = message;
        }
        (made, making, last)
    });
    let mut peak = 0;
    // Its figures are there until it is waited for.
    while !is_ended(pid)? {
        peak = peak_kib(pid).unwrap_or(0).max(peak);
        sleep(POLL);
    }
    let (wall, seconds) = (started.elapsed(), cpu_seconds(pid)?);
    let Ok((made, making, last)) = reader.join() else { bail!("its output could not be read") };
    finish(&mut child, &last)?;
    Ok(Ended { wall, seconds, peak_kib: peak, made, making, outcome: last["outcome"]["backup"].clone() })
}

fn finish(child: &mut Child, last: &Value) -> anyhow::Result<()> {
    let status = child.wait()?;
    // 1 is tar's for a file that changed.
    if status.code().is_none_or(|code| code > 1) || last["outcome"].get("failed").is_some() {
        bail!("{status}: {last}");
    }
    Ok(())
}

fn stat(pid: u32) -> anyhow::Result<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(')').context("odd stat")?.1;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}

fn is_ended(pid: u32) -> anyhow::Result<bool> {
    Ok(stat(pid)?.first().is_some_and(|state| state == "Z"))
}

/// Returns the CPU time of a process and of the children that it waited for.
fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let fields = stat(pid)?;
    let ticks = fields.get(11..15).context("no times")?.iter().map(|field| field.parse::<u64>());
    let ticks: u64 = ticks.sum::<Result<_, _>>()?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Makes a database of chats.
pub fn fill(path: &Path, bytes: u64) -> anyhow::Result<()> {
    const WORDS: [&str; 16] = [
        "invoice",
        "the",
        "of",
        "customer",
        "meeting",
        "please",
        "summarise",
        "report",
        "and",
        "quarter",
        "budget",
        "translate",
        "into",
        "Polish",
        "answer",
        "question",
    ];
    let mut connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
         CREATE TABLE chat (id TEXT PRIMARY KEY, title TEXT, content TEXT, updated_at INTEGER);",
    )?;
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut made = 0;
    while made < bytes {
        let transaction = connection.transaction()?;
        let mut insert = transaction.prepare("INSERT INTO chat VALUES (hex(randomblob(16)), 'A chat', ?, 1)")?;
        for _ in 0..2000 {
            let mut text = String::with_capacity(CHAT_BYTES + 16);
            while text.len() < CHAT_BYTES {
                let number = next();
                match number % 8 {
                    0 => text.push_str(&format!("{number:x} ")),
                    _ => {
                        text.push_str(WORDS[(number >> 8) as usize % WORDS.len()]);
                        text.push(' ');
                    }
                }
            }
            made += text.len() as u64 + 100;
            insert.execute([text])?;
        }
        drop(insert);
        transaction.commit()?;
    }
    Ok(())
}

/// Commits of a writer.
struct Writes {
    commits: u32,
    failed: u32,
    longest: Duration,
}

impl Writes {
    fn shown(&self) -> String {
        format!("{:.1} ms of {} writes, {} failed", self.longest.as_secs_f64() * 1e3, self.commits, self.failed)
    }
}

/// A server's stead: commits a chat every few milliseconds.
struct Writer {
    is_done: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Writes>>,
}

impl Writer {
    fn start(path: &Path) -> anyhow::Result<Self> {
        let mut connection = Connection::open(path)?;
        connection.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 0;")?;
        let is_done = Arc::new(AtomicBool::new(false));
        let told = is_done.clone();
        let thread = std::thread::spawn(move || {
            let mut writes = Writes { commits: 0, failed: 0, longest: Duration::ZERO };
            while !told.load(Ordering::Relaxed) {
                let began = Instant::now();
                let commit = |connection: &mut Connection| -> rusqlite::Result<()> {
                    let transaction = connection.transaction()?;
                    transaction.execute_batch(
                        "INSERT INTO chat VALUES (hex(randomblob(16)), 'New', hex(randomblob(1000)), 2);
                         UPDATE chat SET updated_at = updated_at + 1 WHERE rowid = (SELECT max(rowid) FROM chat);",
                    )?;
                    transaction.commit()
                };
                match commit(&mut connection) {
                    Ok(()) => writes.commits += 1,
                    Err(_) => writes.failed += 1,
                }
                writes.longest = writes.longest.max(began.elapsed());
                sleep(PAUSE);
            }
            Ok(writes)
        });
        Ok(Self { is_done, thread })
    }

    fn stop(self) -> anyhow::Result<Writes> {
        self.is_done.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the writer ended early")?
    }
}
