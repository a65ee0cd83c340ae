//! The body of a request that starts a batch.

use contract::catalog::Catalog;
use domain::{Json, Pattern, batch, limits};
use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type, schema::SchemaType},
};

use crate::{
    answers::{
        model::NewExecution,
        problem::{FieldError, Problem},
    },
    extract::{
        body::{Described, with_violations},
        object::{self, Members},
    },
};

/// Many jobs to be run.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"executions": [
    {"input": {"message": "Hello", "processingTime": 3}},
    {"pattern": "callback", "job": "demo", "input": {"message": "Bye", "processingTime": 3}}
]}))]
pub(crate) struct NewBatch {
    /// 1 to 1,000 executions, each accepted or refused by itself.
    #[schema(min_items = 1, max_items = 1000)]
    executions: Vec<NewBatchExecution>,
}

/// One of them, as it was sent, and what could be read of it.
#[derive(Debug)]
pub(crate) struct NewBatchExecution {
    text: Json,
    pattern: Pattern,
    new: NewExecution,
    errors: Vec<FieldError>,
}

/// The schema of a request for one execution, with its pattern.
impl PartialSchema for NewBatchExecution {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut one)) = NewExecution::schema() else { return NewExecution::schema() };
        let pattern = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .enum_values(Some([json!("sync"), json!("callback"), json!(null)]))
            .description(Some("How the end of its job is recorded; `sync` if absent."));
        one.properties.insert("pattern".to_owned(), pattern.build().into());
        one.description = Some("A job to be run, as one of a batch.".to_owned());
        one.into()
    }
}

impl ToSchema for NewBatchExecution {
    fn name() -> std::borrow::Cow<'static, str> {
        "NewBatchExecution".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        NewExecution::schemas(schemas);
    }
}

impl NewBatch {
    /// Which values the request has: see [`batch::fingerprint`].
    pub(super) fn fingerprint(&self) -> String {
        batch::fingerprint(self.executions.iter().map(|one| &one.text))
    }

    /// The executions, in their order.
    pub(super) fn into_executions(self) -> Vec<NewBatchExecution> {
        self.executions
    }
}

impl NewBatchExecution {
    fn read(text: Json) -> Self {
        let mut errors = Vec::new();
        let mut members = Members::of(&text, "", &mut errors).unwrap_or_default();
        let pattern = members.optional("pattern");
        let pattern = pattern.and_then(|given| read_pattern(&given, members.pointer("pattern"), &mut errors));
        let new = NewExecution::read(&mut members, &mut errors);
        Self { text, pattern: pattern.unwrap_or(Pattern::Sync), new, errors }
    }

    /// Its pattern and its request; or what is wrong with it, if a part of it cannot be read.
    pub(super) fn readable(self, catalog: &Catalog) -> Result<(Pattern, NewExecution), Vec<FieldError>> {
        if self.errors.is_empty() {
            return Ok((self.pattern, self.new));
        }
        Err(with_violations(self.errors, self.new, catalog))
    }
}

fn read_pattern(given: &Json, at: String, errors: &mut Vec<FieldError>) -> Option<Pattern> {
    let text: String = object::read(given, at.clone(), "`sync` or `callback`", errors)?;
    let pattern = text.parse().ok();
    if pattern.is_none() {
        errors.push(object::error(at, "must be `sync` or `callback`"));
    }
    pattern
}

impl Described for NewBatch {
    const EXAMPLE: &str = r#"{"executions": [{"input": …}]}"#;
    const LARGEST: usize = limits::BATCH_BODY_BYTES;

