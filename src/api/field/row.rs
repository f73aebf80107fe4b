//! The shapes of rows of the table, and the texts that several of them share.

use super::effect::Effect::{Active, Unsupported};
use super::effect::{Field, Refusal};

pub(super) const REJECTED: &str =
    "Hash of what was rolled back; it is not tried again until something else is declared.";
pub(super) const KEPT: &str =
    "Backups kept: the newest of each of the last N periods. The newest verified one is always kept.";
pub(super) const KEPT_THERE: &str =
    "The same for this destination; without a retention here, that of `backup.retention` counts.";
pub(super) const KEY_OF_SECRET: &str = "Key of that Secret.";
pub(super) const REJECTED_WHY: &str = "Why it was rolled back.";

pub(super) const OWN_BINARY: Refusal =
    Refusal { cause: "a process runs the program mai itself", remedy: "remove it, or use the Docker runtime" };
pub(super) const NOTHING_RESERVED: Refusal =
    Refusal { cause: "nothing can be reserved for a process", remedy: "remove it; resources.limits limits the server" };
pub(super) const NO_SIZE: Refusal = Refusal {
    cause: "the size of directories and volumes of a server is not limited",
    remedy: "remove it; to limit the size, name a directory of a file system of its own in hostPath",
};
pub(super) const NODE_PATH: Refusal = Refusal {
    cause: "a pod may run on any node, and this is a directory of one",
    remedy: "remove it, or name an existing claim in volumeName",
};
pub(super) const NO_CLASS: Refusal =
    Refusal { cause: "only a cluster has storage classes", remedy: "remove it; hostPath chooses a directory" };
pub(super) const SERVICE_PORT: Refusal = Refusal {
    cause: "the Service mai-NAME serves port 8080 inside the cluster",
    remedy: "remove it, and declare expose.host with expose.ingress or expose.gateway for access from outside",
};
pub(super) const NO_INGRESS: Refusal = Refusal {
    cause: "only a cluster has Ingresses and Gateways",
    remedy: "remove it; a reverse proxy in front of expose.port serves expose.host",
};
pub(super) const JOB_ON_ANY_NODE: Refusal = Refusal {
    cause: "a backup job may run on any node, and this is a directory of one",
    remedy: "remove it; the backups volume and s3 work in a cluster",
};

/// One effect on all platforms.
pub(super) const fn all(path: &'static str, effect: &'static str) -> Field {
    Field { path, process: Active(effect), docker: Active(effect), kubernetes: Active(effect) }
}

/// Effects of containers that processes do not have.
pub(super) const fn engines(
    path: &'static str,
    process: Refusal,
    docker: &'static str,
    kubernetes: &'static str,
) -> Field {
    Field { path, process: Unsupported(process), docker: Active(docker), kubernetes: Active(kubernetes) }
}

/// One effect where servers are made from images.
pub(super) const fn upgrades(path: &'static str, effect: &'static str) -> Field {
    engines(path, OWN_BINARY, effect, effect)
}

/// An effect of the cluster alone.
pub(super) const fn cluster(path: &'static str, elsewhere: Refusal, kubernetes: &'static str) -> Field {
    Field { path, process: Unsupported(elsewhere), docker: Unsupported(elsewhere), kubernetes: Active(kubernetes) }
}

/// An effect of a server with directories of its own.
pub(super) const fn directory(path: &'static str, effect: &'static str, kubernetes: Refusal) -> Field {
    Field { path, process: Active(effect), docker: Active(effect), kubernetes: Unsupported(kubernetes) }
}

/// A volume that exists already.
pub(super) const fn volume(path: &'static str, docker: &'static str, kubernetes: &'static str) -> Field {
    let process =
        Refusal { cause: "a process has directories only", remedy: "remove it; hostPath chooses a directory" };
    Field { path, process: Unsupported(process), docker: Active(docker), kubernetes: Active(kubernetes) }
}

/// Probes: by the reconciler on a server, by the kubelet in a cluster.
pub(super) const fn probed(path: &'static str, server: &'static str, kubernetes: &'static str) -> Field {
    Field { path, process: Active(server), docker: Active(server), kubernetes: Active(kubernetes) }
}
