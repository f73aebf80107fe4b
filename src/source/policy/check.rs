//! Refusals of a document by a policy.

use std::path::{Path, PathBuf};

use mai_contract::Network;
use serde_json::Value;

use super::document::Lists;
use super::paths::{overlap, resolve, writable_between};
use super::pattern::matches_any;
use super::restore::is_own_file;
use super::{Author, Claims, Policy, Refusal, defaults};
use crate::api::{Finding, MaiInstanceSpec, PlatformKind, SecretRef};
use crate::core::kept_name;

/// A document that is checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// Its author.
    pub author: Author<'a>,
    /// Namespace and name of its instance.
    pub key: &'a (String, String),
    /// Its spec, with defaults.
    pub spec: &'a MaiInstanceSpec,
    /// The platform, where it is known.
    pub platform: Option<PlatformKind>,
    /// Places of all instances.
    pub claims: &'a Claims,
}

/// A limit of a policy: nothing is limited where it is absent.
type Limit = fn(&Lists) -> Option<&[String]>;

impl Policy {
    /// Returns what is refused of a document, each with the line that would allow it. Which Secrets
    /// it may read is for [`Policy::reads`] to say.
    pub(crate) fn refusals(&self, subject: &Subject<'_>) -> Vec<Refusal> {
        if self.is_unrestricted {
            return Vec::new();
        }
        let mut check = Check { policy: self, subject, refusals: Vec::new() };
        check.limits();
        check.server();
        check.storage();
        check.backup();
        check.exposure();
        check.refusals
    }

    /// Returns whether an author may let upstreams be in a network. One that is not understood is
    /// refused elsewhere.
    fn grants_network(&self, author: Author<'_>, network: &str) -> bool {
        let Ok(wanted) = network.parse::<Network>() else { return true };
        let has = |lists: &Lists| {
            let mut networks = lists.upstream_networks.iter().filter_map(|network| network.parse::<Network>().ok());
            networks.any(|network| wanted.is_within(&network))
        };
        wanted.is_public() || has(&self.document.lists) || self.entries(author).any(|(_, lists)| has(lists))
    }

    fn allows_name(&self, author: Author<'_>, name: &str) -> bool {
        let lists = |lists: &Lists| lists.instances.as_ref().is_some_and(|names| matches_any(names, name));
        let mut own = self.entries(author).filter(|(_, entry)| entry.instances.is_some()).peekable();
        match own.peek().is_some() {
            true => own.any(|(_, entry)| lists(entry)),
            // Names that are listed for others are theirs.
            false => !self.document.authors.iter().any(|entry| lists(&entry.lists)),
        }
    }

    /// Returns whether the policy gives this name to the author in so many words.
    pub(crate) fn gives_name(&self, author: Author<'_>, name: &str) -> bool {
        let mut own = self.entries(author);
        self.is_unrestricted
            || own.any(|(_, entry)| entry.instances.as_ref().is_some_and(|names| matches_any(names, name)))
    }

    /// Returns the sentence that says how a folder comes to declare a name.
    pub(crate) fn name_remedy(&self, author: Author<'_>, name: &str) -> String {
        let who = match author {
            Author::Folder(folder) => format!("folder: {folder:?}"),
            Author::Namespace(namespace) => format!("namespace: {namespace}"),
        };
        match self.entries(author).next() {
            Some(_) => self.remedy(author, "instances", name),
            None => format!("write an entry `{{{who}, instances: [{name}]}}` into `authors` of {}", self.shown),
        }
    }
}

struct Check<'a> {
    policy: &'a Policy,
    subject: &'a Subject<'a>,
    refusals: Vec<Refusal>,
}

