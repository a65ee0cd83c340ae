//! The body of an upload: reads it as a stream into a file, in constant memory, and verifies its length and its digests.

use std::io;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use futures_util::StreamExt as _;
use md5::{Digest as _, Md5};
use sha2::Sha256;
use tokio::sync::mpsc;

use super::{
    checksum::{Algorithm, Checksum, Hasher, Type},
    chunked::{Decoder, Malformed},
    errors::{Code, Details, S3Error},
    files::{Draft, Files},
};

/// The maximum size of one upload: 5 GiB
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>).
pub(super) const MAX_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// How many pieces of a body may wait to be written. Each is at most what one read of the connection returns.
const WAITING: usize = 16;

/// The header that says how the body is signed.
const CONTENT_SHA256: &str = "x-amz-content-sha256";

/// What the headers of a request say about its body.
#[derive(Debug)]
pub(super) struct Payload {
    length: u64,
    chunked: bool,
    md5: Option<Vec<u8>>,
    sha256: Option<String>,
    /// The checksum that the body must have. Its value comes in a trailer if it is not given here.
    checksum: Option<(Algorithm, Option<String>)>,
}

/// A body that was received and verified.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) draft: Draft,
    pub(super) size: u64,
    pub(super) md5: Vec<u8>,
    /// The checksum with the algorithm that was asked for.
    pub(super) wanted: Checksum,
}

impl Payload {
    /// Reads the headers.
    ///
    /// # Errors
    ///
    /// What S3 says about headers that are missing or not valid.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, S3Error> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let signed = text(CONTENT_SHA256);
        let chunked = signed.is_some_and(|signed| signed.starts_with("STREAMING-"));
        let length = text(if chunked { "x-amz-decoded-content-length" } else { header::CONTENT_LENGTH.as_str() });
        let length =
            length.and_then(|length| length.parse().ok()).ok_or_else(|| S3Error::new(Code::MissingContentLength))?;
        if length > MAX_BYTES {
            let sizes =
                Details { proposed_size: Some(length), max_size_allowed: Some(MAX_BYTES), ..Details::default() };
            return Err(S3Error::new(Code::EntityTooLarge).with(sizes));
        }
        let md5 = text("content-md5").map(|md5| BASE64.decode(md5).ok().filter(|bytes| bytes.len() == 16));
        let md5 = md5.map(|md5| md5.ok_or_else(|| S3Error::new(Code::InvalidDigest))).transpose()?;
        let sha256 = signed.filter(|signed| !chunked && *signed != "UNSIGNED-PAYLOAD").map(str::to_ascii_lowercase);
        if let Some(sha256) = &sha256
            && (sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            let why = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
                STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.";
            return Err(S3Error::argument(CONTENT_SHA256, sha256, why));
        }
        Ok(Self { length, chunked, md5, sha256, checksum: expected(headers)? })
    }

    /// The algorithm of the checksum that the request gives.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        self.checksum.as_ref().map(|(algorithm, _)| *algorithm)
    }

    /// Receives the body into a file, and computes its checksum with an algorithm.
    ///
    /// # Errors
    ///
    /// What S3 says about a body that is not what the headers say, or a 500 when it cannot be written.
    pub(super) async fn receive(&self, files: &Files, body: Body, wanted: Algorithm) -> Result<Received, S3Error> {
        let (pieces, received) = mpsc::channel(WAITING);
        let algorithms = [Some(wanted), self.algorithm().filter(|given| *given != wanted)];
        let digests = Digests {
            md5: Md5::new(),
            sha256: self.sha256.as_ref().map(|_| Sha256::new()),
            hashers: algorithms.into_iter().flatten().map(|algorithm| (algorithm, Hasher::new(algorithm))).collect(),
        };
        let draft = files.draft()?;
        let writing = tokio::task::spawn_blocking(move || write(draft, digests, received));
        let sent = self.send(body, pieces).await;
        // If the file cannot be written, sending fails too, and this is the reason.
        let (draft, digests) = writing.await??;
        let (size, trailers) = sent?;
        if size != self.length {
            return Err(S3Error::new(Code::IncompleteBody));
        }
        self.verify(draft, size, digests, &trailers, wanted)
    }

    /// Passes the decoded body on. Returns its size and its trailers.
    async fn send(&self, body: Body, to: mpsc::Sender<Bytes>) -> Result<(u64, Vec<(String, String)>), S3Error> {
        let mut decoder = self.chunked.then(Decoder::default);
        let mut body = body.into_data_stream();
        let mut size = 0;
        while let Some(piece) = body.next().await {
            // The connection broke, so the client will not see this.
            let piece = piece.map_err(|_| S3Error::new(Code::IncompleteBody))?;
            let data = match &mut decoder {
                Some(decoder) => decoder.feed(piece).map_err(|why| malformed(&why))?,
                None => vec![piece],
            };
            for bytes in data {
                size += bytes.len() as u64;
                if size > self.length {
                    return Err(S3Error::new(Code::IncompleteBody));
                }
                to.send(bytes).await.map_err(S3Error::internal)?;
            }
        }
        let trailers = decoder.map(Decoder::finish).transpose().map_err(|why| malformed(&why))?;
        Ok((size, trailers.unwrap_or_default()))
    }

    fn verify(
        &self,
        draft: Draft,
        size: u64,
        digests: Digests,
        trailers: &[(String, String)],
        wanted: Algorithm,
    ) -> Result<Received, S3Error> {
        let md5 = digests.md5.finalize().to_vec();
        if self.md5.as_ref().is_some_and(|given| *given != md5) {
            return Err(S3Error::new(Code::BadDigest));
        }
        if let (Some(given), Some(sha256)) = (&self.sha256, digests.sha256) {
            let computed = hex(&sha256.finalize());
            if computed != *given {
                return Err(S3Error::new(Code::XAmzContentSHA256Mismatch).with(Details {
                    client_sha256: Some(given.clone()),
                    s3_sha256: Some(computed),
                    ..Details::default()
                }));
            }
        }
        let values = digests.hashers.into_iter().map(|(algorithm, hasher)| Checksum {
            algorithm,
            of: Type::FullObject,
            value: hasher.value(),
        });
        let values: Vec<_> = values.collect();
        let of = |algorithm: Algorithm| values.iter().find(|checksum| checksum.algorithm == algorithm).cloned();
        let given = self.algorithm().and_then(of);
        if let (Some((algorithm, value)), Some(computed)) = (&self.checksum, &given) {
            let trailer = trailers.iter().find(|(name, _)| name == algorithm.header()).map(|(_, value)| value);
            let value = value.as_ref().or(trailer).ok_or_else(|| malformed_trailer(*algorithm))?;
            if *value != computed.value {
                return Err(bad_checksum(*algorithm));
            }
        }
        let wanted = of(wanted).ok_or_else(|| S3Error::internal("a checksum was not computed"))?;
        Ok(Received { draft, size, md5, wanted })
    }
}

