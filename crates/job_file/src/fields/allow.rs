//! `allow`.

use super::variables::{Variables, wrong_variable};
use crate::{
    checker::{Checker, Table},
    job::Allow,
};

/// What comes before the name of a variable.
pub(crate) const VARIABLE: &str = "environment.";

/// What a request may override. `variables` are those of the job.
pub(super) fn allow<'i>(table: &mut Table<'i>, variables: &Variables, checker: &mut Checker<'i>) -> Allow {
    let mut allow = Allow::default();
    let given = table.take("allow").and_then(|value| checker.texts(value, "allow"));
    for given in given.unwrap_or_default() {
        match add(given.get_ref(), variables, &mut allow) {
            Ok(true) => {}
            Ok(false) => {
                checker.mistake(&given.span(), format!("`{}` is in allow twice; name it once", given.get_ref()));
            }
            Err(why) => checker.mistake(&given.span(), why),
        }
    }
    allow
}

/// Adds what a request may override. Returns whether it is new.
fn add(given: &str, variables: &Variables, allow: &mut Allow) -> Result<bool, String> {
    match given {
        "cpu" => Ok(!std::mem::replace(&mut allow.cpu, true)),
        "memory" => Ok(!std::mem::replace(&mut allow.memory, true)),
        _ => {
            let name = given.strip_prefix(VARIABLE).ok_or_else(|| {
                format!("`{given}` cannot be overridden; allow has \"cpu\", \"memory\" and \"{VARIABLE}NAME\"")
            })?;
            if variables.secrets.contains_key(name) {
                return Err(format!("`{name}` is a secret of this job, which a request must not override"));
            }
            wrong_variable(name).map_or_else(|| Ok(allow.environment.insert(name.to_owned())), Err)
        }
    }
}
