//! Tables for a terminal: columns with spaces between them, no lines, and nothing behind the last
//! word of a row.

use comfy_table::{Row, Table, presets};

/// Returns an empty table.
pub(in crate::cli) fn table(header: impl Into<Row>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}

/// Returns the text of a table.
pub(in crate::cli) fn text(table: &Table) -> String {
    format!("{}\n", table.trim_fmt())
}
