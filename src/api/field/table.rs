//! The table itself, in the order of the documentation.

use super::effect::Effect::{Active, Pending, Unsupported};
use super::effect::{Effect, Field, Refusal};

/// Every leaf of the schema of a `MaiInstance`.
pub const FIELDS: &[Field] = &[
    all("spec.displayName", "Name of the instance in its pages (`WEBUI_NAME`)."),
    engines(
        "spec.image",
        OWN_BINARY,
        "Image of the container; another one replaces the container.",
        "Image of the pod; another one replaces the pod.",
    ),
    engines(
        "spec.imagePullPolicy",
        OWN_BINARY,
        "When the engine pulls the image; `Always` checks every ten minutes whether the tag has moved.",
        "Pull policy of the container; `Always` pulls at each start of a pod.",
    ),
    engines(
        "spec.imagePullSecrets[]",
        OWN_BINARY,
        "Logins with which the image is pulled.",
        "Pull secrets of the pod.",
    ),
    Field {
        path: "spec.suspend",
        process: Active("Stops the server; data stays."),
        docker: Active("Stops the container; data stays."),
        kubernetes: Active("Scales the Deployment to nothing; claims and Service stay."),
    },
    Field {
        path: "spec.deletionPolicy",
        process: Active(
            "`Delete` removes data and backups with the document. `Snapshot` removes the data alone, after a last backup of it was verified; what `spec.storage.data` names stays.",
        ),
        docker: Active(
            "`Delete` removes the volumes that were made for the instance with the document. `Snapshot` removes that of the data alone, after a last backup of it was verified.",
        ),
        kubernetes: Active(
            "`Delete` removes the claims that were made for the instance with the document. `Snapshot` removes that of the data alone, after a last backup of it was verified.",
        ),
    },
    Field {
        path: "spec.server.kind",
        process: Active(
            "`Mai` is run; the other kinds need an image and block the instance with `UnsupportedByRuntime`.",
        ),
        docker: Active("Environment, health path and confinement that suit the program in the image."),
        kubernetes: Active("Environment and health path that suit the program in the image."),
    },
    all("spec.server.environment", "`ENV` of the server."),
    all(
        "spec.server.locale",
        "Language of people who have not chosen one (`DEFAULT_LOCALE`); without it the browser decides.",
    ),
    all("spec.server.env[].name", "Name of a further environment variable of the server."),
    all("spec.server.env[].value", "Its value."),
    all("spec.server.env[].secretRef.name", "Secret with its value."),
    all("spec.server.env[].secretRef.key", "Key of that Secret."),
    all(
        "spec.server.secretKeyRef.name",
        "Secret with the key that signs sessions; without it one is generated and kept outside the data.",
    ),
    all("spec.server.secretKeyRef.key", "Key of that Secret."),
    all("spec.access.signup", "Who may register."),
    all("spec.access.maxUsers", "Most accounts. Open WebUI has no such limit, so only the default is accepted for it."),
    all(
        "spec.access.admin.email",
        "E-mail address of the administrator that the server creates while it has no accounts.",
    ),
    all("spec.access.admin.name", "Name of that administrator."),
    all("spec.access.admin.passwordSecretRef.name", "Secret with the first password of that administrator."),
    all("spec.access.admin.passwordSecretRef.key", "Key of that Secret."),
    all("spec.openRouter.baseUrl", "Upstream that the server calls; not called while `mock` is true."),
    all(
        "spec.openRouter.apiKeySecretRef.name",
        "Secret with the key of the upstream; without it the administrator enters one in the pages.",
    ),
    all("spec.openRouter.apiKeySecretRef.key", "Key of that Secret."),
    pending("spec.openRouter.managementKeySecretRef.name", NO_KEYS),
    pending("spec.openRouter.managementKeySecretRef.key", NO_KEYS),
    all("spec.openRouter.models[]", "Models that people may use; without any all of the upstream."),
    pending(
        "spec.openRouter.monthlyLimitUsd",
        Refusal { cause: "spending is not limited", remedy: "remove it, and limit the key at the upstream" },
    ),
    pending(
        "spec.openRouter.markup",
        Refusal {
            cause: "clients see what the upstream charges",
            remedy: "remove it, and add the markup to your own bills",
        },
    ),
    all("spec.openRouter.mock", "Answers from a mock inside the server."),
    all("spec.ollama.baseUrl", "Ollama that the server calls, in addition to the upstream or instead of it."),
    Field {
        path: "spec.storage.data.size",
        process: Unsupported(NO_SIZE),
        docker: Unsupported(NO_SIZE),
        kubernetes: Active("Requested size of the claim, 10Gi unless set; a larger one expands the claim."),
    },
    directory("spec.storage.data.hostPath", "Directory of the data.", NODE_PATH),
    volume(
        "spec.storage.data.volumeName",
        "Existing volume that holds the data.",
        "Existing claim that holds the data.",
    ),
    cluster("spec.storage.data.storageClassName", NO_CLASS, "Storage class of the claim."),
    Field {
        path: "spec.storage.backups.size",
        process: Unsupported(NO_SIZE),
        docker: Unsupported(NO_SIZE),
        kubernetes: Active("Requested size of the claim, 20Gi unless set; a larger one expands the claim."),
    },
    directory("spec.storage.backups.hostPath", "Directory of the backups.", NODE_PATH),
    volume(
        "spec.storage.backups.volumeName",
        "Existing volume that holds the backups.",
        "Existing claim that holds the backups.",
    ),
    cluster("spec.storage.backups.storageClassName", NO_CLASS, "Storage class of the claim."),
    engines(
        "spec.resources.requests.cpu",
        NOTHING_RESERVED,
        "Share of the processors while they are all busy (CPU shares).",
        "CPU request of the pod.",
    ),
    engines(
        "spec.resources.requests.memory",
        NOTHING_RESERVED,
        "Memory that the engine spares while memory is short (reservation).",
        "Memory request of the pod.",
    ),
    Field {
        path: "spec.resources.limits.cpu",
        process: Active(
            "CPU limit of the server's control group; without permission for one (root, or a delegated group) CPU is not limited.",
        ),
        docker: Active("CPU limit of the container, changed without a restart."),
        kubernetes: Active("CPU limit of the pod."),
    },
    Field {
        path: "spec.resources.limits.memory",
        process: Active(
            "Memory limit of the server's control group; without permission for one, limit of its private memory.",
        ),
        docker: Active("Memory limit of the container, changed without a restart."),
        kubernetes: Active("Memory limit of the pod."),
    },
    Field {
        path: "spec.expose.host",
        process: Active("Host name in the address that `mai status` shows; a reverse proxy in front serves it."),
        docker: Active("Host name in the address that `mai status` shows; a reverse proxy in front serves it."),
        kubernetes: Active("Host name of the Ingress or HTTPRoute, and in the address of the status."),
    },
    Field {
        path: "spec.expose.port",
        process: Active("Port on which the server listens; required."),
        docker: Active("Port at which the container is published; required."),
        kubernetes: Unsupported(SERVICE_PORT),
    },
    Field {
        path: "spec.expose.address",
        process: Active("Address on which the server listens, 127.0.0.1 unless set."),
        docker: Active("Address at which the container is published, 127.0.0.1 unless set."),
        kubernetes: Unsupported(SERVICE_PORT),
    },
    Field {
        path: "spec.expose.networks[]",
        process: Unsupported(Refusal {
            cause: "a process uses the network of its server",
            remedy: "remove it, or use the Docker runtime",
        }),
        docker: Active("Existing networks that the container joins."),
        kubernetes: Unsupported(Refusal {
            cause: "a pod has the network of the cluster",
            remedy: "remove it; the NetworkPolicy of the instance limits who may reach it",
        }),
    },
    engines(
        "spec.expose.labels.*",
        Refusal { cause: "a process has no labels", remedy: "remove it, or use the Docker runtime" },
        "Label of the container.",
        "Label of the Service.",
    ),
    cluster("spec.expose.ingress.className", NO_INGRESS, "Class of the Ingress."),
    cluster(
        "spec.expose.ingress.tlsSecretName",
        NO_INGRESS,
        "Certificate of the Ingress; without it the address is http.",
    ),
    cluster("spec.expose.ingress.clusterIssuer", NO_INGRESS, "Issuer that cert-manager asks for the certificate."),
    cluster("spec.expose.ingress.annotations.*", NO_INGRESS, "Annotation of the Ingress."),
    cluster("spec.expose.gateway.name", NO_INGRESS, "Gateway of the HTTPRoute."),
    cluster("spec.expose.gateway.namespace", NO_INGRESS, "Namespace of that Gateway, the instance's own unless set."),
    cluster("spec.expose.gateway.sectionName", NO_INGRESS, "Listener of that Gateway."),
    probed("spec.health.path", "Path that is probed.", "Path of the startup and readiness probes."),
    probed(
        "spec.health.interval",
        "Time between two probes of a ready server.",
        "Period of the readiness and liveness probes.",
    ),
    probed("spec.health.timeout", "Time that a probe may take.", "Timeout of the probes."),
    probed(
        "spec.health.retries",
        "Failed probes after which the server is restarted.",
        "Failure threshold of the readiness and liveness probes.",
    ),
    probed(
        "spec.health.startPeriod",
        "Time that a start may take before it counts as failed.",
        "Time that the startup probe allows.",
    ),
    all(
        "spec.backup.schedule",
        "When backups are made. A missed one is made up for once. The server keeps running meanwhile.",
    ),
    all("spec.backup.timeZone", "Time zone of the schedule, and of the days, weeks and months of retention."),
    all("spec.backup.retention.keepLast", KEPT),
    all("spec.backup.retention.keepHourly", KEPT),
    all("spec.backup.retention.keepDaily", KEPT),
    all("spec.backup.retention.keepWeekly", KEPT),
    all("spec.backup.retention.keepMonthly", KEPT),
    all("spec.backup.retention.keepYearly", KEPT),
    all(
        "spec.backup.destinations[].name",
        "Name in status, metrics and commands. Each backup is also stored there, and checked by itself.",
    ),
    all("spec.backup.destinations[].s3.bucket", "Bucket. Backups of an instance are below `PREFIX/NAMESPACE/NAME`."),
    all("spec.backup.destinations[].s3.endpoint", "URL of the service; without it that of AWS."),
    all("spec.backup.destinations[].s3.region", "Region of the bucket."),
    all("spec.backup.destinations[].s3.prefix", "Prefix of every object."),
    all(
        "spec.backup.destinations[].s3.pathStyle",
        "The bucket is in the path and not in the host name: true unless set where `endpoint` is.",
    ),
    all(
        "spec.backup.destinations[].s3.accessKeyIdRef.name",
        "Secret with the access key id. Only backup jobs get it, never the server.",
    ),
    all("spec.backup.destinations[].s3.accessKeyIdRef.key", KEY_OF_SECRET),
    all(
        "spec.backup.destinations[].s3.secretAccessKeyRef.name",
        "Secret with the secret access key. Only backup jobs get it, never the server.",
    ),
    all("spec.backup.destinations[].s3.secretAccessKeyRef.key", KEY_OF_SECRET),
    all(
        "spec.backup.destinations[].s3.caSecretRef.name",
        "Secret with the certificates (PEM) of the authority that signed the endpoint's. No other authority is trusted then.",
    ),
    all("spec.backup.destinations[].s3.caSecretRef.key", KEY_OF_SECRET),
    directory(
        "spec.backup.destinations[].local.path",
        "Directory; backups of an instance are below `NAMESPACE/NAME` in it.",
        JOB_ON_ANY_NODE,
    ),
    all("spec.backup.destinations[].retention.keepLast", KEPT_THERE),
    all("spec.backup.destinations[].retention.keepHourly", KEPT_THERE),
    all("spec.backup.destinations[].retention.keepDaily", KEPT_THERE),
    all("spec.backup.destinations[].retention.keepWeekly", KEPT_THERE),
    all("spec.backup.destinations[].retention.keepMonthly", KEPT_THERE),
    all("spec.backup.destinations[].retention.keepYearly", KEPT_THERE),
    all(
        "spec.backup.destinations[].pruning",
        "`Mai` removes what retention no longer keeps; `Store` leaves that to lifecycle rules of the store.",
    ),
    all(
        "spec.backup.encryption.recipients[]",
        "age public keys the archives are encrypted to. Any one of their identities opens them.",
    ),
    all(
        "spec.backup.encryption.identitySecretRef.name",
        "Secret with an identity of one of them, which backup jobs get to check what they stored; without it archives are checked up to the encryption, which `BackupIntact` says.",
    ),
    all("spec.backup.encryption.identitySecretRef.key", KEY_OF_SECRET),
    all(
        "spec.backup.drill",
        "When a random verified backup is brought back into a throw-away instance, checked, and removed again; `Never` leaves that to `mai drill`.",
    ),
    all(
        "spec.restoreFrom.destination",
        "Destination of the backup from which a new instance gets its data before its first start: a name of `backup.destinations`, or `backups`, the backups volume. Read once; it may be removed afterwards, and cannot be added or changed.",
    ),
    all(
        "spec.restoreFrom.instance",
        "Another instance of the namespace whose backup it is; that of its own name unless set.",
    ),
    all("spec.restoreFrom.backup", "Its id; without id, time and file the newest verified one."),
    all("spec.restoreFrom.time", "Time: the newest backup that was not taken after it."),
    all(
        "spec.restoreFrom.file",
        "Its file by the path below the destination: an archive of mai, or a data directory packed with `tar`.",
    ),
    all(
        "spec.restoreFrom.identitySecretRef.name",
        "Secret with the identity that opens it; without it that of `backup.encryption`. Only the job gets it, never the server.",
    ),
    all("spec.restoreFrom.identitySecretRef.key", KEY_OF_SECRET),
    upgrades(
        "spec.upgrade.backupFirst",
        "Whether the data is backed up, into the backups volume, before another image gets it: true unless set. The upgrade waits until that backup is verified.",
    ),
    upgrades(
        "spec.upgrade.rollback",
        "Whether the former image returns, with the data of the backup, if another one does not become ready or does not stay so: true unless set.",
    ),
    upgrades(
        "spec.upgrade.settle",
        "Time that another image has to be ready without a break until the upgrade is completed, 2m unless set; until then the former one is kept.",
    ),
    upgrades("spec.upgrade.window.days[]", "Days on which the window opens; every day without any."),
    upgrades(
        "spec.upgrade.window.start",
        "Local time at which it opens. A running server gets another image only then.",
    ),
    upgrades("spec.upgrade.window.duration", "Time that it stays open. What has begun is carried on after it."),
    upgrades("spec.upgrade.window.timeZone", "Time zone of its days and its start."),
    all("status.observedGeneration", "Generation of the document that the status describes."),
    all("status.conditions[].type", "Type of a condition; [conditions](conditions.md) explains each."),
    all("status.conditions[].status", "`True`, `False` or `Unknown`."),
    all("status.conditions[].reason", "Reason, of a closed set."),
    all("status.conditions[].message", "Explanation with the remedy."),
    all("status.conditions[].lastTransitionTime", "Time at which the status of the condition changed."),
    all("status.conditions[].observedGeneration", "Generation of the document that the condition describes."),
    all("status.address", "Where people open the instance."),
    all("status.version", "Version of the server that was ready last."),
    all("status.restarts", "Ends or failed probes of the server in a row."),
    Field {
        path: "status.rejected.hash",
        process: Active("Never set: a process is not rolled back."),
        docker: Active(REJECTED),
        kubernetes: Active(REJECTED),
    },
    Field {
        path: "status.rejected.why",
        process: Active("Never set: a process is not rolled back."),
        docker: Active(REJECTED_WHY),
        kubernetes: Active(REJECTED_WHY),
    },
    upgrades("status.image", "Image of the server that was ready last, with its id where that is known."),
    upgrades("status.upgrade.from", "Image before the newest change of it, with its id where that is known."),
    upgrades("status.upgrade.to", "Image that was declared then."),
    upgrades(
        "status.upgrade.step",
        "`WaitingForWindow`, `WaitingForCanary`, `Halted` or `BreakerOpen` before it begins; `BackingUp`, `Replacing`, `Settling`, `ReturningData`; `Completed`, `RolledBack` or `Failed` at its end.",
    ),
    upgrades("status.upgrade.job", "Id of the job that makes its backup."),
    upgrades("status.upgrade.backup", "Id of the verified backup that was made before it, in the backups volume."),
    upgrades("status.upgrade.startedAt", "Time at which it began."),
    upgrades("status.upgrade.stepSince", "Time at which the present step began."),
    upgrades("status.upgrade.endedAt", "Time at which it ended."),
    upgrades("status.upgrade.failures", "Failed attempts with this image in a row; after two it is not tried again."),
    upgrades("status.upgrade.backupFailures", "Failed attempts to make its backup in a row."),
    upgrades("status.upgrade.haltedGeneration", "Generation since which the failure of another instance holds it up."),
    upgrades("status.upgrade.forced", "Whether the annotation `mai.dev/upgrade-now` began it."),
    upgrades("status.upgrade.message", "Cause of the wait or of the end."),
    upgrades("status.upgrade.completed.from", "Image before the last change of it that was completed."),
    upgrades("status.upgrade.completed.to", "Image after that."),
    upgrades("status.upgrade.completed.backup", "Id of the backup that was made before that, in the backups volume."),
    upgrades("status.upgrade.completed.at", "Time at which that was completed."),
    all("status.backup.lastDue", "Due time or request that was handled last."),
    all("status.backup.last.id", "Id of the newest backup, also while it is made and if it failed."),
    all("status.backup.last.startedAt", "Time at which it was started."),
    all("status.backup.last.endedAt", "Time at which it ended."),
    all(
        "status.backup.last.result",
        "`Running`, `Verified`, `Unverified` (not checked in each destination) or `Failed`.",
    ),
    all("status.backup.last.message", "Reason of the backup while it is made, then what came of it."),
    all(
        "status.backup.lastSuccess",
        "End of the last backup that was verified in each destination, or read back as far as the declared identity allows.",
    ),
    all("status.backup.lastVerified", "Moment of the data in the newest backup that was verified in any destination."),
    all("status.backup.bytes", "Bytes of the newest archive."),
    all("status.backup.dataBytes", "Bytes of the files in it."),
    all("status.backup.seconds", "Seconds that it took, verification included."),
    all("status.backup.next", "Next due time, or next attempt after a failure."),
    all("status.backup.beforeDeletion", "Id of the last backup before a deletion with the policy `Snapshot`."),
    all("status.backup.failures", "Failures in a row."),
    all("status.backup.destinations[].name", "Name of a destination; `backups` is the backups volume."),
    all("status.backup.destinations[].lastVerified", "Moment of the data in the newest verified backup there."),
    all("status.backup.destinations[].result", "`Verified`, `Stored` (checked in part) or `Failed`."),
    all("status.backup.destinations[].message", "Problem of the destination."),
    all("status.backup.destinations[].kept", "Number of backups there."),
    all("status.backup.drill.lastDue", "Due time or request of a drill that was handled last."),
    all("status.backup.drill.last.id", "Id of the newest drill, also while it runs and if it failed."),
    all("status.backup.drill.last.startedAt", "Time at which it was started."),
    all("status.backup.drill.last.endedAt", "Time at which it ended."),
    all("status.backup.drill.last.result", "`Running`, `Passed` or `Failed`."),
    all("status.backup.drill.last.message", "Reason of the drill while it runs, then its problem."),
    all("status.backup.drill.passed.id", "Id of the newest drill that was passed."),
    all("status.backup.drill.passed.at", "Time at which it ended."),
    all("status.backup.drill.passed.backup", "Id of the backup that was brought back."),
    all("status.backup.drill.passed.destination", "Destination that it was read from."),
    all("status.backup.drill.passed.takenAt", "Moment of the data in it."),
    all("status.backup.drill.passed.encrypted", "Whether the archive is encrypted, and was opened with the identity."),
    all("status.backup.drill.passed.bytes", "Bytes of the archive."),
    all("status.backup.drill.passed.dataBytes", "Bytes of its files, which were compared one by one."),
    all("status.backup.drill.passed.files", "Number of its files."),
    all("status.backup.drill.passed.databases", "Number of its databases, each of which was checked."),
    all("status.backup.drill.passed.rows", "Number of rows in their tables, which were counted again."),
    all("status.backup.drill.passed.people", "Number of accounts, where it is known."),
    all("status.backup.drill.passed.chats", "Number of chats, where it is known."),
    all(
        "status.backup.drill.passed.serverVersion",
        "Version of the throw-away server that answered; absent where the server is not mai, so that none was started.",
    ),
    all("status.backup.drill.passed.recoverySeconds", "Seconds until the backup was back and the server was ready."),
    all("status.backup.drill.next", "Next due time of a drill, or next attempt after a failure."),
    all("status.backup.drill.failures", "Drills in a row that failed."),
    all("status.restore.id", "Id of the newest restore."),
    all(
        "status.restore.cause",
        "`Request` (a person asked for it), `NewInstance` (`spec.restoreFrom`) or `Upgrade` (a new image failed).",
    ),
    all(
        "status.restore.step",
        "Step that it is in, or its end: `Completed` or `Failed`. [Restores](backups.md#restores) explains each.",
    ),
    all("status.restore.source.destination", "Destination of the backup that is wanted."),
    all("status.restore.source.instance", "Another instance whose backup it is."),
    all("status.restore.source.backup", "Its id."),
    all("status.restore.source.time", "Time before which it was taken."),
    all("status.restore.source.file", "Its file."),
    all("status.restore.source.identitySecretRef.name", "Secret with the identity that opens it."),
    all("status.restore.source.identitySecretRef.key", "Key of that Secret."),
    all("status.restore.job", "Job of the present step."),
    all("status.restore.backup", "Id of the backup that is restored, once it is known."),
    all("status.restore.takenAt", "Moment of its data."),
    all("status.restore.safetyBackup", "Id of the backup of the data that was there before, in the backups volume."),
    all("status.restore.startedAt", "Time at which it was begun."),
    all("status.restore.stepSince", "Time at which the present step, or the newest attempt at it, began."),
    all("status.restore.failures", "Attempts at the present step that failed."),
    all("status.restore.problem", "Cause of the last of them."),
    all("status.restore.endedAt", "Time at which it ended."),
    all("status.restore.keptUntil", "Time until which the data before it is kept in the data volume."),
    all("status.restore.earlier[].restore", "Earlier restore that still keeps the data before it."),
    all("status.restore.earlier[].until", "Time until which that is kept."),
    all("status.restore.message", "Reason while it runs, then what came of it."),
];

