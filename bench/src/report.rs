//! The printed table.

/// Rows: a measured figure, its baseline and the promised limit.
pub struct Report<'a> {
    only: &'a str,
    rows: Vec<[String; 5]>,
}

impl<'a> Report<'a> {
    /// Returns an empty report of the rows whose name begins with `only`.
    pub fn new(only: &'a str) -> Self {
        Self { only, rows: Vec::new() }
    }

    /// Returns true when a row, or any row of a group, was asked for.
    pub fn wants(&self, name: &str) -> bool {
        name.starts_with(self.only) || self.only.starts_with(name)
    }

    /// Adds a row; `kept` is true when the figure is within its limit.
    pub fn add(&mut self, name: &str, baseline: String, ours: String, promise: &str, kept: bool) {
        let verdict = if kept { "yes" } else { "NO" };
        eprintln!("{name}: {baseline} | {ours} | {promise} | {verdict}");
        self.rows.push([name.to_owned(), baseline, ours, promise.to_owned(), verdict.to_owned()]);
    }

    /// Prints the table as Markdown.
    pub fn print(&self) {
        println!("| measured | baseline | mai | limit | met |");
        println!("|---|---|---|---|---|");
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
    }
}
