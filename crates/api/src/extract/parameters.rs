//! The query parameters of a request. Each must be known, given once and valid, or the request is refused: if a misspelled filter were
//! ignored, a list would contain everything.

use std::{collections::BTreeMap, str::FromStr};

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};

use jiff::Timestamp;
use utoipa::IntoResponses;

use crate::{
    answers::{
        problem::{Answers, Code, Problem, answers},
        time,
    },
    extract::hint,
};

/// Highest attempt that a request may name: far more than any execution has.
pub(crate) const LATEST_ATTEMPT: u32 = 1_000;

/// The parameters in the query that have not been taken yet, and those that the operation takes.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    given: BTreeMap<String, String>,
    known: Vec<&'static str>,
}

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(pairs) = pairs.map_err(|_| invalid("the query is not percent-encoded UTF-8"))?;
        let mut parameters = BTreeMap::new();
        for (name, value) in pairs {
            if parameters.insert(name.clone(), value).is_some() {
                return Err(invalid(format!("query parameter `{name}` is given more than once")));
            }
        }
        Ok(Self { given: parameters, known: Vec::new() })
    }
}

/// For an operation that has no parameters.
pub(crate) struct NoParameters;

impl<S: Sync> FromRequestParts<S> for NoParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Parameters::from_request_parts(parts, state).await?.finish().map(|()| Self)
    }
}

impl IntoResponses for NoParameters {
    fn responses() -> Answers {
        answers(&[Code::InvalidParameter])
    }
}

/// A caller's text in quotes, with escapes for what cannot be printed.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

impl Parameters {
    /// Takes a parameter, if it is present; `must` says what it must be.
    pub(crate) fn take<T>(
        &mut self,
        name: &'static str,
        must: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        self.take_or(name, read, |text| format!("`{name}` is {}; it must be {must}", quoted(text)))
    }

