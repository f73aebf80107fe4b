//! Lines of a CSV file (RFC 4180), as spreadsheets read them.

use std::fmt::{Display, Write};

use mai_openrouter::NanoUsd;

/// Tells spreadsheets that a file is UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';
/// A text that begins with one of these would be a formula to a spreadsheet.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A CSV file, or a part of one.
#[derive(Debug, Default)]
pub(crate) struct Csv {
    text: String,
    is_in_line: bool,
}

impl Csv {
    /// The beginning of a file, with a line of names.
    pub(crate) fn with_names(names: &[&str]) -> Self {
        let mut csv = Self { text: String::from(BYTE_ORDER_MARK), is_in_line: false };
        for name in names {
            csv.text(name);
        }
        csv.end_line();
        csv
    }

    /// Adds a text of somebody's. It never counts as a formula.
    pub(crate) fn text(&mut self, text: &str) {
        self.separate();
        let guard = if text.starts_with(FORMULA) { "'" } else { "" };
        if text.contains([',', '"', '\r', '\n', '\t', ';']) {
            self.text.push('"');
            self.text.push_str(guard);
            self.text.push_str(&text.replace('"', "\"\""));
            self.text.push('"');
        } else {
            self.text.push_str(guard);
            self.text.push_str(text);
        }
    }

    /// Adds a number of ours; what is not known is empty.
    pub(crate) fn number(&mut self, number: Option<impl Display>) {
        self.separate();
        if let Some(number) = number {
            // Writing into a text never fails.
            let _ = write!(self.text, "{number}");
        }
    }

    /// Adds an amount in dollars with all its nine places, so that sums of it are exact.
    pub(crate) fn money(&mut self, amount: Option<NanoUsd>) {
        self.number(amount.map(|amount| {
            let sign = if amount < NanoUsd::ZERO { "-" } else { "" };
            let nano = amount.get().unsigned_abs();
            format!("{sign}{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000)
        }));
    }

    pub(crate) fn end_line(&mut self) {
        self.text.push_str("\r\n");
        self.is_in_line = false;
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    fn separate(&mut self) {
        if self.is_in_line {
            self.text.push(',');
        }
        self.is_in_line = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_no_formulas_and_stay_apart() {
        for (text, cell) in [
            ("Anna Nowak", "Anna Nowak"),
            ("Nowak, Anna", "\"Nowak, Anna\""),
            ("a \"b\"", "\"a \"\"b\"\"\""),
            ("=1+1", "'=1+1"),
            ("+48", "'+48"),
            ("-2", "'-2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "\"'\tx\""),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("two\nlines", "\"two\nlines\""),
            ("zażółć", "zażółć"),
        ] {
            let mut csv = Csv::default();
            csv.text(text);
            assert_eq!(csv.into_text(), cell);
        }
    }

    #[test]
    fn money_keeps_each_nano_dollar() {
        let mut csv = Csv::with_names(&["a", "b"]);
        for amount in [Some(1), Some(-2_500_000_000), Some(0), None] {
            csv.money(amount.map(NanoUsd::new));
        }
        csv.end_line();
        assert_eq!(csv.into_text(), "\u{feff}a,b\r\n0.000000001,-2.500000000,0.000000000,\r\n");
    }
}
