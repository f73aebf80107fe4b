//! The table that is printed.

/// Rows, each a measured figure beside what it is compared with and what was promised.
pub struct Report<'a> {
    only: &'a str,
    rows: Vec<[String; 5]>,
}

impl<'a> Report<'a> {
    /// A report of the rows whose name begins with `only`.
    pub fn new(only: &'a str) -> Self {
        Self { only, rows: Vec::new() }
    }

    /// Whether a row, or any row of a group, is wanted.
    pub fn wants(&self, name: &str) -> bool {
        name.starts_with(self.only) || self.only.starts_with(name)
    }

    /// Adds a row; `kept` says whether the promise was.
    pub fn add(&mut self, name: &str, baseline: String, ours: String, promise: &str, kept: bool) {
        let verdict = if kept { "yes" } else { "NO" };
        eprintln!("{name}: {baseline} | {ours} | {promise} | {verdict}");
        self.rows.push([name.to_owned(), baseline, ours, promise.to_owned(), verdict.to_owned()]);
    }

    /// Prints the table as Markdown.
    pub fn print(&self) {
        println!("| measured | beside | ours | promised | kept |");
        println!("|---|---|---|---|---|");
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
    }
}
