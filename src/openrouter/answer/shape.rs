//! The form of an answer.

use super::event_stream::EventSplitter;
use super::reading::Reading;

/// A whole JSON answer longer than this is not read; its usage is asked for by generation id
/// instead.
const DOCUMENT_CAP: usize = 8 << 20;
/// Some editors and gateways put it before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The form of an answer, which its first bytes decide.
#[derive(Debug)]
pub(super) enum Shape {
    /// Nothing but blanks has come.
    Undecided,
    Events(Box<EventSplitter>),
    Document {
        body: Vec<u8>,
        oversized: bool,
    },
    /// HTML or other text.
    Foreign,
}

impl Shape {
    /// The bytes without what may stand before an answer.
    pub(super) fn beginning(bytes: &[u8]) -> &[u8] {
        bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes).trim_ascii_start()
    }

    /// The form of an answer that begins like this, once that can be told.
    pub(super) fn decide(begin: &[u8], declared_events: bool) -> Option<Self> {
        if BYTE_ORDER_MARK.starts_with(begin) {
            return None;
        }
        let first = Self::beginning(begin).first()?;
        Some(match first {
            b'{' | b'[' => Self::Document { body: Vec::new(), oversized: false },
            b'<' => Self::Foreign,
            b':' | b'd' | b'e' | b'i' | b'r' => Self::Events(Box::default()),
            _ if declared_events => Self::Events(Box::default()),
            _ => Self::Foreign,
        })
    }

    pub(super) fn feed(&mut self, piece: &[u8], reading: &mut Reading) {
        match self {
            Self::Events(splitter) => {
                splitter.feed(piece, |data, is_error| reading.event(data, is_error));
                reading.has_left_out |= splitter.has_left_out();
            }
            Self::Document { body, oversized } => {
                if *oversized || body.len() + piece.len() > DOCUMENT_CAP {
                    *oversized = true;
                    *body = Vec::new();
                } else {
                    body.extend_from_slice(piece);
                }
            }
            Self::Undecided | Self::Foreign => {}
        }
    }
}
