//! Serves HTTP on a port, with bounds on what its callers may hold: the port of an instance's
//! server, and that of the operator.
//!
//! * [`serve`]: accepts connections and serves them until it is told to stop.
//! * [`Limits`]: the bounds.
//! * `registry`: the connections that are open, and the one that makes room for another.
//! * `phase`: what a connection waits for, and until when; `stream` and `body` tell it.
//! * [`subscriber_network`]: the addresses that count as one caller.
//! * [`raise_file_limit`]: files that the process may have open.
//!
//! A connection that waits for its caller (for the head of a request, for the rest of a body, or
//! for the next request) is closed after a time, and makes room for a new one where there are too
//! many. One that is being answered stays.

mod body;
mod file_limit;
mod limits;
mod phase;
mod registry;
mod serve;
mod stream;
mod subscriber_network;

pub use file_limit::raise_file_limit;
pub use limits::Limits;
pub use serve::serve;
pub use subscriber_network::subscriber_network;