impl Check<'_> {
    fn refuse(&mut self, path: &str, what: &str, field: &str, entry: &str) {
        self.refusals.push(self.policy.refusal(self.subject.author, path, what, field, entry));
    }

    /// Refuses something that many providers allow.
    fn refuse_ordinary(&mut self, path: &str, what: &str, field: &str, entry: &str) {
        let refusal = self.policy.refusal(self.subject.author, path, what, field, entry);
        self.refusals.push(Refusal { is_ordinary: true, ..refusal });
    }

    fn say(&mut self, path: &str, message: String) {
        self.refusals.push(Refusal { finding: Finding { path: path.to_owned(), message }, is_ordinary: false });
    }

    /// Refuses what no pattern of a list that is there matches.
    fn limit(&mut self, path: &str, what: &str, field: &str, limit: Limit, text: &str) {
        let Policy { document, lines, shown, .. } = self.policy;
        let own: Vec<(usize, &[String])> = self
            .policy
            .entries(self.subject.author)
            .filter_map(|(index, lists)| Some((index, limit(lists)?)))
            .collect();
        let (at, is_allowed) = match (own.first(), limit(&document.lists)) {
            (Some((index, _)), _) => {
                (format!("authors[{index}].{field}"), own.iter().any(|(_, list)| matches_any(list, text)))
            }
            (None, Some(list)) => (field.to_owned(), matches_any(list, text)),
            (None, None) => return,
        };
        if !is_allowed {
            let line = lines.as_ref().map_or(1, |lines| lines.place(&at).line);
            let message = format!("{what} is not allowed by the policy; add `{text}` to `{at}` in {shown}:{line}");
            self.say(path, message);
        }
    }

    fn limits(&mut self) {
        let Subject { author, key, spec, platform, .. } = *self.subject;
        let name = key.1.as_str();
        if !self.policy.allows_name(author, name) {
            let message =
                format!("name {name} is not allowed here by the policy; {}", self.policy.name_remedy(author, name));
            self.say("metadata.name", message);
        }
        let kind = spec.server.kind.as_ref();
        self.limit("spec.server.kind", &format!("kind {kind}"), "kinds", |lists| lists.kinds.as_deref(), kind);
        if platform != Some(PlatformKind::Process) {
            let image = spec.image.as_str();
            self.limit("spec.image", &format!("image {image}"), "images", |lists| lists.images.as_deref(), image);
        }
        if let Some(host) = spec.expose.host.as_deref() {
            self.limit("spec.expose.host", &format!("host {host}"), "hosts", |lists| lists.hosts.as_deref(), host);
        }
    }

    fn server(&mut self) {
        let Subject { author, spec, platform, .. } = *self.subject;
        for (index, variable) in spec.server.env.iter().enumerate() {
            let (path, name) = (format!("spec.server.env[{index}].name"), variable.name.as_str());
            if defaults::is_reserved(name) {
                self.say(&path, format!("variable {name} is set by mai itself; remove it"));
            } else if !defaults::allows_variable(spec.server.kind, platform, name)
                && !self.policy.grants(author, |lists| &lists.server_env, name)
            {
                let what = format!("variable {name}");
                match defaults::is_loader(name) {
                    true => self.refuse(&path, &what, "serverEnv", name),
                    false => self.refuse_ordinary(&path, &what, "serverEnv", name),
                }
            }
        }
        for (index, network) in spec.server.allowed_upstream_networks.iter().enumerate() {
            if !self.policy.grants_network(author, network) {
                let (path, what) =
                    (format!("spec.server.allowedUpstreamNetworks[{index}]"), format!("network {network}"));
                self.refuse_ordinary(&path, &what, "upstreamNetworks", network);
            }
        }
        for (path, reference) in references(spec) {
            if let Some(message) = reference.variable().and_then(|name| self.policy.refuses_variable(author, name)) {
                self.say(&path, message);
            }
        }
    }

    fn storage(&mut self) {
        let Subject { author, key, spec, platform, .. } = *self.subject;
        // In a cluster the claims of a name are of one namespace. The volumes of an engine may have
        // been made from another directory.
        let own = match author {
            Author::Namespace(_) => ["data", "backups"].map(|place| format!("mai-{}-{place}", key.1)).to_vec(),
            Author::Folder(_) => Vec::new(),
        };
        let storage = &spec.storage;
        for (field, volume) in [("data", &storage.data), ("backups", &storage.backups)] {
            if let Some(path) = &volume.host_path {
                self.directory(&format!("spec.storage.{field}.hostPath"), path);
            }
            if let Some(name) = volume.volume_name.as_ref().filter(|name| !own.contains(name))
                && !self.policy.grants(author, |lists| &lists.volumes, name)
            {
                let (path, what) = (format!("spec.storage.{field}.volumeName"), format!("volume {name}"));
                // Volumes with such a name were made for an instance.
                match name.starts_with("mai-") && (name.ends_with("-data") || name.ends_with("-backups")) {
                    true => self.refuse(&path, &what, "volumes", name),
                    false => self.refuse_ordinary(&path, &what, "volumes", name),
                }
            }
        }
        let data = storage.data.host_path.as_ref().and_then(|path| resolve(Path::new(path)));
        let backups = storage.backups.host_path.as_ref().and_then(|path| resolve(Path::new(path)));
        if platform == Some(PlatformKind::Docker)
            && let Some((data, backups)) = data.zip(backups)
            && data != backups
            && overlap(&data, &backups)
        {
            let message = "lies within the other of data and backups, so the server could replace it by a link to any place; name a directory beside it";
            self.say("spec.storage.backups.hostPath", message.to_owned());
        }
    }

    fn backup(&mut self) {
        let Subject { author, key, spec, claims, .. } = *self.subject;
        let (namespace, name) = key;
        let is_sibling = |other: &str| match author {
            Author::Namespace(_) => true,
            Author::Folder(folder) => other == name || claims.is_of(&(namespace.clone(), other.to_owned()), folder),
        };
        for (index, destination) in spec.backup.iter().flat_map(|backup| &backup.destinations).enumerate() {
            if let Some(local) = &destination.local {
                self.directory(&format!("spec.backup.destinations[{index}].local.path"), &local.path);
            }
        }
        let Some(source) = &spec.restore_from else { return };
        if let Some(other) = source.instance.as_ref().filter(|other| !is_sibling(other))
            && !self.policy.grants(author, |lists| &lists.restores, other)
        {
            self.refuse("spec.restoreFrom.instance", &format!("a backup of {other}"), "restores", other);
        }
        if let Some(file) = source.file.as_ref().filter(|file| !is_own_file(namespace, file, is_sibling))
            && !self.policy.grants(author, |lists| &lists.restores, file)
        {
            self.refuse_ordinary("spec.restoreFrom.file", &format!("file {file}"), "restores", file);
        }
    }

    fn exposure(&mut self) {
        let Subject { author, key, spec, platform, claims } = *self.subject;
        let expose = &spec.expose;
        if let Author::Folder(folder) = author {
            for Finding { path, message } in claims.exposure_findings(key, folder, expose) {
                self.say(&path, message);
            }
        }
        for (index, network) in expose.networks.iter().enumerate() {
            if !self.policy.grants(author, |lists| &lists.networks, network) {
                let path = format!("spec.expose.networks[{index}]");
                self.refuse_ordinary(&path, &format!("network {network}"), "networks", network);
            }
        }
        // Those of a Service mean nothing to a cluster; programs read those of a container.
        for label in expose.labels.keys().filter(|_| platform != Some(PlatformKind::Kubernetes)) {
            if !self.policy.grants(author, |lists| &lists.labels, label) {
                let path = format!("spec.expose.labels.{label}");
                self.refuse_ordinary(&path, &format!("label {label}"), "labels", label);
            }
        }
        for annotation in expose.ingress.iter().flat_map(|ingress| ingress.annotations.keys()) {
            if !defaults::allows_annotation(annotation)
                && !self.policy.grants(author, |lists| &lists.ingress_annotations, annotation)
            {
                let path = format!("spec.expose.ingress.annotations.{annotation}");
                self.refuse_ordinary(&path, &format!("annotation {annotation}"), "ingressAnnotations", annotation);
            }
        }
    }

    /// Checks a directory of the host.
    fn directory(&mut self, field: &str, declared: &str) {
        let Subject { author, key, claims, .. } = *self.subject;
        let Some(path) = resolve(Path::new(declared)) else {
            let message =
                format!("{declared} cannot be followed to its end, as it may lead anywhere; correct its links");
            return self.say(field, message);
        };
        if let Author::Folder(folder) = author
            && let Some(problem) = claims.problem(key, folder, &path)
        {
            let folder = if folder.is_empty() { "the directory itself".to_owned() } else { format!("folder {folder}") };
            let message =
                format!("{declared} is refused for a document of {folder}: {problem}; name another directory");
            return self.say(field, message);
        }
        let Some(base) = self.base_of(&path) else {
            let what = match Path::new(declared) == path {
                true => declared.to_owned(),
                false => format!("{declared} leads to {}, which", path.display()),
            };
            return self.refuse(field, &what, "paths", &path.display().to_string());
        };
        if let Some(planted) = writable_between(&base, &path) {
            let message = format!(
                "{declared} is refused: others than mai may write {}, and so replace what is in it by a link to any place; name a directory beside it, or add `{}` to `paths` of the policy {}",
                planted.display(),
                path.display(),
                self.policy.shown
            );
            self.say(field, message);
        }
    }

    /// Returns the directory by which a path is allowed.
    fn base_of(&self, path: &Path) -> Option<PathBuf> {
        let policy = self.policy;
        let lists = policy.entries(self.subject.author).map(|(_, lists)| lists).chain([&policy.document.lists]);
        let granted = lists.flat_map(|lists| &lists.paths).filter_map(|base| resolve(Path::new(base)));
        // The nearest one is whose directories above the path are looked at.
        let granted = granted.filter(|base| path.starts_with(base)).max_by_key(|base| base.components().count());
        let shared = || resolve(Path::new(defaults::BASE)).filter(|base| path != base && path.starts_with(base));
        granted.or_else(shared).or_else(|| self.own_place().into_iter().find(|base| path.starts_with(base)))
    }

    /// Returns the places of the instance in the state directory.
    fn own_place(&self) -> Vec<PathBuf> {
        let (namespace, name) = self.subject.key;
        let state_dir = self.policy.state_dir.as_deref().and_then(resolve);
        let home = state_dir.map(|state_dir| state_dir.join("instances").join(kept_name(namespace, name)));
        home.iter().flat_map(|home| ["data", "backups"].map(|place| home.join(place))).collect()
    }
}

/// Returns all references to secrets of a spec, with their paths.
fn references(spec: &MaiInstanceSpec) -> Vec<(String, SecretRef)> {
    let mut references = Vec::new();
    collect_references(&serde_json::json!(spec), "spec", &mut references);
    references
}

/// Adds all references to secrets at or below a value.
pub(crate) fn collect_references(value: &Value, path: &str, references: &mut Vec<(String, SecretRef)>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = format!("{path}.{key}");
                match serde_json::from_value::<SecretRef>(value.clone()) {
                    Ok(reference) if key.ends_with("Ref") => references.push((path, reference)),
                    _ => collect_references(value, &path, references),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_references(item, &format!("{path}[{index}]"), references);
            }
        }
        _ => {}
    }
}
