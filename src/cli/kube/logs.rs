//! `kubectl mai logs NAME`: the log of the server of an instance.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use futures::AsyncReadExt;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, LogParams};

use super::Cluster;

/// Size of a read.
const PIECE: usize = 16 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The instance
    name: String,

    /// Go on with what it writes from now on, until its pod ends
    #[arg(short, long)]
    follow: bool,

    /// Log of the previous run, if the server was restarted
    #[arg(short, long)]
    previous: bool,

    /// Number of lines to begin with
    #[arg(long, default_value_t = 100, value_name = "LINES")]
    tail: i64,
}

pub(super) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    cluster.instance(&args.name).await?;
    let pods = cluster.pods(&cluster.namespace, &args.name).await?;
    let pod = pods.first().with_context(|| {
        format!("{} has no pod, so nothing was written; `kubectl mai status {0}` says why", args.name)
    })?;
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let params =
        LogParams { follow: args.follow, previous: args.previous, tail_lines: Some(args.tail), ..LogParams::default() };
    let stream = api.log_stream(&pod.name_any(), &params).await;
    let stream = stream.map_err(|error| cluster.failed(&format!("read the log of {}", args.name), &error))?;
    let mut stream = std::pin::pin!(stream);
    let mut piece = vec![0; PIECE];
    let mut out = std::io::stdout().lock();
    loop {
        let read = stream.read(&mut piece).await.context("the log could not be read to its end")?;
        if read == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        out.write_all(&piece[..read])?;
        out.flush()?;
    }
}
