//! The operator on a Docker Engine, each figure compared with the bare calls of the same run.

mod compose;
mod documents;
mod downtime;
mod engine;
mod proxy;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bollard::models::ContainerUpdateBody;
use bollard::query_parameters::KillContainerOptions;

use self::documents::{Documents, answers, container};
use self::engine::{Engine, FIXTURE, OWN};
use self::proxy::{Proxy, Request};
use crate::process::{Program, cpu_seconds, peak_kib, resident_kib};
use crate::report::Report;

const INSTANCES: usize = 20;
/// Repetitions of each row that is taken more than once.
const ROUNDS: usize = 5;

/// Measures the start on an empty engine, idle passes, repairs, changes in place and replacements.
pub async fn measure(
    binary: &Path,
    docker_compose: Option<&Path>,
    many: usize,
    report: &mut Report<'_>,
) -> anyhow::Result<()> {
    if !report.wants("docker") {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("docker: left out, it needs root to start an engine of its own");
        return Ok(());
    }
    let engine = Engine::start(binary).await?;
    if report.wants("docker start") {
        from_empty_engine(&engine, binary, FIXTURE, "20 instances from nothing to ready", report).await?;
        from_empty_engine(&engine, binary, OWN, "the same, each with our own server", report).await?;
        calls(&engine, binary, report).await?;
    }
    if report.wants("docker:") {
        settled(&engine, binary, report).await?;
        if let Some(program) = docker_compose {
            compose::measure(&engine, program, report).await?;
        }
        memory_of_many(&engine, binary, many, report).await?;
    }
    engine.stop().await
}

async fn from_empty_engine(
    engine: &Engine,
    binary: &Path,
    image: &'static str,
    name: &str,
    report: &mut Report<'_>,
) -> anyhow::Result<()> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let place = Documents::new(INSTANCES, image)?;
        // A port that is asked on and on before its server is there answers some tenths of a second
        // late, with the machine idle, which says nothing about whoever started it.
        let started = engine.nth_event(&[("type", vec!["container"]), ("event", vec!["start"])], INSTANCES).await;
        let began = Instant::now();
        let mai = place.compose(binary, &engine.host(), "20s")?;
        started.await??;
        place.all_ready().await?;
        ours.push(began.elapsed());
        mai.stop().await?;

        let mut bodies = Vec::new();
        for index in 0..INSTANCES {
            bodies.push((container(index), engine.body_of(&container(index)).await?));
        }
        engine.empty().await?;
        let began = Instant::now();
        engine.create_all(&bodies).await?;
        place.all_ready().await?;
        bare.push(began.elapsed());
        engine.empty().await?;
    }
    let range = |times: &[Duration]| {
        let seconds = |time: Option<&Duration>| time.map(Duration::as_secs_f64).unwrap_or_default();
        format!("{:.2} to {:.2}", seconds(times.iter().min()), seconds(times.iter().max()))
    };
    let (ours_range, bare_range) = (range(&ours), range(&bare));
    let (ours, bare) = (median(ours), median(bare));
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    report.add(
        &format!("docker start: {name}"),
        format!("{:.2} s ({bare_range}) by the bare calls, eight at once", bare.as_secs_f64()),
        format!("{:.2} s ({ours_range}) = {ratio:.2} x", ours.as_secs_f64()),
        "≤ 1.15 x",
        ratio <= 1.15,
    );
    Ok(())
}

/// Counts the engine's requests during a start on an empty engine.
async fn calls(engine: &Engine, binary: &Path, report: &mut Report<'_>) -> anyhow::Result<()> {
    let place = Documents::new(INSTANCES, FIXTURE)?;
    let proxy = Proxy::start(&engine.socket())?;
    let began = Instant::now();
    let mai = place.compose(binary, &proxy.host(), "20s")?;
    place.all_ready().await?;
    let (reads, writes): (Vec<_>, Vec<_>) = proxy.since(began).into_iter().partition(Request::reads);
    mai.stop().await?;
    let each = |requests: &[Request]| requests.len() as f64 / INSTANCES as f64;
    report.add(
        "docker start: calls to the engine for each",
        "two volumes, a creation and a start by the bare calls".to_owned(),
        format!("{:.1} writes, {:.1} reads", each(&writes), each(&reads)),
        "-",
        true,
    );
    engine.empty().await
}