const REJECTED: &str = "Hash of what was rolled back; it is not tried again until something else is declared.";
const KEPT: &str = "Backups kept: the newest of each of the last N periods. The newest verified one is always kept.";
const KEPT_THERE: &str = "The same for this destination; without a retention here, that of `backup.retention` counts.";
const KEY_OF_SECRET: &str = "Key of that Secret.";
const REJECTED_WHY: &str = "Why it was rolled back.";

const OWN_BINARY: Refusal =
    Refusal { cause: "a process runs the program mai itself", remedy: "remove it, or use the Docker runtime" };
const NOTHING_RESERVED: Refusal =
    Refusal { cause: "nothing can be reserved for a process", remedy: "remove it; resources.limits limits the server" };
const NO_SIZE: Refusal = Refusal {
    cause: "the size of directories and volumes of a server is not limited",
    remedy: "remove it; to limit the size, name a directory of a file system of its own in hostPath",
};
const NODE_PATH: Refusal = Refusal {
    cause: "a pod may run on any node, and this is a directory of one",
    remedy: "remove it, or name an existing claim in volumeName",
};
const NO_CLASS: Refusal =
    Refusal { cause: "only a cluster has storage classes", remedy: "remove it; hostPath chooses a directory" };
const SERVICE_PORT: Refusal = Refusal {
    cause: "the Service mai-NAME serves port 8080 inside the cluster",
    remedy: "remove it, and declare expose.host with expose.ingress or expose.gateway for access from outside",
};
const NO_INGRESS: Refusal = Refusal {
    cause: "only a cluster has Ingresses and Gateways",
    remedy: "remove it; a reverse proxy in front of expose.port serves expose.host",
};
const NO_KEYS: Refusal = Refusal {
    cause: "keys are neither created nor rotated",
    remedy: "remove it, and name the client's key in openRouter.apiKeySecretRef",
};
const JOB_ON_ANY_NODE: Refusal = Refusal {
    cause: "a backup job may run on any node, and this is a directory of one",
    remedy: "remove it; the backups volume and s3 work in a cluster",
};

