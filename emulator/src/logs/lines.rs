//! Splits bytes into lines, as the `awslogs` driver splits a container's output into events.

use std::mem;

/// Longest event that the `awslogs` driver writes, in bytes; it cuts a longer line into several events
/// (`maximumBytesPerEvent` in moby's `daemon/logger/awslogs/cloudwatchlogs.go`: 262,144 minus 26 of overhead).
pub(crate) const MAX_EVENT_BYTES: usize = 262_144 - 26;

/// The maximum number of bytes of one character in UTF-8, of which some may not have arrived yet.
const LONGEST_CHARACTER: usize = 4;

/// Splits a stream of bytes into lines. Between two calls, it keeps at most one unfinished line, so its memory is bounded.
#[derive(Debug, Default)]
pub(super) struct Lines {
    unfinished: Vec<u8>,
}

impl Lines {
    /// Adds what was read, and returns the events that are complete now. An empty line is not an event: the driver does not write it,
    /// and the API does not accept it.
    pub(super) fn feed(&mut self, read: &[u8]) -> Vec<String> {
        let mut events = Vec::new();
        for piece in read.split_inclusive(|byte| ends_line(*byte)) {
            match piece.split_last() {
                Some((last, end)) if ends_line(*last) => {
                    self.unfinished.extend_from_slice(end);
                    events.append(&mut self.finish());
                }
                _ => self.unfinished.extend_from_slice(piece),
            }
        }
        // The rest contains at least one whole character more than the event, so no character is cut in two here.
        while self.unfinished.len() >= MAX_EVENT_BYTES + LONGEST_CHARACTER {
            let (event, used) = first_event(&self.unfinished);
            self.unfinished.drain(..used);
            events.push(event);
        }
        events
    }

    /// The events of the line that has not ended, because nothing more will come.
    pub(super) fn finish(&mut self) -> Vec<String> {
        let line = mem::take(&mut self.unfinished);
        let mut rest = line.as_slice();
        let mut events = Vec::new();
        while !rest.is_empty() {
            let (event, used) = first_event(rest);
            rest = rest.get(used..).unwrap_or_default();
            events.push(event);
        }
        events
    }
}

/// A carriage return ends a line too, so that progress bars can be followed. In `\r\n`, the `\n` ends an empty line.
fn ends_line(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// As much of a line as fits into one event, cut between characters, and how many bytes of the line that is. Invalid UTF-8 becomes
/// U+FFFD, which counts with its own three bytes, since AWS counts what it receives.
fn first_event(line: &[u8]) -> (String, usize) {
    let mut event = String::new();
    let mut used = 0;
    for chunk in line.utf8_chunks() {
        let room = MAX_EVENT_BYTES - event.len();
        let fits = chunk.valid().floor_char_boundary(room);
        event.push_str(chunk.valid().get(..fits).unwrap_or_default());
        used += fits;
        let wrong = chunk.invalid().len();
        if fits < chunk.valid().len() || wrong == 0 {
            break;
        }
        if event.len() + char::REPLACEMENT_CHARACTER.len_utf8() > MAX_EVENT_BYTES {
            break;
        }
        event.push(char::REPLACEMENT_CHARACTER);
        used += wrong;
    }
    (event, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(reads: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut events: Vec<_> = reads.iter().flat_map(|read| lines.feed(read)).collect();
        events.extend(lines.finish());
        events
    }

    #[test]
    fn a_line_may_come_in_pieces() {
        assert_eq!(events(&[b"one\ntw", b"o\n\nthr", b"ee"]), ["one", "two", "three"]);
        assert_eq!(events(&["é".as_bytes().split_at(1).0, "é\n".as_bytes().split_at(1).1]), ["é"]);
    }

    #[test]
    fn a_carriage_return_with_or_without_a_newline_ends_one_line() {
        assert_eq!(events(&[b"1%\r2%\r", b"3%\r\nend\r", b"\n\r\nlast"]), ["1%", "2%", "3%", "end", "last"]);
        let mut lines = Lines::default();
        assert_eq!(lines.feed(b"50%\r"), ["50%"], "at once");
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        assert_eq!(events(&[b"a\xffb\n\xe2\x82"]), ["a\u{fffd}b", "\u{fffd}"]);
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_nothing_is_lost() {
        let exact = "x".repeat(MAX_EVENT_BYTES);
        assert_eq!(events(&[exact.as_bytes(), b"\n"]), [exact.as_str()]);
        for line in ["x".repeat(1_000_000), "€".repeat(300_000), format!("a{}", "🦀".repeat(200_000))] {
            let pieces: Vec<_> = line.as_bytes().chunks(65_536).chain([b"\n".as_slice()]).collect();
            let events = events(&pieces);
            assert!(events.iter().all(|event| event.len() <= MAX_EVENT_BYTES));
            assert_eq!(events.len(), line.len().div_ceil(MAX_EVENT_BYTES));
            assert_eq!(events.concat(), line);
        }
    }

    #[test]
    fn replaced_bytes_count_with_their_replacement() {
        let events = events(&[&vec![0xff; 200_000], b"\n"]);
        assert_eq!(events.iter().map(String::len).sum::<usize>(), 600_000);
        assert!(events.iter().all(|event| event.len() <= MAX_EVENT_BYTES));
    }
}
