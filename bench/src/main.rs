//! Measures what the project promises about speed and size, each figure as a ratio taken in one run.

fn main() {}
