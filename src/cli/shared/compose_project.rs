//! Finds the Compose files of a deployment, and asks Compose what they say.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::adopt::{ComposeFiles, Project, read_env_file};

/// Names under which Compose looks for its file, in its order.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Names of the file that Compose merges into it.
const OVERRIDES: [&str; 4] =
    ["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];
/// Programs that Compose may be, the newer one first.
const PROGRAMS: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];

/// Files of a deployment and the variables in them.
#[derive(Debug)]
pub(in crate::cli) struct Deployed {
    /// Absolute paths, in the order in which Compose merges them.
    files: Vec<PathBuf>,
    /// Files of variables that were named, instead of `.env`.
    env_files: Vec<PathBuf>,
    /// Directory of the project.
    pub(in crate::cli) directory: PathBuf,
    /// Values of `${VARIABLE}`.
    pub(in crate::cli) variables: BTreeMap<String, String>,
}

impl Deployed {
    /// Finds what Compose would read: for one directory, or one file of a usual name, also
    /// `COMPOSE_FILE` and an override file, else the given files alone.
    pub(in crate::cli) fn find(given: &[PathBuf], env_files: &[PathBuf]) -> anyhow::Result<Self> {
        let mut files = given.iter().map(std::path::absolute).collect::<Result<Vec<_>, _>>()?;
        let first = files.first().context("no file is named")?.clone();
        let is_directory = first.is_dir();
        let directory = match is_directory {
            // Without a dot at its end, since the project has its name.
            true => first.canonicalize()?,
            false => first.parent().unwrap_or(Path::new("/")).to_owned(),
        };
        let env_files = env_files.iter().map(std::path::absolute).collect::<Result<Vec<_>, _>>()?;
        let variables = match env_files.as_slice() {
            [] => variables(&[directory.join(".env")])?,
            named => variables(named)?,
        };
        let is_usual = |file: &Path| NAMES.iter().any(|name| file.file_name().is_some_and(|own| own == *name));
        if files.len() == 1 && (is_directory || is_usual(&first)) {
            let named = named_by_variable(&directory, &variables);
            let usual = || NAMES.iter().map(|name| directory.join(name)).find(|path| path.exists());
            if !named.is_empty() && (is_directory || named.contains(&first)) {
                files = named;
            } else if let Some(file) = if is_directory { usual() } else { Some(first.clone()) } {
                let beside = OVERRIDES.iter().map(|name| directory.join(name)).find(|path| path.exists());
                files = std::iter::once(file).chain(beside).collect();
            } else {
                anyhow::bail!("the directory has no docker-compose.yml or compose.yaml; name the file");
            }
        }
        Ok(Self { files, env_files, directory, variables })
    }

    /// Returns the project as Compose resolves it, or as mai reads the files where there is no Compose,
    /// and sentences on how it was read.
    pub(in crate::cli) fn project(&self, service: Option<&str>) -> anyhow::Result<(Project, Vec<String>)> {
        let mut notes = Vec::new();
        for program in PROGRAMS {
            match self.ask(program) {
                Answer::Missing => {}
                Answer::Printed { config, warnings } => {
                    notes.extend(warnings);
                    let project = Project::from_config(&config, service, &self.variables, &self.directory)?;
                    return Ok((project, notes));
                }
                Answer::Refused(why) => {
                    notes.push(format!(
                        "{} does not accept these files, so mai read them itself: {why}",
                        program.join(" ")
                    ));
                    break;
                }
            }
        }
        if notes.is_empty() {
            notes.push(
                "Compose is not installed here, so mai read the files itself; where Compose is, compare with `docker compose config`"
                    .to_owned(),
            );
        }
        let files = ComposeFiles {
            files: &self.files,
            directory: &self.directory,
            variables: &self.variables,
            service,
            read: &|path| std::fs::read_to_string(path),
        };
        Ok((files.project()?, notes))
    }

    fn ask(&self, program: &[&str]) -> Answer {
        let call = |arguments: &[&std::ffi::OsStr]| {
            let (name, rest) = program.split_first()?;
            let mut command = Command::new(name);
            command.args(rest).args(arguments).current_dir(&self.directory).stdin(Stdio::null());
            command.output().ok()
        };
        let version = call(&["version".as_ref(), "--short".as_ref()]);
        let Some(version) = version.filter(|version| version.status.success()) else { return Answer::Missing };
        let is_first = String::from_utf8_lossy(&version.stdout).trim().trim_start_matches('v').starts_with("1.");
        let mut arguments: Vec<&std::ffi::OsStr> = Vec::new();
        for file in &self.files {
            arguments.extend(["-f".as_ref(), file.as_os_str()]);
        }
        for file in &self.env_files {
            arguments.extend(["--env-file".as_ref(), file.as_os_str()]);
        }
        match is_first {
            // It prints all services, whatever their profile is.
            true => arguments.push("config".as_ref()),
            false => arguments.extend(["--profile", "*", "config", "--format", "json"].map(std::ffi::OsStr::new)),
        }
        let Some(output) = call(&arguments) else { return Answer::Missing };
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().map(str::trim).filter(|line| !line.is_empty());
        if !output.status.success() {
            // Of a Python traceback its last line says what is wrong.
            let lines: Vec<&str> = said.collect();
            let is_traceback = lines.first().is_some_and(|line| line.starts_with("Traceback"));
            return Answer::Refused(match lines.last() {
                Some(last) if is_traceback => (*last).to_owned(),
                _ => lines.join(" "),
            });
        }
        let warnings = said.map(|line| format!("{}: {}", program.join(" "), message(line))).collect();
        Answer::Printed { config: String::from_utf8_lossy(&output.stdout).into_owned(), warnings }
    }
}

/// Answer of a program that may be Compose.
enum Answer {
    /// It is not there.
    Missing,
    /// The resolved project, in which there may be secrets.
    Printed { config: String, warnings: Vec<String> },
    /// It found something wrong.
    Refused(String),
}

/// Returns the message of a line that Compose logs as `time=… level=… msg="…"`.
fn message(line: &str) -> String {
    let quoted = line.split_once(" msg=\"").and_then(|(_, rest)| rest.strip_suffix('"'));
    quoted.map_or_else(|| line.to_owned(), |message| message.replace("\\\"", "\""))
}

/// Returns the files that `COMPOSE_FILE` names.
fn named_by_variable(directory: &Path, variables: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let separator = variables.get("COMPOSE_PATH_SEPARATOR").map_or(":", String::as_str);
    let named = variables.get("COMPOSE_FILE").map_or("", String::as_str);
    named.split(separator).filter(|name| !name.is_empty()).map(|name| directory.join(name)).collect()
}

/// Returns the variables of the environment, which win, and of the files.
fn variables(env_files: &[PathBuf]) -> anyhow::Result<BTreeMap<String, String>> {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let mut variables = BTreeMap::new();
    for file in env_files {
        match std::fs::read_to_string(file) {
            Ok(text) => variables.extend(read_env_file(&text, &environment)),
            Err(error) if error.kind() == ErrorKind::NotFound && file.ends_with(".env") => {}
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
        }
    }
    variables.extend(environment);
    Ok(variables)
}
