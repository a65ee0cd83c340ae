//! What is remembered of a job's output while it passes by.
//!
//! **Invariant**: memory is bounded, whatever the job prints.

use domain::output::Output;

/// Longest line that is looked at as a whole, in bytes. What starts like JSON and is longer still counts as a result that
/// is too large: it is worse to report an earlier line in its place.
const LINE_BYTES: usize = 8 * 1024 * 1024;

/// How much of the end of stderr is kept, in bytes.
const TAIL_BYTES: usize = domain::limits::ERROR_MESSAGE_BYTES;

/// Finds the last line that is one JSON value.
#[derive(Debug, Default)]
pub(crate) struct LastJsonLine {
    line: Line,
    last: Output,
}

/// The line that is being printed.
#[derive(Debug)]
enum Line {
    /// It may be JSON; this is all of it so far.
    Kept(Vec<u8>),
    /// It starts like JSON and has become too long to keep; so many bytes so far.
    Endless(usize),
    /// It is not JSON.
    Text,
}

impl Default for Line {
    fn default() -> Self {
        Self::Kept(Vec::new())
    }
}

impl LastJsonLine {
    /// Looks at the next bytes; they may end anywhere.
    pub(crate) fn see(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.grow(piece);
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    /// What was found. A last line without a line's end counts.
    pub(crate) fn finish(mut self) -> Output {
        self.end_line();
        self.last
    }

    fn end_line(&mut self) {
        let found = match std::mem::take(&mut self.line) {
            Line::Kept(line) => std::str::from_utf8(&line).ok().and_then(Output::of_line),
            Line::Endless(bytes) => Some(Output::TooLarge(bytes)),
            Line::Text => None,
        };
        if let Some(found) = found {
            self.last = found;
        }
    }
}

impl Line {
    fn grow(&mut self, piece: &[u8]) {
        match self {
            Self::Kept(line) => {
                line.extend_from_slice(piece);
                match line.trim_ascii_start().first() {
                    Some(first) if !starts_json(*first) => *self = Self::Text,
                    Some(b'{' | b'[' | b'"') if line.len() > LINE_BYTES => *self = Self::Endless(line.len()),
                    Some(_) | None if line.len() > LINE_BYTES => *self = Self::Text,
                    Some(_) | None => {}
                }
            }
            Self::Endless(bytes) => *bytes += piece.len(),
            Self::Text => {}
        }
    }
}

fn starts_json(byte: u8) -> bool {
    matches!(byte, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
}

/// Keeps the end of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tail(Vec<u8>);

impl Tail {
    /// Looks at the next bytes.
    pub(crate) fn see(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        // Cutting at twice the size moves each byte once on average, not at every look.
        if self.0.len() > 2 * TAIL_BYTES {
            self.cut();
        }
    }

    /// The end as text; what is not UTF-8 is replaced.
    pub(crate) fn finish(mut self) -> String {
        self.cut();
        String::from_utf8_lossy(&self.0).into_owned()
    }

    fn cut(&mut self) {
        let over = self.0.len().saturating_sub(TAIL_BYTES);
        // Not in the middle of a character: those bytes would come out as replacements.
        let middle =
            self.0.iter().skip(over).take_while(|byte| over > 0 && **byte & 0b1100_0000 == 0b1000_0000).count();
        self.0.drain(..over + middle);
    }
}

#[cfg(test)]
mod tests {
    use domain::{Json, limits::RESULT_BYTES};

    use super::*;

    fn found(text: &[u8], chunk: usize) -> Output {
        let mut scan = LastJsonLine::default();
        text.chunks(chunk).for_each(|bytes| scan.see(bytes));
        scan.finish()
    }

    #[test]
    fn finds_the_last_json_line_however_the_bytes_arrive() {
        let text = b"start\n{\"n\": 1}\n  {\"n\": 2}\r\nend of it\n\xff\xfe\n\n";
        for chunk in [1, 2, 7, 1_000] {
            assert_eq!(found(text, chunk), Output::Json(Json::parse("{\"n\": 2}").unwrap()));
        }
        assert_eq!(found(b"no json\n{half", 3), Output::None);
        assert_eq!(found(b"1\n2", 1), Output::Json(Json::parse("2").unwrap()));
    }

    #[test]
    fn a_line_that_is_too_large_hides_earlier_ones() {
        let large = format!("1\n\"{}\"\nbye\n", "x".repeat(RESULT_BYTES));
        assert_eq!(found(large.as_bytes(), 65_536), Output::TooLarge(RESULT_BYTES + 2));
        let endless = format!("1\n[{}]\nbye\n", "0,".repeat(LINE_BYTES));
        assert_eq!(found(endless.as_bytes(), 65_536), Output::TooLarge(2 * LINE_BYTES + 3));
    }

    #[test]
    fn a_large_line_that_is_not_json_hides_nothing() {
        let broken = format!("1\n{{{}\n", "x".repeat(RESULT_BYTES));
        assert_eq!(found(broken.as_bytes(), 65_536), Output::Json(Json::parse("1").unwrap()));
        let text = format!("1\nx{}\n", "x".repeat(LINE_BYTES));
        assert_eq!(found(text.as_bytes(), 65_536), Output::Json(Json::parse("1").unwrap()));
    }

    #[test]
    fn the_tail_is_the_end_and_begins_with_a_character() {
        let mut tail = Tail::default();
        for _ in 0..TAIL_BYTES {
            tail.see("äöü".as_bytes());
            assert!(tail.0.len() <= 2 * TAIL_BYTES);
        }
        tail.see(b"end");
        let text = tail.finish();
        assert!(text.len() <= TAIL_BYTES && text.len() > TAIL_BYTES - 4, "{}", text.len());
        assert!(text.ends_with("üend") && !text.contains(char::REPLACEMENT_CHARACTER));
    }
}
