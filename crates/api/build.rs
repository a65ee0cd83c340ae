//! Prepares the documentation that the API serves: renders the page of errors, so that no Markdown library is needed at run time, and takes
//! from Swagger UI the files that its page uses, which are less than half of it.

use std::{error::Error, fs, io::Cursor, path::Path};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

/// The text, which is also a page of the book.
const TEXT: &str = "../../docs/errors.md";

/// The page around that text.
const FRAME: &str = "src/docs/errors.html";

/// The files of Swagger UI that its page uses.
const SWAGGER_UI: [&str; 2] = ["swagger-ui.css", "swagger-ui-bundle.js"];

#[expect(clippy::disallowed_methods, reason = "Cargo says in a variable where the files go")]
fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::var("OUT_DIR")?;
    errors(Path::new(&out))?;
    swagger_ui(Path::new(&out))
}

fn swagger_ui(out: &Path) -> Result<(), Box<dyn Error>> {
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    for name in SWAGGER_UI {
        // The archive has one directory, with the version in its name.
        let end = format!("/dist/{name}");
        let paths: Vec<_> = archive.file_names().filter_map(|path| Some(path.ok()?.into_owned())).collect();
        let path = paths.iter().find(|path| path.ends_with(&end));
        let path = path.ok_or_else(|| format!("Swagger UI has no {name}"))?;
        std::io::copy(&mut archive.by_name(path)?, &mut fs::File::create(out.join(name))?)?;
    }
    Ok(())
}

fn errors(out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={TEXT}");
    println!("cargo::rerun-if-changed={FRAME}");
    let text = fs::read_to_string(TEXT)?;
    let mut page = String::new();
    html::push_html(&mut page, anchored(Parser::new_ext(&text, Options::ENABLE_TABLES))?.into_iter());
    let page = fs::read_to_string(FRAME)?.replace("{errors}", &page);
    fs::write(out.join("errors.html"), page)?;
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
