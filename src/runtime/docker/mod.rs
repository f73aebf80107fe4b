//! The Docker runtime: each instance is a container, its volumes and its place on a network. All state is in labels.
