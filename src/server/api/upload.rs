//! Reads the body of a request to a model: bounded, and unpacked where the client compressed it.

use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt;

use crate::chat::CompletionError;

/// The largest request body, in MiB.
const LIMIT_MIB: usize = 20;
const LIMIT: usize = LIMIT_MIB << 20;
/// A body that is too large is read on up to this size and for this time, because a client that is
/// still sending cannot read the refusal.
const DRAIN_LIMIT: usize = 100 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(20);
/// Some programs begin a text with it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Coding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Deflate,
}

/// Reads the whole body, up to the limit, which counts for the unpacked body as well.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, CompletionError> {
    let coding = coding(headers)?;
    let body = receive(headers, body).await?;
    let body = match coding {
        Coding::Identity => body,
        coding => tokio::task::spawn_blocking(move || unpack(coding, &body))
            .await
            .map_err(|_| CompletionError::Incomplete)??,
    };
    Ok(if body.starts_with(BYTE_ORDER_MARK) { body.slice(BYTE_ORDER_MARK.len()..) } else { body })
}

fn coding(headers: &HeaderMap) -> Result<Coding, CompletionError> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(header::CONTENT_ENCODING) {
            Err(CompletionError::UnknownCoding)
        } else {
            Ok(Coding::Identity)
        };
    };
    match value.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Coding::Identity),
        "gzip" | "x-gzip" => Ok(Coding::Gzip),
        "deflate" => Ok(Coding::Deflate),
        _ => Err(CompletionError::UnknownCoding),
    }
}

fn unpack(coding: Coding, body: &[u8]) -> Result<Bytes, CompletionError> {
    let mut unpacked = Vec::new();
    let most = LIMIT as u64 + 1;
    let read = match coding {
        Coding::Identity => return Ok(Bytes::copy_from_slice(body)),
        Coding::Gzip => MultiGzDecoder::new(body).take(most).read_to_end(&mut unpacked),
        Coding::Deflate => ZlibDecoder::new(body).take(most).read_to_end(&mut unpacked),
    };
    match read {
        Ok(_) if unpacked.len() > LIMIT => Err(CompletionError::TooLarge(LIMIT_MIB)),
        Ok(_) => Ok(unpacked.into()),
        Err(_) => Err(CompletionError::NotUnpacked),
    }
}

async fn receive(headers: &HeaderMap, mut body: Body) -> Result<Bytes, CompletionError> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > LIMIT) {
        return Err(too_large(headers, body).await);
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| CompletionError::Incomplete)?.into_data() else { continue };
        if first.is_empty() {
            // Most bodies come in one piece and need no copy.
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(length.unwrap_or(0).max(first.len() + data.len()));
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&data);
        if whole.len() > LIMIT {
            drop(whole);
            return Err(too_large(headers, body).await);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

async fn too_large(headers: &HeaderMap, mut body: Body) -> CompletionError {
    // Who waits to be asked for the body sends nothing and reads the refusal at once.
    if headers.contains_key(header::EXPECT) {
        return CompletionError::TooLarge(LIMIT_MIB);
    }
    let drain = async {
        let mut drained = 0;
        while let Some(Ok(frame)) = body.frame().await {
            drained += frame.data_ref().map_or(0, Bytes::len);
            if drained > DRAIN_LIMIT {
                break;
            }
        }
    };
    // The answer is the same if it was not drained.
    let _ = tokio::time::timeout(DRAIN_TIME, drain).await;
    CompletionError::TooLarge(LIMIT_MIB)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use axum::http::HeaderValue;
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    const TEXT: &[u8] = br#"{"model":"a","messages":[]}"#;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    async fn outcome(codings: &[&str], body: Vec<u8>) -> Result<Bytes, String> {
        let mut headers = HeaderMap::new();
        for coding in codings {
            headers.append(header::CONTENT_ENCODING, HeaderValue::from_str(coding).unwrap());
        }
        read(&headers, Body::from(body)).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn body_is_unpacked_by_its_coding() {
        let mut deflated = ZlibEncoder::new(Vec::new(), Compression::fast());
        deflated.write_all(TEXT).unwrap();
        for (codings, body) in [
            (&[][..], TEXT.to_vec()),
            (&["identity"], TEXT.to_vec()),
            (&["gzip"], gzip(TEXT)),
            (&[" X-GZIP "], gzip(TEXT)),
            (&["gzip"], [gzip(&TEXT[..5]), gzip(&TEXT[5..])].concat()),
            (&["deflate"], deflated.finish().unwrap()),
            (&[], [BYTE_ORDER_MARK, TEXT].concat()),
            (&["gzip"], gzip(&[BYTE_ORDER_MARK, TEXT].concat())),
        ] {
            assert_eq!(outcome(codings, body).await.as_deref(), Ok(TEXT), "{codings:?}");
        }
    }

    #[tokio::test]
    async fn body_that_cannot_be_unpacked_is_refused() {
        for (codings, body, words) in [
            (&["br"][..], TEXT.to_vec(), "compressed in a way"),
            (&["gzip, gzip"], gzip(&gzip(TEXT)), "compressed in a way"),
            (&["gzip", "gzip"], gzip(&gzip(TEXT)), "compressed in a way"),
            (&["gzip"], TEXT.to_vec(), "could not be unpacked"),
            (&["gzip"], gzip(TEXT)[..20].to_vec(), "could not be unpacked"),
            (&["gzip"], gzip(&vec![b' '; LIMIT + 1]), "larger than 20 MiB"),
        ] {
            let error = outcome(codings, body).await.unwrap_err();
            assert!(error.contains(words), "{codings:?}: {error}");
        }
    }
}
