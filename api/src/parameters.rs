//! The parameters of a request: those of its query, each known, given once and understood, or the request is refused. A
//! misspelt filter that is ignored lists everything; a misspelt `validateOnly` starts a job.

use std::{collections::BTreeMap, str::FromStr};

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};

use utoipa::IntoResponses;

use crate::problem::{Answers, Code, Problem, answers};

/// Latest attempt that can be asked about: far later than any that an execution comes to.
pub(crate) const LATEST_ATTEMPT: u32 = 1_000;

/// What stands in the query and was not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Parameters(BTreeMap<String, String>);

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(pairs) = pairs.map_err(|_| invalid("the query cannot be read"))?;
        let mut parameters = BTreeMap::new();
        for (name, value) in pairs {
            if parameters.insert(name.clone(), value).is_some() {
                return Err(invalid(&format!("{name} is given more than once")));
            }
        }
        Ok(Self(parameters))
    }
}

/// Of an operation that has none.
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

impl Parameters {
    /// Takes a parameter, if it is there; `must` says what it has to be.
    pub(crate) fn take<T>(
        &mut self,
        name: &str,
        must: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.0.remove(name) else { return Ok(None) };
        read(&text).map(Some).ok_or_else(|| invalid(&format!("{name} must be {must}")))
    }

    /// Takes a whole number from `least` to `most`.
    pub(crate) fn number<T>(&mut self, name: &str, least: T, most: T) -> Result<Option<T>, Problem>
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

    /// Takes a yes or no; no if it is absent.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        let said = self.take(name, "true or false", |text| text.parse().ok())?;
        Ok(said.unwrap_or_default())
    }

    /// Nothing may be left.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        match self.0.into_keys().next() {
            Some(unknown) => Err(invalid(&format!("{unknown} is no parameter of this operation"))),
            None => Ok(()),
        }
    }
}

fn invalid(detail: &str) -> Problem {
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
    async fn every_parameter_is_known_given_once_and_understood() {
        let mut parameters = of("n=7&yes=true&a%20b=%C3%A4").await.unwrap();
        assert_eq!(parameters.number("n", 1, 10).unwrap(), Some(7));
        assert_eq!(parameters.number("m", 1, 10).unwrap(), None);
        assert_eq!((parameters.flag("yes").unwrap(), parameters.flag("no").unwrap()), (true, false));
        assert_eq!(parameters.take("a b", "text", |text| Some(text.to_owned())).unwrap().as_deref(), Some("ä"));
        parameters.finish().unwrap();

        assert!(of("n=1&n=1").await.is_err());
        assert!(of("n=1").await.unwrap().finish().is_err());
        for wrong in ["0", "11", "-1", "+1", "1.0", "", "x", "99999999999999999999"] {
            assert!(of(&format!("n={wrong}")).await.unwrap().number("n", 1, 10).is_err(), "{wrong}");
            assert!(of(&format!("yes={wrong}")).await.unwrap().flag("yes").is_err(), "{wrong}");
        }
    }
}
