//! Finds the result in what a job prints: the last JSON object or array on lines of its own.
//!
//! A document begins with a `{` or `[` that has only white space before it on its line. It may span lines, and nothing follows it on its
//! last line. Something that looks like broken JSON hides the documents before it, since it may be the result that the job meant to print.
//! Plain text, `[INFO] text` and bare scalars are ignored.
//!
//! **Invariant**: the result is a whole document or nothing. After broken JSON, brackets are counted until they balance, so
//! that a part of a larger document is never mistaken for a document. Memory is bounded, and each byte is examined once.

use super::Output;
use crate::{Json, limits};

/// Deepest nesting that is tracked, in levels; one byte of memory for each.
const MAX_TRACKED_DEPTH: usize = 1024 * 1024;

/// Longest of [`NOT_QUITE_JSON`], in bytes.
const WORD_BYTES: usize = 10;

/// Values that programs print although JSON does not have them, or writes them differently.
const NOT_QUITE_JSON: [&[u8]; 8] = [b"NaN", b"nan", b"inf", b"Infinity", b"None", b"True", b"False", b"undefined"];

const ESCAPE: u8 = 0x1b;

/// Scans a stream of bytes as it arrives.
#[derive(Debug)]
pub struct Scanner {
    mode: Mode,
    document: Document,
    /// The newest document, or what is wrong with it.
    last: Option<Output>,
    /// Something was printed besides white space.
    printed: bool,
    /// The next byte is the first of a line.
    line_begins: bool,
    /// The state of a terminal's escape sequence.
    sequence: Sequence,
    from: From,
}

/// What is scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// What the job prints.
    Job,
    /// Its log, in which invalid UTF-8 was replaced.
    Log,
    /// The end of its log.
    EndOfLog,
}

#[derive(Debug)]
enum Mode {
    /// In the white space at the start of a line. It is `tainted` if it contains control characters.
    Start { tainted: bool },
    /// In a line that is not JSON.
    Text,
    /// In a line that has only closing brackets so far.
    Closing,
    /// In a document.
    Document,
    /// In a line that begins with `[` and a word.
    Word,
    /// After a document, on its last line.
    Behind,
    /// In a broken document, until its brackets balance.
    Broken(Broken),
}

#[derive(Debug)]
struct Broken {
    depth: usize,
    /// Nothing was read before it, because the beginning of the log is missing. So it is not known how many brackets are open.
    unknown: bool,
    quote: Option<u8>,
    escaped: bool,
    /// The bracket that has to close it, if it is still on its first line.
    closer: Option<u8>,
    /// The last byte besides white space.
    last: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sequence {
    None,
    Begun,
    Going,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            mode: Mode::Start { tainted: false },
            document: Document::default(),
            last: None,
            printed: false,
            line_begins: true,
            sequence: Sequence::None,
            from: From::Job,
        }
    }
}

impl Scanner {
    /// A scanner for the lines of a log, in which invalid UTF-8 is U+FFFD. `cut` says that they do not begin with the job's first line, so
    /// that they may begin inside a document.
    #[must_use]
    pub fn for_log(cut: bool) -> Self {
        let inside = Broken { depth: usize::MAX, unknown: true, quote: None, escaped: false, closer: None, last: 0 };
        let mode = if cut { Mode::Broken(inside) } else { Mode::Start { tainted: false } };
        Self { mode, from: if cut { From::EndOfLog } else { From::Log }, ..Self::default() }
    }

    /// Scans the next bytes; they may end anywhere.
    pub fn see(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((byte, more)) = rest.split_first() {
            if matches!(self.mode, Mode::Text) && !ends_line(*byte) {
                let end = rest.iter().position(|byte| ends_line(*byte)).unwrap_or(rest.len());
                rest = rest.get(end..).unwrap_or_default();
            } else {
                self.byte(*byte);
                rest = more;
            }
        }
    }

    /// What was found.
    #[must_use]
    pub fn finish(mut self) -> Output {
        match self.mode {
            Mode::Document => self.last = Some(Output::Broken),
            Mode::Behind | Mode::Closing | Mode::Word => self.byte(b'\n'),
            Mode::Start { .. } | Mode::Text | Mode::Broken(_) => {}
        }
        let nothing = match (self.printed, self.from) {
            (false, _) => Output::None,
            (true, From::Job | From::Log) => Output::Text,
            (true, From::EndOfLog) => Output::OutOfReach,
        };
        self.last.unwrap_or(nothing)
    }