/// Measures an operator whose instances are as declared.
async fn settled(engine: &Engine, binary: &Path, report: &mut Report<'_>) -> anyhow::Result<()> {
    let place = Documents::new(INSTANCES, FIXTURE)?;
    let proxy = Proxy::start(&engine.socket())?;
    let mai = place.compose(binary, &proxy.host(), "2s")?;
    place.all_ready().await?;
    tokio::time::sleep(Duration::from_secs(5)).await;

    passes(&proxy, &mai, INSTANCES, Duration::from_secs(2), report).await?;
    let resident = resident_kib(mai.pid()?)?;
    report.add(
        "docker: memory of the reconciler at 20",
        "-".to_owned(),
        format!("{:.1} MiB resident, {:.1} MiB at most", mib(resident), mib(peak_kib(mai.pid()?)?)),
        "≤ 30 MiB",
        resident <= 30 * 1024,
    );
    repairs(engine, &place, &proxy, report).await?;
    limits(engine, &place, report).await?;

    let some: Vec<usize> = (INSTANCES - ROUNDS..INSTANCES).collect();
    let ours = median(downtime::of_operator(engine, &place, &some).await?);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (of_all, took) = downtime::of_all_at_once(engine, &place, INSTANCES).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    mai.stop().await?;
    let bare = median(downtime::of_bare_calls(engine, &place, &some).await?);
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    report.add(
        "docker: without an answer while a container is replaced",
        format!("{} by stop and start alone", ms(bare)),
        format!("{} = {ratio:.2} x", ms(ours)),
        "≤ 1.15 x",
        ratio <= 1.15,
    );
    let longest = of_all.iter().max().copied().unwrap_or_default();
    report.add(
        "docker: the same, each of 20 while all are replaced",
        format!("{} by stop and start alone, of one", ms(bare)),
        format!("{}, {} at most; all done after {:.1} s", ms(median(of_all)), ms(longest), took.as_secs_f64()),
        "-",
        true,
    );
    engine.empty().await
}

/// Measures ten passes in which nothing differs.
async fn passes(
    proxy: &Proxy,
    mai: &Program,
    instances: usize,
    resync: Duration,
    report: &mut Report<'_>,
) -> anyhow::Result<()> {
    const PASSES: u32 = 10;
    let (began, cpu) = (Instant::now(), cpu_seconds(mai.pid()?)?);
    tokio::time::sleep(resync * PASSES).await;
    let cpu = (cpu_seconds(mai.pid()?)? - cpu) / f64::from(PASSES);
    let requests = proxy.since(began);
    let writes: Vec<&str> =
        requests.iter().filter(|request| !request.reads()).map(|request| request.line.as_str()).collect();
    let bursts = proxy.bursts(began);
    let reads = bursts.iter().map(|burst| burst.requests).max().unwrap_or_default();
    let wall = median(bursts.iter().map(|burst| burst.took).collect());
    if !writes.is_empty() {
        eprintln!("docker: written with nothing to do: {writes:?}");
    }
    report.add(
        &format!("docker: a pass over {instances} with nothing to do"),
        format!("{} passes, {reads} reads each, {} writes", bursts.len(), writes.len()),
        format!("{} from the first read to the last answer, {:.1} ms CPU", ms(wall), cpu * 1e3),
        if instances == INSTANCES { "≤ 20 ms, no write" } else { "no write" },
        writes.is_empty() && (wall <= Duration::from_millis(20) || instances > INSTANCES),
    );
    Ok(())
}

