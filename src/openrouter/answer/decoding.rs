//! Answers that are compressed although nobody asked for it.

use std::io::Write;

use bytes::Bytes;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};

/// Bytes that are unpacked in one step, so that little grows into a bounded amount at once.
const STEP: usize = 1024;

/// The first bytes of what gzip has packed.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// The plain bytes of a whole body, up to `cap` of them. A body that cannot be unpacked stays as it
/// is.
pub fn plain_body(headers: &HeaderMap, body: Bytes, cap: usize) -> Bytes {
    let mut decoding = Decoding::from_headers(headers);
    decoding.look_at(&body);
    if matches!(decoding, Decoding::Plain) {
        return body;
    }
    let mut plain = Vec::new();
    decoding.unpack(&body, |piece| plain.extend_from_slice(&piece[..piece.len().min(cap.saturating_sub(plain.len()))]));
    if plain.is_empty() { body } else { plain.into() }
}

/// Unpacks an answer as it comes.
#[derive(Debug)]
pub(super) enum Decoding {
    /// The bytes are the answer.
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zlib(Box<ZlibDecoder<Vec<u8>>>),
    /// In a way that is not understood, by its name.
    Unknown(String),
}

impl Decoding {
    /// By the `Content-Encoding` of the answer.
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        let encoding = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match encoding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Self::Plain,
            "gzip" | "x-gzip" => Self::gzip(),
            "deflate" => Self::Zlib(Box::new(ZlibDecoder::new(Vec::new()))),
            other => Self::Unknown(other.to_owned()),
        }
    }

    /// Looks at the first bytes of an answer, which may be packed without a header that says so.
    pub(super) fn look_at(&mut self, begin: &[u8]) {
        if matches!(self, Self::Plain) && begin.starts_with(GZIP) {
            *self = Self::gzip();
        }
    }

    fn gzip() -> Self {
        Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))
    }

    /// Calls `read` with the plain bytes of a piece. Bytes that cannot be unpacked end the answer.
    pub(super) fn unpack(&mut self, piece: &[u8], mut read: impl FnMut(&[u8])) {
        for step in piece.chunks(STEP) {
            let unpacked = match self {
                Self::Plain => return read(piece),
                Self::Unknown(_) => return,
                Self::Gzip(decoder) => {
                    decoder.write_all(step).and_then(|()| decoder.flush()).map(|()| decoder.get_mut())
                }
                Self::Zlib(decoder) => {
                    decoder.write_all(step).and_then(|()| decoder.flush()).map(|()| decoder.get_mut())
                }
            };
            match unpacked {
                Ok(bytes) => {
                    read(bytes);
                    bytes.clear();
                }
                Err(error) => {
                    *self = Self::Unknown(error.to_string());
                    return;
                }
            }
        }
    }
}