    /// Takes a parameter that has one of these values, by their names.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        all: &[(&'static str, T)],
    ) -> Result<Option<T>, Problem> {
        let read = |text: &str| all.iter().find(|(value, _)| *value == text).map(|(_, value)| *value);
        self.take_or(name, read, |text| {
            let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
            let meant =
                hint::suggestion(text, &names).map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
            format!("`{name}` is {}, which is not one of {}{meant}", quoted(text), names.join(", "))
        })
    }

    /// Takes a comma-separated list of these names; empty if the parameter is absent.
    pub(crate) fn names(&mut self, name: &'static str, all: &[&'static str]) -> Result<Vec<&'static str>, Problem> {
        let known = |text: &str| all.iter().copied().find(|known| *known == text);
        let read = |text: &str| text.split(',').map(known).collect::<Option<Vec<_>>>();
        let taken = self.take_or(name, read, |text| {
            let unknown = text.split(',').find(|text| known(text).is_none()).unwrap_or_default();
            let meant =
                hint::suggestion(unknown, all).map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
            format!("`{name}` has {}, which is not one of {}{meant}", quoted(unknown), all.join(", "))
        });
        Ok(taken?.unwrap_or_default())
    }

    /// Takes a time.
    pub(crate) fn time(&mut self, name: &'static str) -> Result<Option<Timestamp>, Problem> {
        self.take_or(name, time::read, |text| {
            if time::read(&text.replace(' ', "+")).is_some() {
                let text = quoted(text);
                return format!("`{name}` is {text}: in a query + means a space; write %2B for the offset's +");
            }
            format!("`{name}` is {}; it must be an RFC 3339 time such as 2026-03-02T09:00:00Z", quoted(text))
        })
    }

    fn take_or<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
        wrong: impl FnOnce(&str) -> String,
    ) -> Result<Option<T>, Problem> {
        self.known.push(name);
        let Some(text) = self.given.remove(name) else { return Ok(None) };
        read(&text).map(Some).ok_or_else(|| invalid(wrong(&text)))
    }

    /// Takes a whole number from `least` to `most`.
    pub(crate) fn number<T>(&mut self, name: &'static str, least: T, most: T) -> Result<Option<T>, Problem>
    where
        T: FromStr + PartialOrd + Copy + std::fmt::Display,
    {
        let range = format!("a whole number from {least} to {most}");
        self.take(name, &range, |text| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|_| digits)?;
            (least <= number && number <= most).then_some(number)
        })
    }

    /// Refuses parameters that were not taken.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        let Some(unknown) = self.given.into_keys().next() else { return Ok(()) };
        let instead = match (hint::suggestion(&unknown, &self.known), self.known.as_slice()) {
            (Some(meant), _) => format!("did you mean `{meant}`?"),
            (None, []) => "this operation has none".to_owned(),
            (None, known) => format!("this operation has {}", hint::list(known)),
        };
        Err(invalid(format!("unknown query parameter `{unknown}`; {instead}")))
    }
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidParameter, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(query: &str) -> Result<Parameters, Problem> {
        let request = axum::http::Request::get(format!("/x?{query}")).body(()).unwrap();
        Parameters::from_request_parts(&mut request.into_parts().0, &()).await
    }

    #[tokio::test]
    async fn unknown_repeated_and_invalid_parameters_are_refused() {
        let mut parameters = of("n=7&a%20b=%C3%A4").await.unwrap();
        assert_eq!(parameters.number("n", 1, 10).unwrap(), Some(7));
        assert_eq!(parameters.number("m", 1, 10).unwrap(), None);
        assert_eq!(parameters.take("a b", "text", |text| Some(text.to_owned())).unwrap().as_deref(), Some("ä"));
        parameters.finish().unwrap();

        let says = |result: Result<(), Problem>, detail: &str| {
            assert_eq!(serde_json::to_value(result.unwrap_err().body("r")).unwrap()["detail"], detail);
        };
        let mut parameters = of("limit=10").await.unwrap();
        parameters.number("pageSize", 1, 10).unwrap();
        says(parameters.finish(), "unknown query parameter `limit`; did you mean `pageSize`?");
        let mut parameters = of("colour=red").await.unwrap();
        parameters.number("pageSize", 1, 10).unwrap();
        says(parameters.finish(), "unknown query parameter `colour`; this operation has `pageSize`");
        says(of("x=1").await.unwrap().finish(), "unknown query parameter `x`; this operation has none");
        let all = [("COMPLETED", 1), ("FAILED", 2)];
        let status = of("s=completed").await.unwrap().choice("s", &all).map(|_| ());
        says(status, "`s` is \"completed\", which is not one of COMPLETED, FAILED; did you mean COMPLETED?");
        assert_eq!(of("s=FAILED").await.unwrap().choice("s", &all).unwrap(), Some(2));
        let names = async |text: &str| of(&format!("i={text}")).await.unwrap().names("i", &["result", "error"]);
        assert_eq!(names("error,result").await.unwrap(), ["error", "result"]);
        assert_eq!(of("").await.unwrap().names("i", &["result"]).unwrap(), Vec::<&str>::new());
        says(names("result,").await.map(|_| ()), "`i` has \"\", which is not one of result, error");
        says(
            names("result,eror").await.map(|_| ()),
            "`i` has \"eror\", which is not one of result, error; did you mean error?",
        );
        let time = of("t=2026-03-02T09:00:00+02:00").await.unwrap().time("t").map(|_| ());
        says(time, "`t` is \"2026-03-02T09:00:00 02:00\": in a query + means a space; write %2B for the offset's +");

        assert!(of("n=1&n=1").await.is_err());
        assert!(of("n=1").await.unwrap().finish().is_err());
        for wrong in ["0", "11", "-1", "+1", "1.0", "", "x", "99999999999999999999"] {
            assert!(of(&format!("n={wrong}")).await.unwrap().number("n", 1, 10).is_err(), "{wrong}");
        }
    }
}