    fn byte(&mut self, byte: u8) {
        let line_begins = std::mem::replace(&mut self.line_begins, ends_line(byte));
        self.printed |= !byte.is_ascii_whitespace();
        match &mut self.mode {
            Mode::Start { .. } => self.start(byte),
            Mode::Text => {
                if ends_line(byte) {
                    self.fresh();
                }
            }
            Mode::Closing => match byte {
                b']' | b'}' | b',' | b' ' | b'\t' => {}
                _ if ends_line(byte) => {
                    self.last = Some(Output::Broken);
                    self.fresh();
                }
                _ => self.mode = Mode::Text,
            },
            Mode::Document => match self.document.take(byte) {
                Step::More => {}
                Step::Whole => self.mode = Mode::Behind,
                Step::Wrong => self.wrong(byte, line_begins),
            },
            Mode::Word => self.word(byte),
            Mode::Behind => self.behind(byte),
            Mode::Broken(_) => self.broken(byte, line_begins),
        }
    }

    fn fresh(&mut self) {
        self.mode = Mode::Start { tainted: false };
        self.sequence = Sequence::None;
    }

    /// Whether the byte belongs to a terminal's escape sequence, such as `ESC [ 3 2 m`.
    fn in_sequence(&mut self, byte: u8) -> bool {
        let (next, belongs) = match (self.sequence, byte) {
            _ if ends_line(byte) => (Sequence::None, false),
            (_, ESCAPE) => (Sequence::Begun, true),
            (Sequence::Begun, b'[') => (Sequence::Going, true),
            (Sequence::Going, 0x40..=0x7e) | (Sequence::Begun, _) => (Sequence::None, true),
            (Sequence::Going, _) => (Sequence::Going, true),
            (Sequence::None, _) => (Sequence::None, false),
        };
        self.sequence = next;
        belongs
    }

    fn start(&mut self, byte: u8) {
        if self.in_sequence(byte) {
            self.mode = Mode::Start { tainted: true };
            return;
        }
        match byte {
            _ if ends_line(byte) => self.fresh(),
            // A byte order mark may be ignored (<https://www.rfc-editor.org/rfc/rfc8259#section-8.1>).
            b' ' | b'\t' | 0xef | 0xbb | 0xbf => {}
            b'{' | b'[' => {
                let tainted = matches!(self.mode, Mode::Start { tainted: true });
                self.document = Document::begin(byte, tainted);
                self.mode = Mode::Document;
            }
            b'}' | b']' => self.mode = Mode::Closing,
            0..0x20 => self.mode = Mode::Start { tainted: true },
            _ => self.mode = Mode::Text,
        }
    }

    /// This byte is not valid in the document.
    fn wrong(&mut self, byte: u8, line_begins: bool) {
        if self.document.in_string() && ends_line(byte) {
            // A JSON string cannot contain the end of a line: the line was cut off, and the next one is unrelated.
            self.last = Some(Output::Broken);
            self.fresh();
        } else if !self.document.looks_like_json {
            self.mode = if self.document.may_be_word() { Mode::Word } else { Mode::Text };
            self.byte(byte);
        } else if line_begins && (matches!(byte, b'{' | b'[') || begins_text(byte)) {
            self.last = Some(Output::Broken);
            self.fresh();
            self.byte(byte);
        } else {
            self.break_off(byte, self.document.stack.len());
        }
    }

    /// The document is broken, and `depth` of its brackets are open.
    fn break_off(&mut self, byte: u8, depth: usize) {
        self.last = Some(Output::Broken);
        let quote = self.document.in_string().then_some(b'"');
        let closer = self.document.on_first_line.then_some(if self.document.opener == b'{' { b'}' } else { b']' });
        self.mode = Mode::Broken(Broken { depth, unknown: false, quote, escaped: false, closer, last: 0 });
        self.sequence = Sequence::None;
        self.broken(byte, false);
    }

    fn word(&mut self, byte: u8) {
        let word = &mut self.document.word;
        if byte.is_ascii_alphabetic() && word.len() <= WORD_BYTES {
            word.push(byte);
        } else if NOT_QUITE_JSON.contains(&word.as_slice()) && (matches!(byte, b',' | b']') || ends_line(byte)) {
            self.break_off(byte, 1);
        } else {
            self.mode = Mode::Text;
            self.byte(byte);
        }
    }

