//! Reads Compose files where Compose itself is not there to be asked: variables, override files,
//! `include`, `extends`, `env_file` and profiles. Files are read by a function of the caller's.
//!
//! `yaml` parses, `interpolation` replaces variables, `merge` puts files on top of each other,
//! `env_file` reads files of variables.

mod env_file;
mod interpolation;
mod merge;
mod yaml;

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::AdoptError;
use super::project::{Project, choose, names, pairs, text};
use interpolation::{Unresolved, interpolate, settle};
use merge::{merge, resolve_tags};

pub use env_file::read_env_file;
pub(crate) use interpolation::Variables;
pub(super) use yaml::read as read_yaml;

/// Deepest chain of `include` and `extends`.
const DEEPEST: usize = 16;

/// Compose files as Compose would be called with them.
#[allow(missing_debug_implementations, reason = "it holds a function")]
pub struct ComposeFiles<'a> {
    /// Absolute paths, in the order in which they are merged.
    pub files: &'a [PathBuf],
    /// Directory of the project, absolute. Relative paths begin there.
    pub directory: &'a Path,
    /// Values of `${VARIABLE}`.
    pub variables: &'a Variables,
    /// The service, where there are several.
    pub service: Option<&'a str>,
    /// Reads a file.
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
}

impl ComposeFiles<'_> {
    /// Returns the project with the chosen service as Compose would run it.
    pub fn project(&self) -> Result<Project, AdoptError> {
        let mut told = Vec::new();
        let mut file = Value::Null;
        for path in self.files {
            merge(&mut file, self.load(path, self.directory, self.variables, 0, &mut told)?);
            resolve_tags(&mut file);
        }
        let profiles = self.variables.get("COMPOSE_PROFILES").map_or("", String::as_str);
        let profiles: Vec<&str> = profiles.split(',').map(str::trim).collect();
        let (service_name, mut service) = choose(&file, self.service, &profiles)?;
        self.add_env_files(&mut service, &mut told);
        let mut unresolved = Unresolved::default();
        settle(&mut service, &mut unresolved);
        for part in ["name", "volumes", "networks"] {
            settle(&mut file[part], &mut unresolved);
        }
        // Of the other services only their names are wanted.
        settle(&mut file["services"], &mut Unresolved::default());
        if !unresolved.required.is_empty() {
            let required = unresolved.required.iter().map(|(name, message)| match message.as_str() {
                "" => name.clone(),
                message => format!("{name} ({message})"),
            });
            return Err(AdoptError::NoValue(required.collect::<Vec<_>>().join(", ")));
        }
        if !unresolved.unset.is_empty() {
            let names = unresolved.unset.into_iter().collect::<Vec<_>>().join(", ");
            told.push(format!(
                "variables: {names}: not set, so they are taken for empty, as Compose does; set them in the environment or in .env beside the file if they should have values"
            ));
        }
        Ok(Project::new(file, service_name, service, self.variables, self.directory, told))
    }

    /// Reads a file and what it includes. Its relative paths begin in `base`.
    fn load(
        &self,
        path: &Path,
        base: &Path,
        variables: &Variables,
        depth: usize,
        told: &mut Vec<String>,
    ) -> Result<Value, AdoptError> {
        let unreadable = |why: String| AdoptError::Unreadable { file: path.display().to_string(), why };
        if depth > DEEPEST {
            return Err(unreadable(format!("files include each other more than {DEEPEST} deep")));
        }
        let content = (self.read)(path).map_err(|error| unreadable(error.to_string()))?;
        let mut merged = Value::Null;
        let mut own = Value::Null;
        for mut document in yaml::read(&content).map_err(AdoptError::NotYaml)? {
            interpolate(&mut document, variables);
            merge(&mut own, document);
        }
        match &own {
            Value::Null => return Ok(own),
            Value::Object(_) => {}
            _ => return Err(AdoptError::NotYaml(format!("{} is not a mapping", path.display()))),
        }
        if base != self.directory
            && let Some(services) = own["services"].as_object_mut()
        {
            services.values_mut().for_each(|service| make_absolute(service, base));
        }
        let file = own.clone();
        for service in own["services"].as_object_mut().into_iter().flatten().map(|(_, service)| service) {
            if let Err(error) = self.extend(service, &file, base, variables, depth, told) {
                told.push(format!("extends: {error}; what it declares is missing here"));
            }
        }
        for entry in own["include"].take().as_array().into_iter().flatten() {
            let paths = match entry {
                Value::Object(fields) => fields.get("path").map(listed).unwrap_or_default(),
                entry => text(entry).into_iter().collect(),
            };
            let Some(first) = paths.first() else { continue };
            let project_directory = match text(&entry["project_directory"]) {
                Some(directory) => base.join(directory),
                None => base.join(first).parent().unwrap_or(base).to_owned(),
            };
            let env_files = match entry.get("env_file") {
                Some(files) => listed(files).iter().map(|file| base.join(file)).collect(),
                None => vec![project_directory.join(".env")],
            };
            let mut values = Variables::new();
            for file in env_files {
                if let Ok(content) = (self.read)(&file) {
                    values.extend(read_env_file(&content, variables));
                }
            }
            values.extend(variables.clone());
            for file in &paths {
                match self.load(&base.join(file), &project_directory, &values, depth + 1, told) {
                    Ok(included) => {
                        merge(&mut merged, included);
                        resolve_tags(&mut merged);
                    }
                    Err(error) => told.push(format!("include: {file}: {error}; what it declares is missing here")),
                }
            }
        }
        merge(&mut merged, own);
        Ok(merged)
    }

    /// Puts a service on top of the one that it extends.
    fn extend(
        &self,
        service: &mut Value,
        file: &Value,
        base: &Path,
        variables: &Variables,
        depth: usize,
        told: &mut Vec<String>,
    ) -> Result<(), AdoptError> {
        let Some(extends) = service.as_object_mut().and_then(|service| service.remove("extends")) else {
            return Ok(());
        };
        let Some(name) = text(&extends).or_else(|| text(&extends["service"])) else { return Ok(()) };
        let (mut parent, parent_file, directory);
        match text(&extends["file"]) {
            None => {
                directory = base.to_owned();
                parent = file["services"][name.as_str()].clone();
                parent_file = None;
            }
            Some(other) => {
                let path = base.join(&other);
                directory = path.parent().unwrap_or(base).to_owned();
                let loaded = self.load(&path, &directory, variables, depth + 1, told)?;
                parent = loaded["services"][name.as_str()].clone();
                parent_file = Some(loaded);
            }
        }
        if !parent.is_object() || depth > DEEPEST {
            told.push(format!("extends: {name}: there is no such service, so what it declares is missing here"));
            return Ok(());
        }
        self.extend(&mut parent, parent_file.as_ref().unwrap_or(file), &directory, variables, depth + 1, told)?;
        resolve_tags(&mut parent);
        merge(&mut parent, service.take());
        *service = parent;
        Ok(())
    }

    /// Adds the variables of `env_file` to those of the service, which win.
    fn add_env_files(&self, service: &mut Value, told: &mut Vec<String>) {
        let declared = service["env_file"].take();
        let entries = match &declared {
            Value::Array(entries) => entries.iter().collect(),
            Value::Null => Vec::new(),
            entry => vec![entry],
        };
        let mut environment = Map::new();
        for entry in entries {
            let Some(mut file) = text(entry).or_else(|| text(&entry["path"])) else { continue };
            interpolation::settle_text(&mut file, &mut Unresolved::default());
            match (self.read)(&self.directory.join(&file)) {
                Ok(content) => {
                    let found = match text(&entry["format"]).as_deref() {
                        Some("raw") => raw_env_file(&content),
                        _ => read_env_file(&content, self.variables),
                    };
                    environment.extend(found.into_iter().map(|(name, value)| (name, Value::String(value))));
                }
                Err(_) if text(&entry["required"]).as_deref() == Some("false") => {}
                Err(error) => {
                    told.push(format!("env_file: {file} cannot be read: {error}; its variables are missing here"));
                }
            }
        }
        for (name, value) in pairs(&service["environment"]) {
            environment.insert(name, value.map_or(Value::Null, Value::String));
        }
        if let Some(service) = service.as_object_mut() {
            service.remove("env_file");
            if !environment.is_empty() {
                service.insert("environment".to_owned(), Value::Object(environment));
            }
        }
    }
}

fn raw_env_file(content: &str) -> Variables {
    let lines = content.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Returns one name or several.
fn listed(value: &Value) -> Vec<String> {
    text(value).map_or_else(|| names(value), |one| vec![one])
}

/// Makes the relative paths of a service absolute.
fn make_absolute(service: &mut Value, base: &Path) {
    let absolute = |path: &mut Value| {
        if let Value::String(text) = path
            && text.starts_with('.')
        {
            *text = base.join(&*text).display().to_string();
        }
    };
    if !service.is_object() {
        return;
    }
    for volume in service["volumes"].as_array_mut().into_iter().flatten() {
        match volume.is_object() {
            true if volume.get("source").is_some() => absolute(&mut volume["source"]),
            true => {}
            false => absolute(volume),
        }
    }
    let join = |path: &mut Value| {
        if let Value::String(text) = path {
            *text = base.join(&*text).display().to_string();
        }
    };
    match &mut service["env_file"] {
        Value::Array(entries) => {
            for entry in entries {
                match entry.is_object() {
                    true => join(&mut entry["path"]),
                    false => join(entry),
                }
            }
        }
        entry => join(entry),
    }
}
