//! Tables for a terminal: columns with spaces between them, no lines, and nothing behind the last word of a row.

use comfy_table::{Row, Table, presets};

/// An empty table.
pub(in crate::cli) fn table(header: impl Into<Row>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}

/// As it is printed.
pub(in crate::cli) fn text(table: &Table) -> String {
    format!("{}\n", table.trim_fmt())
}
