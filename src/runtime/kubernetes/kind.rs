//! The kinds of objects that are observed and applied.

use kube::core::{ApiResource, GroupVersionKind};

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Deployment,
    ReplicaSet,
    Pod,
    PersistentVolumeClaim,
    Service,
    /// Made by the cluster for a Service, with its labels.
    EndpointSlice,
    ServiceAccount,
    NetworkPolicy,
    PodDisruptionBudget,
    Ingress,
    HttpRoute,
    /// A job next to a server. Its pods and its other objects are told apart by a label.
    Job,
    /// Applied and read by name, never watched: the permission to list Secrets is one to read them
    /// all.
    Secret,
}

impl Kind {
    /// Every kind that is watched.
    pub(crate) const WATCHED: [Self; 12] = [
        Self::Deployment,
        Self::ReplicaSet,
        Self::Pod,
        Self::PersistentVolumeClaim,
        Self::Service,
        Self::EndpointSlice,
        Self::ServiceAccount,
        Self::NetworkPolicy,
        Self::PodDisruptionBudget,
        Self::Ingress,
        Self::HttpRoute,
        Self::Job,
    ];

    /// Group, version, kind and plural.
    fn parts(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::ReplicaSet => ("apps", "v1", "ReplicaSet", "replicasets"),
            Self::Pod => ("", "v1", "Pod", "pods"),
            Self::PersistentVolumeClaim => ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::EndpointSlice => ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Self::PodDisruptionBudget => ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            Self::Ingress => ("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Self::HttpRoute => ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
            Self::Job => ("batch", "v1", "Job", "jobs"),
            Self::Secret => ("", "v1", "Secret", "secrets"),
        }
    }

    /// Returns its name in documents.
    pub(crate) fn as_str(self) -> &'static str {
        self.parts().2
    }

    /// Returns the resource by which the API server serves it.
    pub(crate) fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.parts();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    /// Returns whether a cluster may lack it.
    pub(crate) fn is_optional(self) -> bool {
        self == Self::HttpRoute
    }

    /// Returns whether servers are reconciled without the permission for it.
    pub(crate) fn is_dispensable(self) -> bool {
        matches!(self, Self::Job | Self::EndpointSlice)
    }

    /// Returns whether it is applied here, and not created by a controller of the cluster.
    pub(super) fn is_applied(self) -> bool {
        !matches!(self, Self::ReplicaSet | Self::Pod | Self::Job | Self::EndpointSlice)
    }
}
