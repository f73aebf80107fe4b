//! The `MaiInstance` document: types, defaults, rules and conditions. No I/O, no clients.
