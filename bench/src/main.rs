//! Measures speed and size of `mai`, each figure with a baseline taken in the same run.
//!
//! `bench/run` builds what it needs and prints the table; `bench/README.md` says how to read it.

mod attack;
mod backup;
mod chat;
mod cluster;
mod docker;
mod fleet;
mod load;
mod money;
mod process;
mod recover;
mod report;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

#[derive(Parser)]
struct Args {
    /// The `mai` binary to measure, built for release
    #[arg(long)]
    mai: PathBuf,

    /// Only rows whose name begins with this prefix
    #[arg(long, default_value = "")]
    only: String,

    /// The cluster of the tests, as `tests/cluster/build` prints it; without it the rows of
    /// `cluster` are left out
    #[arg(long)]
    cluster: Option<PathBuf>,

    /// Instances on the cluster
    #[arg(long, default_value_t = 1000)]
    instances: usize,

    /// Seconds for which nothing changes on the cluster
    #[arg(long, default_value_t = 300)]
    idle: u64,

    /// Docker's `docker compose` as a program of its own; without it its row is left out
    #[arg(long)]
    docker_compose: Option<PathBuf>,

    /// Containers at which the memory of the reconciler is measured once more
    #[arg(long, default_value_t = 200)]
    containers: usize,

    /// MiB of the database that is backed up
    #[arg(long, default_value_t = 1024)]
    database: u64,

    /// Python with the packages of tests/fixtures/s3_server.txt; without it the rows of `recover` are
    /// left out
    #[arg(long)]
    s3_python: Option<PathBuf>,

    /// Clients that are backed up and brought back
    #[arg(long, default_value_t = 20)]
    clients: usize,

    /// MiB of the database of each of them
    #[arg(long, default_value_t = 50)]
    client_database: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut report = report::Report::new(&args.only);
        chat::measure(&args.mai, &mut report).await?;
        attack::measure(&args.mai, &mut report).await?;
        server::measure(&args.mai, &mut report).await?;
        money::measure(&args.mai, &mut report).await?;
        fleet::measure(&args.mai, &mut report).await?;
        docker::measure(&args.mai, args.docker_compose.as_deref(), args.containers, &mut report).await?;
        let idle = Duration::from_secs(args.idle);
        backup::measure(&args.mai, args.database, &mut report)?;
        let python = args.s3_python.as_deref();
        recover::measure(&args.mai, python, args.clients, args.client_database, &mut report)?;
        cluster::measure(&args.mai, args.cluster.as_deref(), args.instances, idle, &mut report).await?;
        report.print();
        Ok(())
    })
}
