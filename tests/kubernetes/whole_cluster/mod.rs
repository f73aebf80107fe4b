//! Tests that use the cluster exclusively or reconcile all of it. The name of this module sorts
//! last, so that no other test waits for them.

pub mod chart_permissions_suffice;
mod drained_nodes_release_servers;
mod invalid_objects_affect_no_other;
mod operator_survives_outages;
mod refused_sizes_are_retried;
