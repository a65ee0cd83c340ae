//! `ListObjectsV2`.

use axum::response::Response;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::Transaction;

use super::{
    Asked, S3,
    answers::{CommonPrefix, Contents, ListBucketResult, Namespace, OWNER, Time},
    errors::S3Error,
    put::quoted,
    store::{self, Object},
    target::Query,
    xml,
};

/// The maximum number of keys and common prefixes in a response.
const MAX_KEYS: usize = 1_000;

/// The characters of keys that `encoding-type=url` does not encode.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/').remove(b' ');

/// Which objects to list.
#[derive(Debug)]
struct Listing {
    bucket: String,
    prefix: String,
    delimiter: Option<String>,
    /// The first key that may be listed.
    from: String,
    limit: usize,
}

/// A part of a list, in the order of its keys.
#[derive(Debug, Default)]
struct Page {
    objects: Vec<Object>,
    prefixes: Vec<String>,
    /// Where the next page begins, if there is one.
    next: Option<String>,
}

impl S3 {
    pub(super) async fn list_objects(&self, asked: Asked) -> Result<Response, S3Error> {
        let query = asked.target.query.clone();
        let name = self.bucket(&asked.target)?.name.clone();
        let listing = Listing::of(name.clone(), &query)?;
        let limit = listing.limit;
        let page = self.blocking(move |s3| s3.db.transact(|tx| listing.page(tx))).await?;
        let encodes = encodes(&query)?;
        let text = |text: &str| if encodes { encoded(text) } else { text.to_owned() };
        let owner = query.get("fetch-owner") == Some("true");
        let contents = page.objects.into_iter().map(|object| Contents {
            key: text(&object.key),
            last_modified: Time(object.modified),
            e_tag: quoted(&object.etag),
            checksum_algorithm: object.checksum.algorithm,
            checksum_type: object.checksum.of,
            size: object.size,
            storage_class: "STANDARD",
            owner: owner.then_some(OWNER),
        });
        let contents: Vec<_> = contents.collect();
        let prefixes = page.prefixes.iter().map(|prefix| CommonPrefix { prefix: text(prefix) });
        xml::respond(
            "ListBucketResult",
            &ListBucketResult {
                xmlns: Namespace,
                name,
                prefix: text(query.get("prefix").unwrap_or_default()),
                start_after: query.get("start-after").map(text),
                continuation_token: query.get("continuation-token").map(str::to_owned),
                next_continuation_token: page.next.as_ref().map(|next| BASE64.encode(next)),
                key_count: contents.len() + page.prefixes.len(),
                max_keys: limit,
                delimiter: query.get("delimiter").filter(|delimiter| !delimiter.is_empty()).map(text),
                encoding_type: encodes.then_some("url"),
                is_truncated: page.next.is_some(),
                contents,
                common_prefixes: prefixes.collect(),
            },
        )
    }
}

/// Whether keys are to be encoded.
pub(super) fn encodes(query: &Query) -> Result<bool, S3Error> {
    match query.get("encoding-type") {
        None => Ok(false),
        Some("url") => Ok(true),
        Some(other) => Err(S3Error::argument("encoding-type", other, "Invalid Encoding Method specified in Request")),
    }
}

/// A key as `encoding-type=url` has it.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string().replace(' ', "+")
}

/// A number of results, which is at most the one that S3 allows.
pub(super) fn limit(query: &Query, name: &str, most: usize) -> Result<usize, S3Error> {
    let Some(text) = query.get(name).filter(|text| !text.is_empty()) else { return Ok(most) };
    let wrong = |_| S3Error::argument(name, text, "Provided max-keys not an integer or within integer range");
    Ok(text.parse::<u32>().map_err(wrong)?.try_into().unwrap_or(most).min(most))
}

impl Listing {
    fn of(bucket: String, query: &Query) -> Result<Self, S3Error> {
        let text = |name: &str| query.get(name).filter(|text| !text.is_empty());
        let prefix = text("prefix").unwrap_or_default().to_owned();
        let from = match (text("continuation-token"), text("start-after")) {
            (Some(token), _) => resumed(token)?,
            (None, Some(after)) => following(after),
            (None, None) => String::new(),
        };
        Ok(Self {
            bucket,
            from: from.max(prefix.clone()),
            prefix,
            delimiter: text("delimiter").map(str::to_owned),
            limit: limit(query, "max-keys", MAX_KEYS)?,
        })
    }

    fn page(&self, tx: &Transaction<'_>) -> Result<Page, S3Error> {
        let mut page = Page::default();
        if self.limit == 0 {
            return Ok(page);
        }
        let end = after_prefix(&self.prefix);
        let mut from = self.from.clone();
        loop {
            let left = self.limit - page.objects.len() - page.prefixes.len();
            // One more than fits says whether there is a next page.
            let found = store::objects(tx, &self.bucket, &from, end.as_deref(), left + 1)?;
            let complete = found.len() <= left;
            let mut skip = None;
            for object in found {
                if page.objects.len() + page.prefixes.len() == self.limit {
                    page.next = Some(object.key);
                    return Ok(page);
                }
                match self.common_prefix(&object.key) {
                    Some(prefix) => {
                        skip = Some(after_prefix(&prefix));
                        page.prefixes.push(prefix);
                        break;
                    }
                    None => page.objects.push(object),
                }
            }
            match skip {
                // Nothing can follow.
                Some(None) => return Ok(page),
                Some(Some(next)) => from = next,
                None if complete => return Ok(page),
                None => return Err(S3Error::internal("a page of a list did not end")),
            }
        }
    }

    /// What stands for this key in a list with a delimiter: the key up to the delimiter.
    fn common_prefix(&self, key: &str) -> Option<String> {
        let delimiter = self.delimiter.as_deref()?;
        let rest = key.strip_prefix(&self.prefix)?;
        let (before, _) = rest.split_once(delimiter)?;
        Some(format!("{}{before}{delimiter}", self.prefix))
    }
}

/// The smallest key that is greater than this one.
fn following(key: &str) -> String {
    format!("{key}\0")
}

/// The smallest key that is greater than all keys with this prefix, if there is one.
pub(super) fn after_prefix(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // The range leaves out the surrogates, which are not characters.
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

fn resumed(token: &str) -> Result<String, S3Error> {
    let decoded = BASE64.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let wrong = || S3Error::argument("continuation-token", token, "The continuation token provided is incorrect");
    decoded.ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_after_a_prefix_is_greater_than_all_keys_with_it() {
        assert_eq!(after_prefix("a/").as_deref(), Some("a0"));
        assert_eq!(after_prefix("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(after_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(after_prefix("\u{10ffff}"), None);
        assert_eq!(after_prefix(""), None);
        assert!("a/\u{10ffff}\u{10ffff}" < after_prefix("a/").unwrap().as_str());
    }

    #[test]
    fn keys_are_encoded_as_in_s3() {
        assert_eq!(encoded("a b/c+d%e_ü"), "a+b/c%2Bd%25e_%C3%BC");
    }
}
