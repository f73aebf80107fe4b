//! Answers that are compressed although nobody asked for it.

use std::io::Write;

use flate2::write::{MultiGzDecoder, ZlibDecoder};

/// Bytes that are unpacked in one step, so that little grows into a bounded amount at once.
const STEP: usize = 1024;

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
    pub(super) fn from_header(encoding: &str) -> Self {
        match encoding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Self::Plain,
            "gzip" | "x-gzip" => Self::gzip(),
            "deflate" => Self::Zlib(Box::new(ZlibDecoder::new(Vec::new()))),
            other => Self::Unknown(other.to_owned()),
        }
    }

    pub(super) fn gzip() -> Self {
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