    fn behind(&mut self, byte: u8) {
        if self.in_sequence(byte) || byte == 0 {
            self.document.tainted = true;
        } else if ends_line(byte) {
            let document = std::mem::take(&mut self.document);
            self.last = Some(document.output(self.from != From::Job));
            self.fresh();
        } else if !byte.is_ascii_whitespace() {
            if self.document.looks_like_json {
                self.break_off(byte, 0);
            } else {
                self.mode = Mode::Text;
            }
        }
    }

    fn broken(&mut self, byte: u8, line_begins: bool) {
        if self.in_sequence(byte) {
            return;
        }
        let Mode::Broken(broken) = &mut self.mode else { return };
        if ends_line(byte) {
            let closed = broken.closer.is_some_and(|closer| closer == broken.last);
            if broken.depth == 0 || closed {
                return self.fresh();
            }
            (broken.quote, broken.escaped, broken.closer) = (None, false, None);
            return;
        }
        if line_begins && begins_text(byte) {
            self.mode = Mode::Text;
            return;
        }
        if line_begins && broken.unknown && matches!(byte, b'{' | b'[') {
            self.fresh();
            return self.start(byte);
        }
        if !byte.is_ascii_whitespace() {
            broken.last = byte;
        }
        match (broken.quote, byte) {
            _ if broken.escaped => broken.escaped = false,
            (Some(_), b'\\') => broken.escaped = true,
            (Some(quote), _) => {
                if byte == quote {
                    broken.quote = None;
                }
            }
            (None, b'"' | b'\'') => broken.quote = Some(byte),
            (None, b'{' | b'[') => broken.depth = broken.depth.saturating_add(1),
            (None, b'}' | b']') => broken.depth = broken.depth.saturating_sub(1),
            (None, _) => {}
        }
    }
}