/// The error for a checksum that is not that of the data.
pub(super) fn bad_checksum(algorithm: Algorithm) -> S3Error {
    let name = algorithm.name();
    S3Error::because(Code::BadDigest, format!("The {name} you specified did not match the calculated checksum."))
}

fn malformed(why: &Malformed) -> S3Error {
    S3Error::because(Code::IncompleteBody, why.to_string())
}

fn malformed_trailer(algorithm: Algorithm) -> S3Error {
    let header = algorithm.header();
    S3Error::because(Code::InvalidRequest, format!("The body has no trailer {header}, which x-amz-trailer announced."))
}

/// The checksum that the request gives in a header, or announces as a trailer.
fn expected(headers: &HeaderMap) -> Result<Option<(Algorithm, Option<String>)>, S3Error> {
    if let Some((algorithm, value)) = Algorithm::given(headers)? {
        let bytes = BASE64.decode(&value).map(|bytes| bytes.len()).ok();
        if bytes != Some(algorithm.bytes()) {
            let why = format!("Value for {} header is invalid.", algorithm.header());
            return Err(S3Error::because(Code::InvalidRequest, why));
        }
        return Ok(Some((algorithm, Some(value))));
    }
    if let Some(trailer) = headers.get("x-amz-trailer") {
        let algorithm = trailer.to_str().ok().and_then(Algorithm::of_header);
        let unknown = || {
            S3Error::because(Code::InvalidRequest, "The value specified in the x-amz-trailer header is not supported")
        };
        return Ok(Some((algorithm.ok_or_else(unknown)?, None)));
    }
    if headers.contains_key("x-amz-sdk-checksum-algorithm") {
        let why = "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.";
        return Err(S3Error::because(Code::InvalidRequest, why));
    }
    Ok(None)
}

/// The digests of a body that is being received.
#[derive(Debug)]
struct Digests {
    md5: Md5,
    sha256: Option<Sha256>,
    hashers: Vec<(Algorithm, Hasher)>,
}

/// Writes the pieces to the file. It blocks.
fn write(mut draft: Draft, mut digests: Digests, mut pieces: mpsc::Receiver<Bytes>) -> io::Result<(Draft, Digests)> {
    while let Some(piece) = pieces.blocking_recv() {
        digests.md5.update(&piece);
        if let Some(sha256) = &mut digests.sha256 {
            sha256.update(&piece);
        }
        for (_, hasher) in &mut digests.hashers {
            hasher.update(&piece);
        }
        draft.write(&piece)?;
    }
    Ok((draft, digests))
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
