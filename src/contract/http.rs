//! The HTTP face of a server that the reconciler knows.

/// Port inside a container or pod.
pub const PORT: u16 = 8080;
/// Answers 200 while the process lives; touches nothing.
pub const HEALTH_PATH: &str = "/health";
/// Answers 200 while the server can serve people.
pub const READY_PATH: &str = "/ready";
/// Response header of both paths with the version of the program.
pub const VERSION_HEADER: &str = "x-mai-version";
/// Answers with [`Counts`](crate::Counts) to the reconciler alone, which sends its
/// [`InternalToken`](crate::InternalToken) as a bearer. 401 to everybody else; 404 by an image that
/// has no counts.
pub const COUNTS_PATH: &str = "/internal/counts";
/// Answers the reconciler with [`BilledDays`](crate::BilledDays), for a comparison with the bill of the
/// upstream.
pub const BILLED_DAYS_PATH: &str = "/internal/billed-days";
/// Answers the provider with the statement of a closed month, which follows it: `/2026-11`.
pub const STATEMENTS_PATH: &str = "/internal/statements";
