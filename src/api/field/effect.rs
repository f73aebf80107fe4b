//! The types of the table.

use strum::{Display, EnumIter};

/// Platform that runs instances.
#[derive(Display, EnumIter, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlatformKind {
    /// Child processes of `mai compose`.
    #[strum(to_string = "the process runtime")]
    Process,
    /// Containers of a Docker Engine or of Podman.
    #[strum(to_string = "the Docker runtime")]
    Docker,
    /// Objects of a cluster.
    Kubernetes,
}

/// Effect of a field on one platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It takes effect as the sentence says.
    Active(&'static str),
    /// It has no effect on this platform and is refused there.
    Unsupported(Refusal),
}

/// Explanation of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Behaviour of the platform, as a clause.
    pub cause: &'static str,
    /// Remedy for the author of the document, as a clause.
    pub remedy: &'static str,
}

/// Row of the table: a leaf of the schema and its effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Path, such as `spec.expose.port`; items of a list are `[]`, values of a map `.*`.
    pub path: &'static str,
    /// Effect where servers are processes.
    pub process: Effect,
    /// Effect where servers are containers of an engine.
    pub docker: Effect,
    /// Effect in a cluster.
    pub kubernetes: Effect,
}

impl Field {
    /// Returns the effect on a platform.
    pub fn on(&self, platform: PlatformKind) -> Effect {
        match platform {
            PlatformKind::Process => self.process,
            PlatformKind::Docker => self.docker,
            PlatformKind::Kubernetes => self.kubernetes,
        }
    }

    /// Returns whether the field stands at `prefix` or below it.
    pub(super) fn is_within(&self, prefix: &str) -> bool {
        self.path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

impl Effect {
    /// Returns the sentence with which the field at `path` is refused on `platform`; nothing for a
    /// field that takes effect.
    pub(super) fn sentence(self, path: &str, platform: Option<PlatformKind>) -> Option<String> {
        let name = path.strip_prefix("spec.").unwrap_or(path);
        match (self, platform) {
            (Self::Unsupported(Refusal { cause, remedy }), Some(platform)) => {
                Some(format!("{name} has no effect on {platform}: {cause}; {remedy}"))
            }
            (Self::Unsupported(_), None) | (Self::Active(_), _) => None,
        }
    }
}
