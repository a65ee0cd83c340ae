//! Finds members of the same object that have the same name. Readers of JSON differ about which of them counts
//! (<https://www.rfc-editor.org/rfc/rfc8259#section-4>).

use std::{borrow::Cow, collections::HashSet};

use crate::pointer_to;

/// In an object with more members, names are looked up in a set.
const FEW: usize = 16;

/// An array or object whose end has not been reached.
enum Open<'a> {
    /// The place of its current item.
    Array(usize),
    Object(Object<'a>),
}

struct Object<'a> {
    /// Where its names begin in the names of all open objects.
    names: usize,
    /// All its names, if there are more than [`FEW`].
    set: Option<HashSet<Cow<'a, str>>>,
    /// Whether the next string is a name.
    expects_name: bool,
}

/// The places, as JSON Pointers, of the names that objects of this JSON text repeat, until `most` repeats are found. It passes over the
/// text once and does not recurse.
pub(super) fn repeated<'a>(text: &'a str, most: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<Open<'a>> = Vec::new();
    // The names of all open objects. The last one of each object is that of its current member.
    let mut names: Vec<Cow<'a, str>> = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' => open.push(Open::Object(Object { names: names.len(), set: None, expects_name: true })),
            b'[' => open.push(Open::Array(0)),
            b'}' | b']' => {
                if let Some(Open::Object(object)) = open.pop() {
                    names.truncate(object.names);
                }
            }
            b',' => match open.last_mut() {
                Some(Open::Object(object)) => object.expects_name = true,
                Some(Open::Array(place)) => *place += 1,
                None => {}
            },
            b'"' => {
                let end = end_of_string(bytes, at + 1);
                if let Some(Open::Object(object)) = open.last_mut()
                    && object.expects_name
                {
                    object.expects_name = false;
                    let name = unescaped(text.get(at + 1..end).unwrap_or_default());
                    let is_repeated = object.has(name.clone(), &names);
                    names.push(name);
                    if is_repeated {
                        found.push(pointer(&open, &names));
                        if found.len() == most {
                            break;
                        }
                    }
                }
                at = end;
            }
            _ => {}
        }
        at += 1;
    }
    let mut seen = HashSet::new();
    found.retain(|pointer| seen.insert(pointer.clone()));
    found
}

impl<'a> Object<'a> {
    /// Whether it has a name already, which is then added to its set if there is one.
    fn has(&mut self, name: Cow<'a, str>, names: &[Cow<'a, str>]) -> bool {
        let own = names.get(self.names..).unwrap_or_default();
        if own.len() < FEW {
            return own.contains(&name);
        }
        let set = self.set.get_or_insert_with(|| own.iter().cloned().collect());
        !set.insert(name)
    }
}

/// The place of the quotation mark that ends a string whose content begins at `from`.
fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') | None => return at,
            Some(_) => at += 1,
        }
    }
}

/// The name that a string's content stands for. Content that is not Unicode, such as `\ud800`, stands for itself.
fn unescaped(content: &str) -> Cow<'_, str> {
    let read = content.contains('\\').then(|| serde_json::from_str(&format!("\"{content}\"")).ok());
    read.flatten().map_or(Cow::Borrowed(content), Cow::Owned)
}

/// Where the current member is.
fn pointer(open: &[Open<'_>], names: &[Cow<'_, str>]) -> String {
    // The name of an object's current member is the last before the names of the next open object.
    let begins = open.iter().filter_map(|open| match open {
        Open::Object(object) => Some(object.names),
        Open::Array(_) => None,
    });
    let mut ends = begins.skip(1).chain([names.len()]);
    let step = |open: &Open<'_>| match open {
        Open::Array(place) => format!("/{place}"),
        Open::Object(_) => {
            let name = ends.next().and_then(|end| names.get(end.checked_sub(1)?));
            pointer_to(name.map_or("", |name| name))
        }
    };
    open.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use crate::Json;

    fn repeated(text: &str) -> Vec<String> {
        Json::parse(text).unwrap().repeated_names(5)
    }

    #[test]
    fn a_repeated_name_is_found_with_its_pointer() {
        for (text, pointers) in [
            (r#"{"a": 1, "a": 2}"#, &["/a"][..]),
            (r#"{"a": 1, "a": 2, "a": {"b": [], "b": 1}}"#, &["/a", "/a/b"]),
            (r#"[0, {"x": {"a/b": [[{}, {"c": "c", "d~": 1, "d~": "}"}]]}}]"#, &["/1/x/a~1b/0/1/d~0"]),
            (r#"{"\u0061": 1, "a": 2}"#, &["/a"]),
            (r#"{"\ud800": 1, "\ud800": 2}"#, &["/\\ud800"]),
            (r#"{"": 1, "": 2}"#, &["/"]),
            (r#"{"a": {"b": 1}, "b": {"a": [{"a": 1}, {"a": 1}]}}"#, &[]),
            (r#"{"a": "\",\"a\":\"", "b": "a", "c": ["a", "a", {"a": "a"}]}"#, &[]),
            (r#""a""#, &[]),
            ("[]", &[]),
        ] {
            assert_eq!(repeated(text), pointers, "{text}");
        }
    }

    #[test]
    fn a_repeated_name_is_found_in_an_object_of_any_size() {
        for size in 1..40 {
            let members =
                |from: usize| (from..size).map(|n| format!("\"k{n}\": {{\"k0\": {n}}}")).collect::<Vec<_>>().join(",");
            assert_eq!(repeated(&format!("{{{}}}", members(0))), [""; 0], "{size}");
            for again in 0..size {
                let text = format!("[{{{}, \"k{again}\": 0}}]", members(0));
                assert_eq!(repeated(&text), [format!("/0/k{again}")], "{text}");
            }
        }
        let many = (0..40).map(|n| format!("\"{}\": 0", n % 20)).collect::<Vec<_>>().join(",");
        assert_eq!(repeated(&format!("{{{many}}}")), ["/0", "/1", "/2", "/3", "/4"]);
    }

    #[test]
    fn very_deep_json_does_not_exhaust_the_stack() {
        let deep = format!("{}{{\"a\":1,\"a\":1}}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(repeated(&deep), [format!("{}/a", "/0".repeat(100_000))]);
    }
}
