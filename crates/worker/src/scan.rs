//! Remembers the end of a job's output while it is passed on.
//!
//! **Invariant**: memory is bounded, whatever the job prints.

/// How much of the end of a stream is kept, in bytes.
const TAIL_BYTES: usize = domain::limits::LOG_TAIL_BYTES;

/// Keeps the end of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tail(Vec<u8>);

impl Tail {
    /// Scans the next bytes.
    pub(crate) fn see(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        // Cutting at twice the size moves each byte once on average, not at every call.
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
        // The tail must not begin in the middle of a character, whose bytes would be replaced.
        let middle =
            self.0.iter().skip(over).take_while(|byte| over > 0 && **byte & 0b1100_0000 == 0b1000_0000).count();
        self.0.drain(..over + middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_end_of_the_output_in_whole_characters() {
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
