//! The JSON Schemas of the jobs' inputs.
//!
//! A schema cannot load another document: neither a file nor an address. Regular expressions take linear time.

use std::{borrow::Cow, collections::BTreeMap, error::Error, fmt, sync::OnceLock};

use boon::{Compiler, ErrorKind, InstanceToken, SchemaIndex, UrlLoader, ValidationError};
use contract::catalog::Catalog;
use domain::{Json, pointer_to};
use serde_json::Value;

use crate::answers::problem::{FieldError, Problem};

/// The rule that an input violates if it does not have the form that its job requires.
const RULE: &str = "input-schema";

/// How many violations of an input are reported.
const VIOLATIONS: usize = 20;

/// Longest part of a schema or of a name that a detail repeats, in bytes.
const PART: usize = 100;

/// Longest pointer, in bytes. One that is longer ends at the last member that fits.
const POINTER: usize = 500;

/// The address of every schema, which is only a name.
const ADDRESS: &str = "job:///input";

/// The schemas of the jobs that have one, by job. Each is compiled when the first input of its job arrives, so that a start of the function
/// does not take longer for many jobs.
pub(crate) struct Schemas(BTreeMap<String, InputSchema>);

struct InputSchema {
    text: Json,
    compiled: OnceLock<Result<Compiled, String>>,
}

struct Compiled {
    schemas: boon::Schemas,
    index: SchemaIndex,
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Schemas {
    pub(crate) fn of(catalog: &Catalog) -> Self {
        let schema = |text: &Json| InputSchema { text: text.clone(), compiled: OnceLock::new() };
        let of_job =
            |(name, job): (&String, &contract::catalog::Job)| Some((name.clone(), schema(job.input.as_ref()?)));
        Self(catalog.iter().filter_map(of_job).collect())
    }

    /// What is wrong with an input, according to the schema of its job. The input must be within the limits.
    ///
    /// # Errors
    ///
    /// If the schema itself is not valid.
    pub(crate) fn violations(&self, job: &str, input: &Json) -> Result<Vec<FieldError>, Problem> {
        let Some(schema) = self.0.get(job) else { return Ok(Vec::new()) };
        let compiled = schema.compiled.get_or_init(|| Compiled::of(&schema.text)).as_ref();
        let compiled = compiled
            .map_err(|why| Problem::internal(format!("the input schema of the job {job} is not valid: {why}")))?;
        let input: Value = serde_json::from_str(input.text()).map_err(|why| Problem::inside(&why))?;
        Ok(compiled.violations(&input))
    }
}

/// Refuses to load what a schema refers to.
struct Nothing;

impl UrlLoader for Nothing {
    fn load(&self, _: &str) -> Result<Value, Box<dyn Error>> {
        Err("a schema cannot refer to another document".into())
    }
}

impl Compiled {
    fn of(text: &Json) -> Result<Self, String> {
        let schema = serde_json::from_str(text.text()).map_err(|why| why.to_string())?;
        let (mut compiler, mut schemas) = (Compiler::new(), boon::Schemas::new());
        compiler.use_loader(Box::new(Nothing));
        compiler.add_resource(ADDRESS, schema).map_err(|why| why.to_string())?;
        let index = compiler.compile(ADDRESS, &mut schemas).map_err(|why| format!("{why:#}"))?;
        Ok(Self { schemas, index })
    }

