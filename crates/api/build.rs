//! Renders the page of errors, so that the API can serve it without a Markdown library.

use std::{error::Error, fs, path::Path};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

/// The text, which is also a page of the book.
const TEXT: &str = "../../docs/errors.md";

/// The page around that text.
const FRAME: &str = "src/docs/errors.html";

#[expect(clippy::disallowed_methods, reason = "Cargo says in a variable where the page goes")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={TEXT}");
    println!("cargo::rerun-if-changed={FRAME}");
    let text = fs::read_to_string(TEXT)?;
    let mut page = String::new();
    html::push_html(&mut page, anchored(Parser::new_ext(&text, Options::ENABLE_TABLES))?.into_iter());
    let page = fs::read_to_string(FRAME)?.replace("{errors}", &page);
    fs::write(Path::new(&std::env::var("OUT_DIR")?).join("errors.html"), page)?;
    Ok(())
}

/// The same events, with an anchor at each heading: `### invalid-json` is `#invalid-json`, as in the book.
fn anchored<'a>(mut events: impl Iterator<Item = Event<'a>>) -> Result<Vec<Event<'a>>, String> {
    let mut anchored = Vec::new();
    while let Some(event) = events.next() {
        match event {
            Event::Start(Tag::Heading { level, classes, attrs, .. }) => {
                let heading: Vec<_> =
                    events.by_ref().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_)))).collect();
                let id = heading.iter().filter_map(|event| match event {
                    Event::Text(text) | Event::Code(text) => Some(text.to_lowercase().replace(' ', "-")),
                    _ => None,
                });
                let id = Some(id.collect::<String>().into());
                anchored.push(Event::Start(Tag::Heading { level, id, classes, attrs }));
                anchored.extend(heading);
                anchored.push(Event::End(TagEnd::Heading(level)));
            }
            Event::Start(Tag::Link { ref dest_url, .. }) if !dest_url.starts_with("https://") => {
                return Err(format!("{TEXT} links to {dest_url}, which the API does not serve: give a full URL"));
            }
            other => anchored.push(other),
        }
    }
    Ok(anchored)
}