/// A carriage return ends a line too: progress bars use it to rewrite their line.
fn ends_line(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Whether a line that begins with this byte is certainly not inside a document of JSON, Python or JavaScript: inner lines of documents are
/// indented, or begin with a bracket, a quote, a number or a constant.
fn begins_text(byte: u8) -> bool {
    byte.is_ascii_alphabetic() && !b"tfnuNITF".contains(&byte)
}

/// A document that is being read, strictly as in <https://www.rfc-editor.org/rfc/rfc8259>.
#[derive(Debug, Default)]
struct Document {
    /// Its text so far, unless it is too large.
    text: Vec<u8>,
    bytes: usize,
    /// The brackets that are open.
    stack: Vec<u8>,
    deepest: usize,
    expect: Expect,
    opener: u8,
    on_first_line: bool,
    /// It is more than a bracket followed by a word or a number, which may also be the beginning of plain text.
    looks_like_json: bool,
    tainted: bool,
    word: Vec<u8>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Expect {
    #[default]
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    Text {
        key: bool,
    },
    Escaped {
        key: bool,
    },
    Hex {
        key: bool,
        left: u8,
    },
    Rest(&'static [u8]),
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

enum Step {
    More,
    Whole,
    Wrong,
}

impl Document {
    fn begin(opener: u8, tainted: bool) -> Self {
        let mut begun = Self { opener, tainted, on_first_line: true, ..Self::default() };
        begun.keep(opener);
        begun.open(opener);
        begun.looks_like_json = opener == b'{';
        begun
    }

    fn keep(&mut self, byte: u8) {
        self.bytes += 1;
        if self.bytes <= limits::RESULT_BYTES {
            self.text.push(byte);
        } else {
            self.text = Vec::new();
        }
    }

    fn open(&mut self, bracket: u8) {
        self.looks_like_json |= !self.stack.is_empty();
        self.stack.push(bracket);
        self.deepest = self.deepest.max(self.stack.len());
        self.expect = if bracket == b'{' { Expect::KeyOrEnd } else { Expect::ValueOrEnd };
    }

    fn in_string(&self) -> bool {
        matches!(self.expect, Expect::Text { .. } | Expect::Escaped { .. } | Expect::Hex { .. })
    }

    /// Whether the invalid byte may belong to a word right after the first bracket.
    fn may_be_word(&mut self) -> bool {
        let inner = self.text.get(1..).unwrap_or_default().trim_ascii();
        self.word = inner.strip_prefix(b"-").unwrap_or(inner).to_vec();
        self.word.len() <= WORD_BYTES
    }

    fn take(&mut self, byte: u8) -> Step {
        let step = self.step(byte);
        if matches!(step, Step::More | Step::Whole) {
            self.keep(byte);
        }
        if ends_line(byte) {
            self.on_first_line = false;
        }
        step
    }

    fn step(&mut self, byte: u8) -> Step {
        use Expect as E;
        self.expect = match (self.expect, byte) {
            (E::Text { key }, b'"') => {
                if key {
                    E::Colon
                } else {
                    E::CommaOrEnd
                }
            }
            (E::Text { key }, b'\\') => E::Escaped { key },
            (E::Text { .. }, 0x20..) => return Step::More,
            (E::Escaped { key }, b'u') => E::Hex { key, left: 4 },
            (E::Escaped { key }, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => E::Text { key },
            (E::Hex { key, left }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if left > 1 {
                    E::Hex { key, left: left - 1 }
                } else {
                    E::Text { key }
                }
            }
            (E::Rest(rest), _) if rest.first() == Some(&byte) => match rest.get(1..) {
                None | Some([]) => E::CommaOrEnd,
                Some(rest) => E::Rest(rest),
            },
            (E::Minus, b'0') => E::Zero,
            (E::Minus, b'1'..=b'9') => E::Integer,
            (E::Integer | E::Zero, b'.') => E::Point,
            (E::Integer, b'0'..=b'9') => E::Integer,
            (E::Point | E::Fraction, b'0'..=b'9') => E::Fraction,
            (E::Integer | E::Zero | E::Fraction, b'e' | b'E') => E::E,
            (E::E, b'+' | b'-') => E::Sign,
            (E::E | E::Sign | E::Exponent, b'0'..=b'9') => E::Exponent,
            // The number ends before this byte.
            (E::Zero | E::Integer | E::Fraction | E::Exponent, _) => {
                self.expect = E::CommaOrEnd;
                return self.step(byte);
            }
            (
                E::Value | E::ValueOrEnd | E::Key | E::KeyOrEnd | E::Colon | E::CommaOrEnd,
                b' ' | b'\t' | b'\n' | b'\r',
            ) => {
                self.looks_like_json |= self.expect == E::ValueOrEnd && ends_line(byte);
                return Step::More;
            }
            (E::ValueOrEnd | E::CommaOrEnd, b']') | (E::KeyOrEnd | E::CommaOrEnd, b'}') => return self.close(byte),
            (E::CommaOrEnd, b',') => {
                self.looks_like_json = true;
                if self.stack.last() == Some(&b'{') { E::Key } else { E::Value }
            }
            (E::Colon, b':') => E::Value,
            (E::Key | E::KeyOrEnd, b'"') => E::Text { key: true },
            (E::Value | E::ValueOrEnd, _) => return self.value(byte),
            _ => return Step::Wrong,
        };
        Step::More
    }

    fn value(&mut self, byte: u8) -> Step {
        self.expect = match byte {
            b'{' | b'[' if self.stack.len() < MAX_TRACKED_DEPTH => {
                self.open(byte);
                return Step::More;
            }
            b'"' => {
                self.looks_like_json = true;
                Expect::Text { key: false }
            }
            b'-' => Expect::Minus,
            b'0' => Expect::Zero,
            b'1'..=b'9' => Expect::Integer,
            b't' => Expect::Rest(b"rue"),
            b'f' => Expect::Rest(b"alse"),
            b'n' => Expect::Rest(b"ull"),
            _ => {
                self.looks_like_json |= byte == b'\'';
                return Step::Wrong;
            }
        };
        Step::More
    }

    fn close(&mut self, bracket: u8) -> Step {
        let opener = if bracket == b'}' { b'{' } else { b'[' };
        if self.stack.last() != Some(&opener) {
            return Step::Wrong;
        }
        self.stack.pop();
        self.expect = Expect::CommaOrEnd;
        if self.stack.is_empty() { Step::Whole } else { Step::More }
    }

    /// The result that a whole document gives.
    fn output(self, replaced: bool) -> Output {
        if self.tainted {
            return Output::Broken;
        }
        if self.bytes > limits::RESULT_BYTES {
            return Output::TooLarge(self.bytes);
        }
        if self.deepest > limits::RESULT_DEPTH {
            return Output::TooDeep(self.deepest);
        }
        let Ok(text) = String::from_utf8(self.text) else { return Output::Broken };
        if replaced && text.contains(char::REPLACEMENT_CHARACTER) {
            return Output::Broken;
        }
        Json::parse(&text).map_or(Output::Broken, Output::Json)
    }
}

#[cfg(test)]
mod tests;