    fn violations(&self, input: &Value) -> Vec<FieldError> {
        let Err(error) = self.schemas.validate(input, self.index) else { return Vec::new() };
        let mut found = Vec::new();
        collect(&error, &mut found);
        found
    }
}

/// The mistakes that a violation consists of, at most [`VIOLATIONS`].
fn collect(error: &ValidationError<'_, '_>, found: &mut Vec<FieldError>) {
    if found.len() >= VIOLATIONS {
        return;
    }
    match detail(&error.kind) {
        Some(detail) => {
            let violation = FieldError { pointer: pointer(&error.instance_location.tokens), detail, rule: RULE };
            if !found.contains(&violation) {
                found.push(violation);
            }
        }
        None => error.causes.iter().for_each(|cause| collect(cause, found)),
    }
}

fn pointer(tokens: &[InstanceToken<'_>]) -> String {
    let mut pointer = "/input".to_owned();
    for token in tokens {
        let step = match token {
            InstanceToken::Prop(name) => pointer_to(name),
            InstanceToken::Item(index) => format!("/{index}"),
        };
        if pointer.len() + step.len() > POINTER {
            break;
        }
        pointer.push_str(&step);
    }
    pointer
}

/// What is wrong with a value, without the value itself, which may be large or secret. `None` if only its causes say that.
fn detail(kind: &ErrorKind<'_, '_>) -> Option<String> {
    Some(match kind {
        ErrorKind::Group
        | ErrorKind::Schema { .. }
        | ErrorKind::ContentSchema
        | ErrorKind::Reference { .. }
        | ErrorKind::AllOf => return None,
        ErrorKind::Type { got, want } => {
            let want: Vec<_> = want.iter().map(|want| want.to_string()).collect();
            format!("is of type {got}; it must be of type {}", want.join(" or "))
        }
        ErrorKind::Enum { want } => format!("must be one of {}", part(&Value::from((*want).clone()).to_string())),
        ErrorKind::Const { want } => format!("must be {}", part(&want.to_string())),
        ErrorKind::Required { want } => format!("lacks {}", names(want)),
        ErrorKind::Dependency { prop, missing } | ErrorKind::DependentRequired { prop, missing } => {
            format!("has {} but lacks {}", part(prop), names(missing))
        }
        ErrorKind::AdditionalProperties { got } => format!("has members that the job does not allow: {}", names(got)),
        ErrorKind::PropertyName { prop } => format!("has a member whose name is not allowed: {}", part(prop)),
        ErrorKind::MinProperties { got, want } => format!("has {got} members; it must have at least {want}"),
        ErrorKind::MaxProperties { got, want } => format!("has {got} members; it must have at most {want}"),
        ErrorKind::MinItems { got, want } => format!("has {got} items; it must have at least {want}"),
        ErrorKind::MaxItems { got, want } => format!("has {got} items; it must have at most {want}"),
        ErrorKind::AdditionalItems { got } => format!("has {got} more items than the job allows"),
        ErrorKind::UniqueItems { got: [one, other] } => format!("has equal items at {one} and {other}"),
        ErrorKind::Contains => "has no item of the kind that the job requires".to_owned(),
        ErrorKind::MinContains { got, want } => {
            format!("has {} items of the kind that the job requires; it must have at least {want}", got.len())
        }
        ErrorKind::MaxContains { got, want } => {
            format!("has {} items of a kind of which it must have at most {want}", got.len())
        }
        ErrorKind::MinLength { got, want } => format!("has {got} characters; it must have at least {want}"),
        ErrorKind::MaxLength { got, want } => format!("has {got} characters; it must have at most {want}"),
        ErrorKind::Pattern { want, .. } => format!("does not match the pattern {}", part(want)),
        ErrorKind::Format { want, .. } => format!("is not a valid {want}"),
        ErrorKind::ContentEncoding { want, .. } => format!("is not encoded as {want}"),
        ErrorKind::ContentMediaType { want, .. } => format!("is not {want}"),
        ErrorKind::Minimum { want, .. } => format!("must be at least {want}"),
        ErrorKind::Maximum { want, .. } => format!("must be at most {want}"),
        ErrorKind::ExclusiveMinimum { want, .. } => format!("must be more than {want}"),
        ErrorKind::ExclusiveMaximum { want, .. } => format!("must be less than {want}"),
        ErrorKind::MultipleOf { want, .. } => format!("must be a multiple of {want}"),
        ErrorKind::FalseSchema => "is not allowed here".to_owned(),
        ErrorKind::Not => "has a form that the job excludes (`not`)".to_owned(),
        ErrorKind::AnyOf => "has none of the forms that the job allows (`anyOf`)".to_owned(),
        ErrorKind::OneOf(None) => "has none of the forms that the job allows (`oneOf`)".to_owned(),
        ErrorKind::OneOf(Some(_)) => "has more than one of the forms of which it must have one (`oneOf`)".to_owned(),
        ErrorKind::RefCycle { .. } => {
            "cannot be checked, because the job's schema refers to itself in a circle".to_owned()
        }
    })
}

/// A few names, quoted.
fn names(all: &[impl AsRef<str>]) -> String {
    const MOST: usize = 5;
    let named: Vec<_> = all.iter().take(MOST).map(|name| format!("`{}`", part(name.as_ref()))).collect();
    let more = all.len().saturating_sub(MOST);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

/// A text, or its beginning if it is long.
fn part(text: &str) -> Cow<'_, str> {
    match text.get(..text.floor_char_boundary(PART)) {
        Some(beginning) if beginning.len() < text.len() => format!("{beginning}…").into(),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compiled(schema: &Value) -> Compiled {
        Compiled::of(&Json::parse(&schema.to_string()).unwrap()).unwrap()
    }

    #[track_caller]
    fn violates(schema: &Value, input: &Value, expected: &[(&str, &str)]) {
        let found = compiled(schema).violations(input);
        let mut found: Vec<_> = found.iter().map(|found| (&*found.pointer, &*found.detail)).collect();
        found.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn every_violation_has_its_pointer_and_says_what_is_allowed() {
        let schema = json!({
            "type": "object",
            "required": ["order", "pages"],
            "additionalProperties": false,
            "properties": {
                "order": { "type": "string", "pattern": "^[A-Z]+$" },
                "pages": { "type": "integer", "minimum": 1, "maximum": 10 },
                "kind": { "enum": ["a4", "a3"] },
                "a/b": { "$ref": "#/$defs/list" },
            },
            "$defs": { "list": { "type": "array", "items": { "type": ["string", "null"] }, "maxItems": 2 } },
        });
        violates(&schema, &json!({ "order": "A", "pages": 10, "kind": "a4", "a/b": ["x", null] }), &[]);
        let pages = [("/input/pages", "must be at most 10")];
        violates(&schema, &json!({ "order": "A", "pages": 11 }), &pages);
        let all = [
            ("/input", "has members that the job does not allow: `extra`"),
            ("/input", "lacks `pages`"),
            ("/input/a~1b", "has 3 items; it must have at most 2"),
            ("/input/a~1b/1", "is of type number; it must be of type null or string"),
            ("/input/kind", "must be one of [\"a4\",\"a3\"]"),
            ("/input/order", "does not match the pattern ^[A-Z]+$"),
        ];
        violates(&schema, &json!({ "order": "secret", "kind": "a5", "a/b": ["x", 1, null], "extra": 1 }), &all);
        violates(&schema, &json!(7), &[("/input", "is of type number; it must be of type object")]);
    }

    #[test]
    fn alternatives_and_formats_are_reported_as_one_mistake() {
        let either = json!({ "anyOf": [{ "type": "string" }, { "required": ["a"] }] });
        violates(&either, &json!("x"), &[]);
        violates(&either, &json!({}), &[("/input", "has none of the forms that the job allows (`anyOf`)")]);
        let once = json!({ "oneOf": [{ "minimum": 1 }, { "minimum": 2 }] });
        let more = "has more than one of the forms of which it must have one (`oneOf`)";
        violates(&once, &json!(3), &[("/input", more)]);
        let seventh = json!({ "$schema": "http://json-schema.org/draft-07/schema#", "format": "date" });
        violates(&seventh, &json!("2026-02-30"), &[("/input", "is not a valid date")]);
        violates(&json!(false), &json!(1), &[("/input", "is not allowed here")]);
    }

    #[test]
    fn neither_many_nor_large_values_make_the_answer_large() {
        let schema = json!({ "items": { "type": "string", "maxLength": 3 }, "additionalProperties": false });
        let many = compiled(&schema).violations(&json!(vec![1; 50_000]));
        assert_eq!(many.len(), VIOLATIONS);
        let long = compiled(&schema).violations(&json!(["secret".repeat(10_000)]));
        assert_eq!(long[0].detail, "has 60000 characters; it must have at most 3");
        let names = (0..1_000).map(|n| (format!("{n}{}", "x".repeat(150)), Value::Null));
        let object = compiled(&schema).violations(&Value::Object(names.collect()));
        assert!(object[0].detail.len() < 700 && object[0].detail.ends_with(" and 995 more"), "{object:?}");
        let deep = json!({ "additionalProperties": { "type": "string" } });
        let long_name = compiled(&deep).violations(&json!({ "x".repeat(10_000): 1 }));
        assert_eq!(long_name[0].pointer, "/input");
    }

    #[test]
    fn a_schema_cannot_load_anything() {
        for reference in ["file:///etc/passwd", "http://127.0.0.1/", "other.json"] {
            let schema = Json::parse(&json!({ "$ref": reference }).to_string()).unwrap();
            let why = Compiled::of(&schema).err().unwrap();
            assert!(why.contains("a schema cannot refer to another document"), "{why}");
        }
    }

    #[test]
    fn a_schema_that_is_not_valid_is_an_internal_error() {
        let catalog =
            r#"{"etl": {"taskDefinition": "etl", "input": {"type": "text"}}, "any": {"taskDefinition": "a"}}"#;
        let schemas = Schemas::of(&contract::catalog::read(catalog).unwrap());
        assert_eq!(schemas.violations("any", &Json::null()).unwrap(), []);
        let problem = schemas.violations("etl", &Json::null()).unwrap_err();
        let (_, failure) = problem.failure().unwrap();
        assert!(failure.error.starts_with("the input schema of the job etl is not valid: "), "{}", failure.error);
    }
}
