//! Uploads in parts that nobody finished. The service keeps and bills their parts, and shows them in
//! no list of objects.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{Method, Request};
use jiff::Timestamp;
use object_store::aws::AwsAuthorizer;
use object_store::client::HttpRequestBody;
use object_store::multipart::MultipartStore;
use object_store::path::Path as Key;
use serde::Deserialize;

use super::failure::Operation;
use super::{Bucket, StoreError};

/// The first thousand of the uploads that were begun and not finished.
#[derive(Deserialize, Debug, Default)]
struct UploadList {
    #[serde(rename = "Upload", default)]
    uploads: Vec<Interrupted>,
}

#[derive(Deserialize, Debug, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
struct Interrupted {
    key: String,
    upload_id: String,
    initiated: Timestamp,
}

impl Bucket {
    /// Aborts uploads of this instance that began before `before`, and returns their number; zero
    /// where the service refuses to list or to abort them.
    pub(in crate::store) async fn abort_interrupted(&self, before: Timestamp) -> Result<u32, StoreError> {
        let prefix = format!("{}/", self.prefix);
        let body = match self.list_uploads(&prefix).await {
            Ok(body) => body,
            Err(StoreError::Refused { .. } | StoreError::Rejected { .. } | StoreError::NotFound { .. }) => {
                return Ok(0);
            }
            Err(error) => return Err(error),
        };
        let list: UploadList = quick_xml::de::from_reader(body.as_ref())
            .map_err(|error| StoreError::InvalidAnswer { place: self.place.clone(), cause: error.to_string() })?;
        let mut aborted = 0;
        for upload in list.uploads {
            let is_ours = upload.key.strip_prefix(&prefix).and_then(crate::summary::ObjectKind::parse).is_some();
            let Ok(key) = Key::parse(&upload.key) else { continue };
            if !is_ours || upload.initiated >= before {
                continue;
            }
            match self.writer.abort_multipart(&key, &upload.upload_id).await {
                Ok(()) => aborted += 1,
                Err(error) => match self.failed(&error, Operation::Remove, &upload.key) {
                    StoreError::Refused { .. } | StoreError::Rejected { .. } | StoreError::NotFound { .. } => {}
                    other => return Err(other),
                },
            }
        }
        Ok(aborted)
    }

    /// `GET /?uploads`, which `object_store` does not have.
    async fn list_uploads(&self, prefix: &str) -> Result<Bytes, StoreError> {
        let invalid = |error: String| StoreError::InvalidAnswer { place: self.place.clone(), cause: error };
        let credential = self.writer.credentials().get_credential().await;
        let credential = credential.map_err(|error| self.failed(&error, Operation::List, ""))?;
        let url = format!("{}?prefix={}&uploads=", self.url, percent_encoded(prefix));
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(url)
            .body(HttpRequestBody::empty())
            .map_err(|error| invalid(error.to_string()))?;
        AwsAuthorizer::new(&credential, "s3", &self.region)
            .try_authorize(&mut request, None)
            .map_err(|error| invalid(error.to_string()))?;
        let answer = self.connection.send(request).await;
        let answer = answer.map_err(|error| self.failed(&error, Operation::List, ""))?;
        answer.into_body().bytes().await.map_err(|error| self.failed(&error, Operation::List, ""))
    }
}

/// Returns a value of a query as signatures want it.
fn percent_encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_uploads_are_read_from_the_list() {
        let body = r#"<?xml version="1.0" encoding="UTF-8"?>
            <ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
              <Bucket>copies</Bucket><KeyMarker/><MaxUploads>1000</MaxUploads><IsTruncated>false</IsTruncated>
              <Upload><Key>a&amp;b/20261130-020000-000007.tar.gz</Key><UploadId>VXBsb2Fk</UploadId>
                <Initiator><ID>1</ID></Initiator><StorageClass>STANDARD</StorageClass>
                <Initiated>2026-11-30T02:00:01.000Z</Initiated></Upload>
              <Upload><Key>c</Key><UploadId>2</UploadId><Initiated>2026-11-30T02:00:02.000Z</Initiated></Upload>
            </ListMultipartUploadsResult>"#;
        let list: UploadList = quick_xml::de::from_str(body).unwrap();
        assert_eq!(list.uploads.len(), 2);
        assert_eq!(
            list.uploads[0],
            Interrupted {
                key: "a&b/20261130-020000-000007.tar.gz".to_owned(),
                upload_id: "VXBsb2Fk".to_owned(),
                initiated: "2026-11-30T02:00:01Z".parse().unwrap(),
            }
        );
        let empty = "<ListMultipartUploadsResult><Bucket>copies</Bucket></ListMultipartUploadsResult>";
        assert!(quick_xml::de::from_str::<UploadList>(empty).unwrap().uploads.is_empty());
        assert_eq!(percent_encoded("a b/ü"), "a%20b%2F%C3%BC");
    }
}
