//! Variables that the command line gives to jobs: `--env` and `--env-file`.
//!
//! **Invariant**: a value is never printed, logged or kept on disk. It is only in the environment of tasks.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use runtime::Environment;

/// Prefixes of the variables that the stack sets: how a worker reaches the stack, which execution it works on, and its clock. With other
/// values, a worker could not report.
const RESERVED: [&str; 9] = [
    "AWS_",
    "EXECUTION_",
    "EXECUTIONS_TABLE",
    "INPUT_TABLE",
    "REPORT_",
    "ECS_CONTAINER_METADATA_URI_V4",
    "_EMULATOR_",
    "LD_PRELOAD",
    "FAKETIME_",
];

/// The only reserved variable that may be set.
const ALLOWED: &str = "EXECUTION_STOP_TIMEOUT";

/// `NAME=VALUE`, or `NAME` for the value that the variable has in this program's environment.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    name: String,
    value: Option<String>,
}

/// Does not show the value.
impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variable").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Accepts any text, so that no message of the command line's parser contains a value. The text is checked when the stack starts.
impl From<String> for Variable {
    fn from(text: String) -> Self {
        match text.split_once('=') {
            Some((name, value)) => Self { name: name.to_owned(), value: Some(value.to_owned()) },
            None => Self { name: text, value: None },
        }
    }
}

/// Why the variables cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The file cannot be read.
    #[error("cannot read the --env-file {}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        why: io::Error,
    },
    /// The variable has no valid name.
    #[error("{place}: write a variable as NAME=VALUE or NAME; a name has letters, digits and `_`")]
    Name {
        /// The option or the line that contains it.
        place: String,
    },
    /// There is no value for it.
    #[error("{place}: `{name}` is not set in this shell, or empty; set it, or write {name}=VALUE")]
    Unset {
        /// The option or the line that contains it.
        place: String,
        /// Its name.
        name: String,
    },
    /// The stack sets it itself.
    #[error(
        "{place}: `{name}` is set by the local stack; to give a job another value, set it in the command of its --job"
    )]
    Reserved {
        /// The option or the line that contains it.
        place: String,
        /// Its name.
        name: String,
    },
}

/// The variables of the files, and those of the options, which come last and so take precedence.
///
/// # Errors
///
/// The first problem that is found.
pub(crate) fn read(files: &[PathBuf], given: &[Variable]) -> Result<Vec<(String, String)>, Refused> {
    let shell = Environment::of_process();
    let mut all = Vec::new();
    for path in files {
        let text = fs::read_to_string(path).map_err(|why| Refused::File { path: path.clone(), why })?;
        for (place, variable) in lines(path, &text) {
            all.push(resolved(variable, place, &shell)?);
        }
    }
    for variable in given {
        all.push(resolved(variable.clone(), "--env".to_owned(), &shell)?);
    }
    Ok(all)
}

/// The values that a file gives to variables, by name. If a name occurs twice, the last one counts.
pub(crate) fn values(text: &str) -> BTreeMap<String, String> {
    let all = lines(Path::new(""), text).into_iter();
    all.filter_map(|(_, variable)| Some((variable.name, variable.value?)))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// One variable per line: the value extends to the end of the line. As shells do, `export` before the name is ignored, and so are quotes
/// around the whole value. Empty lines and those that begin with `#` are ignored.
fn lines(path: &Path, text: &str) -> Vec<(String, Variable)> {
    let numbered = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim_start()));
    let variables = numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    variables.map(|(number, line)| (format!("{}:{number}", path.display()), in_file(line))).collect()
}

fn in_file(line: &str) -> Variable {
    let line = line.strip_prefix("export ").map_or(line, str::trim_start).trim_end();
    let Variable { name, value } = line.to_owned().into();
    let quoted = |value: &String| {
        ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote)).map(str::to_owned)
    };
    Variable { name, value: value.map(|value| quoted(&value).unwrap_or(value)) }
}

fn resolved(variable: Variable, place: String, shell: &Environment) -> Result<(String, String), Refused> {
    let Variable { name, value } = variable;
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let plain = name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit());
    if !plain || !name.bytes().next().is_some_and(letter) {
        return Err(Refused::Name { place });
    }
    if name != ALLOWED && RESERVED.iter().any(|reserved| name.starts_with(reserved)) {
        return Err(Refused::Reserved { place, name });
    }
    match value.or_else(|| shell.optional(&name)) {
        Some(value) => Ok((name, value)),
        None => Err(Refused::Unset { place, name }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<(String, String), String> {
        let shell = Environment::of([("TOKEN".to_owned(), "secret".to_owned())]);
        resolved(text.to_owned().into(), "--env".to_owned(), &shell).map_err(|why| why.to_string())
    }

    #[test]
    fn a_variable_has_a_value_or_takes_that_of_the_shell() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(resolve("A=1=2"), pair("A", "1=2"));
        assert_eq!(resolve("A="), pair("A", ""));
        assert_eq!(resolve("TOKEN"), pair("TOKEN", "secret"));
        assert_eq!(resolve("EXECUTION_STOP_TIMEOUT=5"), pair("EXECUTION_STOP_TIMEOUT", "5"));
    }

    #[test]
    fn an_invalid_variable_is_refused_without_showing_its_value() {
        for (text, why) in [
            ("NONE", "`NONE` is not set in this shell"),
            ("1A=secret", "a name has letters"),
            ("=secret", "a name has letters"),
            ("A-B=secret", "a name has letters"),
            ("AWS_PROFILE=secret", "`AWS_PROFILE` is set by the local stack"),
            ("EXECUTION_INPUT=secret", "`EXECUTION_INPUT` is set by the local stack"),
            ("REPORT_KEY=secret", "`REPORT_KEY` is set by the local stack"),
        ] {
            let refused = resolve(text).unwrap_err();
            assert!(refused.contains(why) && !refused.contains("secret"), "{text}: {refused}");
        }
        assert!(!format!("{:?}", Variable::from("A=secret".to_owned())).contains("secret"));
    }

    #[test]
    fn a_file_has_one_variable_on_each_line() {
        let text = "# comment\n\nA=1\n  export B=\"x y\"  \nTOKEN\nC='\nD=it's 'so'\n";
        let found: Vec<_> = lines(Path::new("f.env"), text);
        let variable = |text: &str| Variable::from(text.to_owned());
        assert_eq!(
            found,
            [
                ("f.env:3".to_owned(), variable("A=1")),
                ("f.env:4".to_owned(), variable("B=x y")),
                ("f.env:5".to_owned(), variable("TOKEN")),
                ("f.env:6".to_owned(), variable("C='")),
                ("f.env:7".to_owned(), variable("D=it's 'so'")),
            ]
        );
    }
}