    fn read(body: &mut Members, errors: &mut Vec<FieldError>) -> Self {
        let mut body = std::mem::take(body);
        let no_object = !errors.is_empty() && body.is_empty();
        let given = body.take("executions");
        let at = body.pointer("executions");
        if given.is_none() && !no_object && !body.misspells(&["executions"]) {
            errors.push(body.lacks(format_args!(
                "`executions`; it is required: an array of 1 to {} executions",
                limits::BATCH_EXECUTIONS
            )));
        }
        let all: Option<Vec<Json>> =
            given.and_then(|given| object::read(&given, at.clone(), "an array of executions", errors));
        body.finish(errors);
        let all = all.unwrap_or_default();
        let count = all.len();
        if errors.is_empty() && !(1..=limits::BATCH_EXECUTIONS).contains(&count) {
            let detail = format!("has {count} executions; it must have 1 to {}", limits::BATCH_EXECUTIONS);
            errors.push(FieldError { pointer: at, detail, rule: "batch-size" });
        }
        let all = if errors.is_empty() { all } else { Vec::new() };
        Self { executions: all.into_iter().map(NewBatchExecution::read).collect() }
    }

    fn wrong(self, _: &Catalog, _: &[FieldError]) -> Vec<FieldError> {
        Vec::new()
    }
}

/// The problem of a batch of which everything was refused.
pub(super) fn nothing_accepted(refused: impl Iterator<Item = (u32, Vec<FieldError>)>) -> Problem {
    let within = |(index, errors): (u32, Vec<FieldError>)| {
        let within =
            move |error: FieldError| FieldError { pointer: format!("/executions/{index}{}", error.pointer), ..error };
        errors.into_iter().map(within)
    };
    Problem::invalid_body(refused.flat_map(within).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> (NewBatch, Vec<(String, String)>) {
        let mut errors = Vec::new();
        let mut members = Members::of(&Json::parse(body).unwrap(), "", &mut errors).unwrap_or_default();
        let new = NewBatch::read(&mut members, &mut errors);
        (new, errors.into_iter().map(|error| (error.pointer, error.detail)).collect())
    }

    #[test]
    fn a_batch_has_1_to_1000_executions() {
        let of = |count: usize| format!(r#"{{"executions": [{}]}}"#, vec![r#"{"input": 1}"#; count].join(","));
        for (body, pointer, detail) in [
            ("{}", "", "has no `executions`; it is required: an array of 1 to 1000 executions"),
            ("[]", "", "is an array; it must be an object"),
            (r#"{"executions": {}}"#, "/executions", "is an object; it must be an array of executions"),
            (r#"{"executions": null}"#, "/executions", "is null; it must be an array of executions"),
            (r#"{"execution": []}"#, "/execution", "is not a member of this object; did you mean `executions`?"),
            (&of(0), "/executions", "has 0 executions; it must have 1 to 1000"),
            (&of(1_001), "/executions", "has 1001 executions; it must have 1 to 1000"),
        ] {
            assert_eq!(read(body).1, [(pointer.to_owned(), detail.to_owned())], "{body:.50}");
        }
        for count in [1, 1_000] {
            let (new, errors) = read(&of(count));
            assert_eq!((new.executions.len(), errors), (count, vec![]));
        }
    }

    #[test]
    fn each_execution_has_its_own_errors() {
        let (new, errors) = read(
            r#"{"executions": [{"input": 1}, 7, {"input": 1, "pattern": "async", "tags": {"a": 1}}, {"pattern": "callback", "Job": "x"}]}"#,
        );
        assert_eq!(errors, []);
        let catalog = contract::catalog::read(r#"{"demo": {"taskDefinition": "t"}}"#).unwrap();
        let mut found = Vec::new();
        for one in new.executions {
            found.push(match one.readable(&catalog) {
                Ok((pattern, _)) => vec![(pattern.to_string(), String::new())],
                Err(errors) => errors.into_iter().map(|error| (error.pointer, error.detail)).collect(),
            });
        }
        let expected = [
            &[("sync", "")][..],
            &[("", "is a number; it must be an object")],
            &[("/pattern", "must be `sync` or `callback`"), ("/tags/a", "is a number; it must be a string")],
            &[
                ("", "has no `input`; it is required, and may be null"),
                ("/Job", "is not a member of this object; did you mean `job`?"),
            ],
        ];
        let expected: Vec<Vec<_>> = expected
            .iter()
            .map(|errors| errors.iter().map(|(at, why)| ((*at).to_owned(), (*why).to_owned())).collect())
            .collect();
        assert_eq!(found, expected);
    }
}
