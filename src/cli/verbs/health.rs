//! `mai health`: probes a server. The health check of its image, which has no shell and no curl.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use mai_contract::{environment, http};
use url::Url;

use crate::cli::shared::block_on::block_on;
use crate::core::Probe;
use crate::runtime::probe::{Answer, ask};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// URL to probe, such as http://127.0.0.1:8080/health [default: /ready of the server that has
    /// this environment]
    #[arg(long, value_name = "URL")]
    url: Option<Url>,

    /// Address the server listens on
    #[arg(long, env = environment::HOST, default_value = "0.0.0.0", conflicts_with = "url")]
    host: String,

    /// Port the server listens on
    #[arg(long, env = environment::PORT, default_value_t = http::PORT)]
    port: u16,

    /// Longest time for an answer, such as 5s
    #[arg(long, default_value = "5s", value_parser = crate::api::parse_duration, value_name = "TIME")]
    timeout: Duration,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let (server, path) = target(args).await?;
        match ask(server, &Probe { path, interval: Duration::ZERO, timeout: args.timeout }).await {
            Answer::Ready { .. } => Ok(ExitCode::SUCCESS),
            Answer::NotReady { detail } => anyhow::bail!("the server is not ready: {detail}"),
        }
    })
}

async fn target(args: &Args) -> anyhow::Result<(SocketAddr, String)> {
    let (host, port, path) = match &args.url {
        None => (args.host.clone(), args.port, http::READY_PATH.to_owned()),
        Some(url) => {
            anyhow::ensure!(url.scheme() == "http", "{url} cannot be probed: a server's own port speaks only http");
            let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
            (host, url.port().unwrap_or(80), path)
        }
    };
    let mut found = tokio::net::lookup_host((host.as_str(), port))
        .await
        .with_context(|| format!("the address of {host} cannot be found"))?;
    Ok((found.next().with_context(|| format!("{host} has no address"))?, path))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    async fn asked(arguments: &[&str]) -> Result<(String, String), String> {
        let line = Line::try_parse_from(["health"].iter().chain(arguments)).map_err(|error| error.to_string())?;
        let (server, path) = target(&line.args).await.map_err(|error| error.to_string())?;
        Ok((server.to_string(), path))
    }

    #[tokio::test]
    async fn url_names_address_port_and_path() {
        for (arguments, server, path) in [
            (["--host", "0.0.0.0", "--port", "81"].as_slice(), "0.0.0.0:81", "/ready"),
            (&["--url", "http://127.0.0.1:8080/health"], "127.0.0.1:8080", "/health"),
            (&["--url", "http://[::1]:8080/a?b=c"], "[::1]:8080", "/a?b=c"),
            (&["--url", "http://127.0.0.2"], "127.0.0.2:80", "/"),
        ] {
            assert_eq!(asked(arguments).await.unwrap(), (server.to_owned(), path.to_owned()), "{arguments:?}");
        }
        let refused = asked(&["--url", "https://127.0.0.1/"]).await.unwrap_err();
        assert!(refused.contains("only http"), "{refused}");
    }
}
