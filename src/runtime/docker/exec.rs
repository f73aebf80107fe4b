//! Commands run inside the container of an instance.

use std::pin::Pin;

use bollard::Docker;
use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use tokio::io::AsyncWrite;

use super::error::failed;
use super::serving_container::{ServingContainer, into_piece};
use crate::core::InstanceId;
use crate::runtime::RuntimeError;

/// A running command.
pub struct Exec {
    docker: Docker,
    instance: InstanceId,
    id: String,
    /// Its output, until it ends. True stands for standard error; with a terminal everything is
    /// standard output.
    pub output: BoxStream<'static, Result<(bool, Bytes), RuntimeError>>,
    /// Its input; a shutdown ends it. `None` without input.
    pub input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
}

impl ServingContainer {
    /// Runs a command in the container, as the user of its server.
    pub async fn exec(&self, command: &[String], stdin: bool, terminal: bool) -> Result<Exec, RuntimeError> {
        let failed = failed("a command in the container", &self.id);
        let options = CreateExecOptions {
            attach_stdin: Some(stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(terminal),
            cmd: Some(command.to_vec()),
            ..CreateExecOptions::default()
        };
        let id = self.docker.create_exec(&self.container.id, options).await.map_err(&failed)?.id;
        let options = StartExecOptions { tty: terminal, ..StartExecOptions::default() };
        let started = self.docker.start_exec(&id, Some(options)).await.map_err(&failed)?;
        let (output, input) = match started {
            StartExecResults::Attached { output, input } => {
                (output.map(move |piece| piece.map(into_piece).map_err(&failed)).boxed(), Some(input).filter(|_| stdin))
            }
            StartExecResults::Detached => (futures::stream::empty().boxed(), None),
        };
        Ok(Exec { docker: self.docker.clone(), instance: self.id.clone(), id, output, input })
    }
}

impl Exec {
    /// Resizes its terminal.
    pub async fn resize(&self, columns: u16, rows: u16) -> Result<(), RuntimeError> {
        let size = ResizeExecOptions { height: rows, width: columns };
        self.docker.resize_exec(&self.id, size).await.map_err(failed("resizing of its terminal", &self.instance))
    }

    /// Returns the exit code, after the end of the output.
    pub async fn exit_code(&self) -> Result<i64, RuntimeError> {
        let failed = failed("a command in the container", &self.instance);
        Ok(self.docker.inspect_exec(&self.id).await.map_err(failed)?.exit_code.unwrap_or_default())
    }
}
