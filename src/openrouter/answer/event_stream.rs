//! Events of an event stream, independent of the pieces it arrives in and of how strictly its
//! sender keeps to the format.

use memchr::memchr2;

/// A line, or the lines of one event together, longer than this are left out: no chunk of text
/// comes near it.
const EVENT_CAP: usize = 1 << 20;

/// Splits a stream of bytes into the data of its events.
///
/// Lines end with LF, CRLF or CR. Data that is complete in its first line is passed on at once, so
/// events need no blank line between them; otherwise the lines of an event are joined, as the
/// format has it. A line that is bare JSON counts as data.
#[derive(Debug, Default)]
pub(super) struct EventSplitter {
    /// A line that is not complete yet.
    carry: Vec<u8>,
    /// The line being carried is over the cap; it is dropped up to its end.
    oversized: bool,
    /// The last byte was a CR, so that an LF does not end another line.
    after_cr: bool,
    /// True once something was left out.
    has_left_out: bool,
    event: Event,
}

/// The event that is being read.
#[derive(Debug, Default)]
struct Event {
    is_error: bool,
    /// Data of lines that were not understood alone.
    data: Vec<u8>,
    has_left_out: bool,
}

impl EventSplitter {
    /// Calls `read` with the data of the events that this piece completes, and true for an event
    /// called `error`. `read` returns false for data that is not understood.
    pub(super) fn feed(&mut self, piece: &[u8], mut read: impl FnMut(&[u8], bool) -> bool) {
        let mut rest = piece;
        if self.after_cr {
            self.after_cr = rest.is_empty();
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = memchr2(b'\n', b'\r', rest) {
            let line = &rest[..end];
            let ended_by_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
            if ended_by_cr {
                match rest.split_first() {
                    Some((b'\n', after)) => rest = after,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if self.carry.is_empty() && !self.oversized {
                self.event.line(line, &mut read);
                continue;
            }
            self.stash(line);
            if !self.oversized {
                self.event.line(&self.carry, &mut read);
            }
            self.carry.clear();
            self.oversized = false;
        }
        self.stash(rest);
    }

    /// True once something was too long to be read.
    pub(super) fn has_left_out(&self) -> bool {
        self.has_left_out || self.event.has_left_out
    }

    /// Reads what is left when the stream has ended.
    pub(super) fn finish(&mut self, mut read: impl FnMut(&[u8], bool) -> bool) {
        let line = std::mem::take(&mut self.carry);
        if !self.oversized {
            self.event.line(&line, &mut read);
        }
        self.event.end(&mut read);
    }

    fn stash(&mut self, piece: &[u8]) {
        if self.oversized || self.carry.len() + piece.len() > EVENT_CAP {
            self.oversized = true;
            self.has_left_out = true;
            self.carry = Vec::new();
        } else {
            self.carry.extend_from_slice(piece);
        }
    }
}

impl Event {
    fn line(&mut self, line: &[u8], read: &mut impl FnMut(&[u8], bool) -> bool) {
        if line.is_empty() {
            return self.end(read);
        }
        if let Some(data) = data_of(line) {
            if self.data.is_empty() {
                if data.is_empty() || read(data, self.is_error) {
                    return;
                }
            } else {
                self.data.push(b'\n');
            }
            if self.data.len() + data.len() <= EVENT_CAP {
                self.data.extend_from_slice(data);
            } else {
                self.has_left_out = true;
            }
        } else if let Some(name) = line.strip_prefix(b"event:") {
            self.is_error = name.trim_ascii() == b"error";
        }
    }

    /// Ends the event at a blank line. Lines that say nothing together are read one by one.
    fn end(&mut self, read: &mut impl FnMut(&[u8], bool) -> bool) {
        if !self.data.is_empty() && !read(&self.data, self.is_error) {
            for line in self.data.split(|byte| *byte == b'\n') {
                read(line, self.is_error);
            }
        }
        self.data.clear();
        self.is_error = false;
    }
}

/// The data of a line, if it has some.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data:") {
        Some(data) => Some(data.strip_prefix(b" ").unwrap_or(data)),
        None if line == b"data" => Some(b""),
        None => Some(line).filter(|line| line.starts_with(b"{") || line.starts_with(b"[")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The events of a stream that comes in pieces of this size; JSON and the end mark are
    /// understood.
    fn events(stream: &str, size: usize) -> Vec<(String, bool)> {
        let mut seen = Vec::new();
        let mut read = |data: &[u8], is_error: bool| {
            let understood = data == b"[DONE]" || serde_json::from_slice::<serde_json::Value>(data).is_ok();
            if understood {
                seen.push((String::from_utf8(data.to_vec()).unwrap(), is_error));
            }
            understood
        };
        let mut splitter = EventSplitter::default();
        stream.as_bytes().chunks(size).for_each(|piece| splitter.feed(piece, &mut read));
        splitter.finish(&mut read);
        seen
    }

    #[test]
    fn events_are_read_however_they_are_written() {
        for (stream, expected) in [
            ("data: {\"a\":1}\n\ndata: [DONE]\n\n", &["{\"a\":1}", "[DONE]"][..]),
            ("data:{\"a\":1}\r\n\r\ndata:[DONE]", &["{\"a\":1}", "[DONE]"]),
            ("data: {\"a\":1}\r\rdata: {\"b\":2}\r\r", &["{\"a\":1}", "{\"b\":2}"]),
            ("data: {\"a\":1}\ndata: {\"b\":2}\ndata: [DONE]\n", &["{\"a\":1}", "{\"b\":2}", "[DONE]"]),
            ("data: {\ndata: \"a\":1\ndata: }\n\n", &["{\n\"a\":1\n}"]),
            ("data: {\r\ndata: \"a\":1}\r\n\r\ndata: {\"b\":2}\r\n\r\n", &["{\n\"a\":1}", "{\"b\":2}"]),
            ("data: hello\ndata: {\"a\":1}\n\n", &["{\"a\":1}"]),
            ("data:\ndata\n: comment\nid: 7\nretry: 3\nfoo: bar\n\ndata: {\"a\":1}\n\n", &["{\"a\":1}"]),
            ("data: {\"a\":1}\n\n{\"error\":\"bare\"}\n", &["{\"a\":1}", "{\"error\":\"bare\"}"]),
        ] {
            for size in 1..=stream.len() {
                let seen = events(stream, size);
                let data: Vec<&str> = seen.iter().map(|(data, _)| data.as_str()).collect();
                assert_eq!(data, expected, "{stream:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn name_of_an_event_ends_with_it() {
        let seen = events("event: error\ndata: {}\n\ndata: []\n\nevent: ping\ndata: 1\n\n", 5);
        let names: Vec<bool> = seen.iter().map(|(_, is_error)| *is_error).collect();
        assert_eq!(names, [true, false, false]);
    }

    #[test]
    fn oversized_line_is_skipped() {
        let stream = format!("data: \"{}\"\n\ndata: 1\n\n", "x".repeat(EVENT_CAP));
        assert_eq!(events(&stream, 60_000), [("1".to_owned(), false)]);
    }
}
