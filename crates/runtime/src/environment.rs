//! Reads the environment. No other code of Longhaul reads it.

use std::{cell::RefCell, collections::BTreeMap, ffi::OsString, fmt, path::Path, str::FromStr};

/// The environment. It collects everything that is wrong with it, so that all of it is reported at once.
#[derive(Debug, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
    complaints: Vec<String>,
    /// The names that were read, and whether each is required.
    read: RefCell<BTreeMap<String, bool>>,
}

impl Environment {
    /// This process's environment. Variables that are empty or not valid Unicode count as absent, since a third party's image may set
    /// anything.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
    pub fn of_process() -> Self {
        let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Self::of(std::env::vars_os().filter_map(text))
    }

    /// An environment with these variables.
    #[must_use]
    pub fn of(vars: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { values: vars.into_iter().filter(|(_, value)| !value.is_empty()).collect(), ..Self::default() }
    }

    /// A variable that may be absent.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<String> {
        self.read.borrow_mut().entry(name.to_owned()).or_default();
        self.values.get(name).cloned()
    }

    /// A required variable. If it is absent, the value is empty, and `finish` reports it.
    pub fn required(&mut self, name: &str) -> String {
        let value = self.optional(name);
        self.require(name);
        value.unwrap_or_else(|| {
            self.complaints.push(format!("{name} is not set"));
            String::new()
        })
    }

    /// A required variable, parsed as a `T`.
    pub fn parsed<T: Default>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        let value = self.optional(name);
        self.require(name);
        let Some(text) = value else {
            self.complaints.push(format!("{name} is not set"));
            return T::default();
        };
        parse(&text).unwrap_or_else(|why| {
            self.complaints.push(format!("{name} cannot be read: {why}"));
            T::default()
        })
    }

    /// The same for a variable that may instead name a file that contains the text, as `@FILE`: Lambda allows 4 KB for all variables
    /// together (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>). A relative path begins at the function's
    /// package, or else at the working directory.
    pub fn parsed_or_file<T: Default>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        // Lambda sets this one, so it is not part of a deployment's configuration.
        let package = self.values.get("LAMBDA_TASK_ROOT").cloned().unwrap_or_default();
        self.parsed(name, |text| {
            let Some(file) = text.strip_prefix('@') else { return parse(text) };
            let path = Path::new(&package).join(file);
            let read = std::fs::read_to_string(&path);
            let text = read.map_err(|why| format!("the file {} cannot be read: {why}", path.display()))?;
            parse(&text).map_err(|why| format!("in the file {}: {why}", path.display()))
        })
    }

    /// A variable parsed as a `T`, or this value if it is absent.
    pub fn parsed_or<T: FromStr<Err: fmt::Display>>(&mut self, name: &str, absent: T) -> T {
        match self.optional(name).map(|text| text.parse()) {
            None => absent,
            Some(Ok(value)) => value,
            Some(Err(why)) => {
                self.complaints.push(format!("{name} cannot be read: {why}"));
                absent
            }
        }
    }

    /// Comma-separated values; none if the variable is absent.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let text = self.optional(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// Comma-separated values, parsed as `T`s; none if the variable is absent.
    pub fn parsed_list<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Vec<T> {
        let (good, bad): (Vec<_>, Vec<_>) =
            self.list(name).iter().map(|part| part.parse::<T>()).partition(Result::is_ok);
        self.complaints
            .extend(bad.into_iter().filter_map(Result::err).map(|why| format!("{name} cannot be read: {why}")));
        good.into_iter().filter_map(Result::ok).collect()
    }

    fn require(&mut self, name: &str) {
        self.read.get_mut().insert(name.to_owned(), true);
    }

    /// The names of the variables that were read, and whether each is required.
    #[must_use]
    pub fn variables(self) -> BTreeMap<String, bool> {
        self.read.into_inner()
    }

    /// `config`, if every variable that it was read from is valid.
    ///
    /// # Errors
    ///
    /// Everything that was wrong, at once.
    pub fn finish<C>(self, config: C) -> Result<C, Misconfigured> {
        if self.complaints.is_empty() { Ok(config) } else { Err(Misconfigured(self.complaints)) }
    }
}

/// A configuration that is read from the environment.
pub trait FromEnvironment: Sized {
    /// Reads all of its variables, including those that only some configurations need: see [`FromEnvironment::variables`].
    fn read(env: &mut Environment) -> Self;

    /// Reads this process's environment.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, at once.
    fn from_env() -> Result<Self, Misconfigured> {
        let mut env = Environment::of_process();
        let config = Self::read(&mut env);
        env.finish(config)
    }

    /// The names of its variables, and whether each is required.
    #[must_use]
    fn variables() -> BTreeMap<String, bool> {
        let mut env = Environment::default();
        Self::read(&mut env);
        env.variables()
    }
}

/// Everything that is wrong with the environment.
#[derive(PartialEq, Eq)]
pub struct Misconfigured(Vec<String>);

/// Plain text, since a `main` that returns this error prints its `Debug` form.
impl fmt::Debug for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment is incomplete: {}", self.0.join("; "))
    }
}

impl std::error::Error for Misconfigured {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_may_be_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap();
        std::fs::write(folder.path().join("number.txt"), "7").unwrap();
        let read = |value: &str, root: &str| {
            let variables = [("N", value), ("LAMBDA_TASK_ROOT", root)];
            let mut env = Environment::of(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
            let number = env.parsed_or_file("N", |text| text.parse::<u32>().map_err(|why| why.to_string()));
            env.finish(number).map_err(|why| why.to_string())
        };
        assert_eq!(read("6", root), Ok(6));
        assert_eq!(read("@number.txt", root), Ok(7));
        assert_eq!(read(&format!("@{root}/number.txt"), ""), Ok(7));
        let told = read("@none.txt", root).unwrap_err();
        assert!(told.contains("N cannot be read: the file ") && told.contains("none.txt cannot be read:"), "{told}");
        let mut facts = Environment::default();
        facts.parsed_or_file("N", |text| Ok(text.to_owned()));
        assert_eq!(facts.variables(), BTreeMap::from([("N".to_owned(), true)]), "only N is to be configured");
    }

    #[test]
    fn all_missing_variables_are_reported_at_once() {
        let mut env = Environment::of(
            [("N", "x"), ("EMPTY", ""), ("LIST", "1, y,2")].map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let number = env.parsed("N", |text| text.parse::<u32>().map_err(|why| why.to_string()));
        let (table, empty) = (env.required("TABLE"), env.required("EMPTY"));
        let list: Vec<u32> = env.parsed_list("LIST");
        assert_eq!(list, [1, 2]);
        assert_eq!((env.parsed_or("EMPTY", 7), env.parsed_or("N", 8)), (7, 8));
        let complaint = env.finish((number, table, empty)).unwrap_err().to_string();
        assert_eq!(
            complaint,
            "the environment is incomplete: N cannot be read: invalid digit found in string; TABLE is not set; \
             EMPTY is not set; LIST cannot be read: invalid digit found in string; N cannot be read: invalid digit found \
             in string"
        );
    }
}