/// One effect on all platforms.
const fn all(path: &'static str, effect: &'static str) -> Field {
    Field { path, process: Active(effect), docker: Active(effect), kubernetes: Active(effect) }
}

/// No effect on any platform yet.
const fn pending(path: &'static str, refusal: Refusal) -> Field {
    let effect: Effect = Pending(refusal);
    Field { path, process: effect, docker: effect, kubernetes: effect }
}

/// Effects of containers that processes do not have.
const fn engines(path: &'static str, process: Refusal, docker: &'static str, kubernetes: &'static str) -> Field {
    Field { path, process: Unsupported(process), docker: Active(docker), kubernetes: Active(kubernetes) }
}

/// One effect where servers are made from images.
const fn upgrades(path: &'static str, effect: &'static str) -> Field {
    engines(path, OWN_BINARY, effect, effect)
}

/// An effect of the cluster alone.
const fn cluster(path: &'static str, elsewhere: Refusal, kubernetes: &'static str) -> Field {
    Field { path, process: Unsupported(elsewhere), docker: Unsupported(elsewhere), kubernetes: Active(kubernetes) }
}

/// An effect of a server with directories of its own.
const fn directory(path: &'static str, effect: &'static str, kubernetes: Refusal) -> Field {
    Field { path, process: Active(effect), docker: Active(effect), kubernetes: Unsupported(kubernetes) }
}

/// A volume that exists already.
const fn volume(path: &'static str, docker: &'static str, kubernetes: &'static str) -> Field {
    let process =
        Refusal { cause: "a process has directories only", remedy: "remove it; hostPath chooses a directory" };
    Field { path, process: Unsupported(process), docker: Active(docker), kubernetes: Active(kubernetes) }
}

/// Probes: by the reconciler on a server, by the kubelet in a cluster.
const fn probed(path: &'static str, server: &'static str, kubernetes: &'static str) -> Field {
    Field { path, process: Active(server), docker: Active(server), kubernetes: Active(kubernetes) }
}
