//! The content encoding `aws-chunked`, with which AWS's clients send a checksum after the data
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>).
//!
//! ```text
//! 5[;chunk-signature=…]\r\n
//! hello\r\n
//! 0[;chunk-signature=…]\r\n
//! [x-amz-checksum-crc32:NhCmhg==\r\n]
//! [x-amz-trailer-signature:…\r\n]
//! \r\n
//! ```
//!
//! **Invariant**: pure. The result does not depend on how the bytes are divided.

use axum::body::Bytes;

/// The longest line: a chunk's size with its signature, or a trailer.
const MAX_LINE_BYTES: usize = 1024;

/// The maximum number of trailers. S3 has one, and its signature.
const MAX_TRAILERS: usize = 8;

/// The body is not valid `aws-chunked`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not valid aws-chunked: {0}")]
pub(super) struct Malformed(&'static str);

/// Decodes a body.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    expects: Expects,
    line: Vec<u8>,
    trailers: Vec<(String, String)>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Expects {
    #[default]
    Size,
    Data(u64),
    EndOfData,
    Trailer,
    Nothing,
}

impl Decoder {
    /// Decodes the next bytes. Returns the data in them.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub(super) fn feed(&mut self, mut bytes: Bytes) -> Result<Vec<Bytes>, Malformed> {
        let mut data = Vec::new();
        while !bytes.is_empty() {
            match self.expects {
                Expects::Nothing => return Err(Malformed("there are bytes after its end")),
                Expects::Data(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    data.push(bytes.split_to(here));
                    let left = left - here as u64;
                    self.expects = if left == 0 { Expects::EndOfData } else { Expects::Data(left) };
                }
                Expects::Size | Expects::EndOfData | Expects::Trailer => self.take_line(&mut bytes)?,
            }
        }
        Ok(data)
    }

    /// The trailers.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the body has not ended.
    pub(super) fn finish(self) -> Result<Vec<(String, String)>, Malformed> {
        // Some clients leave out the empty line at the end.
        let ended = match self.expects {
            Expects::Nothing => true,
            Expects::Trailer => self.line.is_empty(),
            Expects::Size | Expects::Data(_) | Expects::EndOfData => false,
        };
        if ended { Ok(self.trailers) } else { Err(Malformed("it ends early")) }
    }

    fn take_line(&mut self, bytes: &mut Bytes) -> Result<(), Malformed> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let here = bytes.split_to(end.map_or(bytes.len(), |end| end + 1));
        self.line.extend_from_slice(&here);
        if self.line.len() > MAX_LINE_BYTES {
            return Err(Malformed("a line is too long"));
        }
        if end.is_none() {
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&line).map_err(|_| Malformed("a line is not text"))?;
        self.expects = self.after(line.trim_end_matches(['\r', '\n']))?;
        Ok(())
    }

    fn after(&mut self, line: &str) -> Result<Expects, Malformed> {
        match self.expects {
            Expects::EndOfData if line.is_empty() => Ok(Expects::Size),
            Expects::EndOfData => Err(Malformed("a chunk is longer than its size")),
            Expects::Trailer if line.is_empty() => Ok(Expects::Nothing),
            Expects::Trailer => {
                let (name, value) = line.split_once(':').ok_or(Malformed("a trailer has no colon"))?;
                if self.trailers.len() == MAX_TRAILERS {
                    return Err(Malformed("it has too many trailers"));
                }
                self.trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                Ok(Expects::Trailer)
            }
            Expects::Size | Expects::Data(_) | Expects::Nothing => {
                let size = line.split(';').next().unwrap_or_default().trim();
                let digits = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
                let size = u64::from_str_radix(size, 16).ok().filter(|_| digits);
                match size.ok_or(Malformed("the size of a chunk is not hexadecimal"))? {
                    0 => Ok(Expects::Trailer),
                    size => Ok(Expects::Data(size)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Decoded = Result<(Vec<u8>, Vec<(String, String)>), Malformed>;

    fn decode(pieces: &[&[u8]]) -> Decoded {
        let mut decoder = Decoder::default();
        let mut data = Vec::new();
        for piece in pieces {
            for part in decoder.feed(Bytes::copy_from_slice(piece))? {
                data.extend_from_slice(&part);
            }
        }
        Ok((data, decoder.finish()?))
    }

    #[test]
    fn data_and_trailers_are_read_from_both_forms() {
        let crc = ("x-amz-checksum-crc32".to_owned(), "NhCmhg==".to_owned());
        let unsigned = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
        assert_eq!(decode(&[unsigned]).unwrap(), (b"hello".to_vec(), vec![crc.clone()]));
        let signed = b"5;chunk-signature=ab\r\nhello\r\n1;chunk-signature=cd\r\n!\r\n0;chunk-signature=ef\r\n\
            X-Amz-Checksum-Crc32: NhCmhg==\r\nx-amz-trailer-signature:01\r\n\r\n";
        let signature = ("x-amz-trailer-signature".to_owned(), "01".to_owned());
        assert_eq!(decode(&[signed]).unwrap(), (b"hello!".to_vec(), vec![crc, signature]));
        assert_eq!(decode(&[b"0\r\n\r\n"]).unwrap(), (vec![], vec![]));
        assert_eq!(decode(&[b"0\r\n"]).unwrap(), (vec![], vec![]), "the last line may be missing");
    }

    #[test]
    fn a_body_that_is_not_valid_is_refused() {
        let long = "1".repeat(MAX_LINE_BYTES + 1);
        for (body, why) in [
            ("", "ends early"),
            ("5\r\nhel", "ends early"),
            ("5\r\nhello", "ends early"),
            ("5\r\nhello\r\n", "ends early"),
            ("5\r\nhello\r\n0\r\nx-amz", "ends early"),
            ("4\r\nhello\r\n0\r\n\r\n", "longer than its size"),
            ("x\r\n", "not hexadecimal"),
            ("+5\r\nhello\r\n0\r\n\r\n", "not hexadecimal"),
            ("\r\n", "not hexadecimal"),
            ("fffffffffffffffff\r\n", "not hexadecimal"),
            ("0\r\nnothing\r\n\r\n", "no colon"),
            ("0\r\n\r\nmore", "after its end"),
            (&long, "too long"),
        ] {
            let refused = decode(&[body.as_bytes()]).unwrap_err();
            assert!(refused.0.contains(why), "{body}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn the_result_does_not_depend_on_how_the_bytes_are_divided(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..4),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\na:b\r\n\r\n");
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len())).collect();
            cuts.sort_unstable();
            let ends = cuts.iter().copied().chain([body.len()]);
            let starts = std::iter::once(0).chain(cuts.iter().copied());
            let pieces: Vec<_> = starts.zip(ends).map(|(from, to)| &body[from..to]).collect();
            prop_assert_eq!(decode(&pieces), Ok((chunks.concat(), vec![("a".to_owned(), "b".to_owned())])));
        }
    }
}
