//! Tests that need the cluster for themselves, or look after all of it. By this name they come last, when nobody is left to wait for them.

mod drained;
mod misunderstood;
mod outage;
mod rights;