/// Measures the time from the call that kills a server to the call that starts it again.
async fn repairs(engine: &Engine, place: &Documents, proxy: &Proxy, report: &mut Report<'_>) -> anyhow::Result<()> {
    let (mut seen, mut started) = (Vec::new(), Vec::new());
    for index in 0..ROUNDS {
        let id = engine.inspect(&container(index)).await?.id.context("no id")?;
        let died = engine.nth_event(&[("event", vec!["die"]), ("container", vec![id.as_str()])], 1).await;
        let began = Instant::now();
        engine.docker.kill_container(&id, None::<KillContainerOptions>).await?;
        seen.push(died.await?? - began);
        let start = format!("/containers/{id}/start");
        let asked = loop {
            let mut requests = proxy.since(began).into_iter();
            if let Some(request) = requests.find(|request| request.line.contains(&start)) {
                break request.came - began;
            }
            if began.elapsed() > Duration::from_secs(30) {
                bail!("{} was not started again within 30 s", container(index));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        started.push(asked);
        while !answers(place.addresses[index]).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let (seen, started) = (median(seen), median(started));
    report.add(
        "docker: from docker kill to the call that starts it again",
        format!("{} until the engine says that it died", ms(seen)),
        ms(started),
        "≤ 250 ms",
        started <= Duration::from_millis(250),
    );
    Ok(())
}

/// Measures the time from a document with another limit until the container has it, without a
/// restart.
async fn limits(engine: &Engine, place: &Documents, report: &mut Report<'_>) -> anyhow::Result<()> {
    const MEMORY: i64 = 96 << 20;
    let (mut ours, mut bare, mut undisturbed) = (Vec::new(), Vec::new(), true);
    for index in ROUNDS..2 * ROUNDS {
        let name = container(index);
        let before = engine.inspect(&name).await?;
        let began = Instant::now();
        place.write(index, "  resources: {limits: {memory: 96Mi}}\n")?;
        let after = loop {
            let now = engine.inspect(&name).await?;
            if now.host_config.as_ref().and_then(|host| host.memory) == Some(MEMORY) {
                break now;
            }
            if began.elapsed() > Duration::from_secs(30) {
                bail!("{name} has not got its limit within 30 s");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        ours.push(began.elapsed());
        let run = |of: &bollard::models::ContainerInspectResponse| {
            (of.id.clone(), of.state.as_ref().and_then(|state| state.started_at.clone()))
        };
        undisturbed &= run(&before) == run(&after);

        let same = ContainerUpdateBody {
            memory: Some(MEMORY),
            memory_swap: Some(2 * MEMORY),
            ..ContainerUpdateBody::default()
        };
        let began = Instant::now();
        engine.docker.update_container(&name, same).await?;
        bare.push(began.elapsed());
    }
    let (ours, bare) = (median(ours), median(bare));
    report.add(
        "docker: from another limit in a document to the container that has it",
        format!("{} for the bare call", ms(bare)),
        format!("{}, {}", ms(ours), if undisturbed { "same container, no restart" } else { "RESTARTED" }),
        "≤ 1 s, no restart",
        undisturbed && ours <= Duration::from_secs(1),
    );
    Ok(())
}

async fn memory_of_many(engine: &Engine, binary: &Path, many: usize, report: &mut Report<'_>) -> anyhow::Result<()> {
    let place = Documents::new(many, FIXTURE)?;
    let proxy = Proxy::start(&engine.socket())?;
    let began = Instant::now();
    let mai = place.compose(binary, &proxy.host(), "5s")?;
    place.all_ready().await?;
    let took = began.elapsed();
    tokio::time::sleep(Duration::from_secs(15)).await;
    let resident = resident_kib(mai.pid()?)?;
    report.add(
        &format!("docker: memory of the reconciler at {many}"),
        format!("{:.0} s until all were ready", took.as_secs_f64()),
        format!("{:.1} MiB resident, {:.1} MiB at most", mib(resident), mib(peak_kib(mai.pid()?)?)),
        "≤ 60 MiB",
        resident <= 60 * 1024,
    );
    passes(&proxy, &mai, many, Duration::from_secs(5), report).await?;
    mai.stop().await?;
    engine.empty().await
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn ms(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
