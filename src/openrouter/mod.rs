//! Typed client of the upstream (OpenRouter or anything that speaks its dialect), and a mock of it.
