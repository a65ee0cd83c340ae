//! XML of requests and responses (<https://smithy.io/2.0/aws/protocols/aws-restxml-protocol.html>).

use axum::{
    http::header,
    response::{IntoResponse as _, Response},
};
use serde::{Serialize, de::DeserializeOwned};

use super::errors::{Code, S3Error};

/// The content type of all responses in XML.
pub(super) const CONTENT_TYPE: &str = "application/xml";

/// The namespace of S3's responses.
pub(super) const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// The maximum size of a request in XML: that of the longest list of parts, 10,000, with checksums, and of keys, 1,000.
pub(super) const MAX_BYTES: usize = 4 * 1024 * 1024;

const PROLOG: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// Writes a document with this root.
pub(super) fn write(root: &str, document: &impl Serialize) -> Result<String, quick_xml::SeError> {
    let mut text = String::from(PROLOG);
    document.serialize(quick_xml::se::Serializer::with_root(&mut text, Some(root))?)?;
    Ok(text)
}

/// A response with a document.
///
/// # Errors
///
/// A 500 if it cannot be written.
pub(super) fn respond(root: &str, document: &impl Serialize) -> Result<Response, S3Error> {
    let body = write(root, document).map_err(S3Error::internal)?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response())
}

/// Reads the document in the body of a request.
///
/// # Errors
///
/// `MalformedXML`.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, S3Error> {
    let malformed = || S3Error::new(Code::MalformedXML);
    let text = std::str::from_utf8(body).map_err(|_| malformed())?;
    quick_xml::de::from_str(text).map_err(|_| malformed())
}
