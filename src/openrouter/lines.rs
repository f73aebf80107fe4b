//! Lines of an event stream.

use memchr::memchr2;

/// A line longer than this is skipped: no usage chunk comes near it.
const LINE_CAP: usize = 1 << 20;

/// Splits a stream of bytes into lines (LF, CRLF or CR), independent of the pieces it arrives in.
#[derive(Debug, Default)]
pub struct LineSplitter {
    carry: Vec<u8>,
    /// The line being carried went over the cap; it is dropped up to its end.
    oversized: bool,
}

impl LineSplitter {
    /// Calls `each` with every non-empty line that this piece completes.
    pub fn feed(&mut self, piece: &[u8], mut each: impl FnMut(&[u8])) {
        let mut rest = piece;
        while let Some(end) = memchr2(b'\n', b'\r', rest) {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            if self.carry.is_empty() && !self.oversized {
                if !line.is_empty() {
                    each(line);
                }
                continue;
            }
            self.stash(line);
            if !self.oversized {
                each(&self.carry);
            }
            self.carry.clear();
            self.oversized = false;
        }
        self.stash(rest);
    }

    /// The bytes after the last line end.
    pub fn rest(&self) -> &[u8] {
        &self.carry
    }

    fn stash(&mut self, piece: &[u8]) {
        if self.oversized || self.carry.len() + piece.len() > LINE_CAP {
            self.oversized = true;
            self.carry = Vec::new();
        } else {
            self.carry.extend_from_slice(piece);
        }
    }
}

/// The data of an event-stream line, if it is one.
pub fn event_data(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b"data:").map(|data| data.strip_prefix(b" ").unwrap_or(data))
}
