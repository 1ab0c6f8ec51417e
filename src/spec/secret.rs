//! A setting that is never shown.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

/// A text that is secret: shown as `***`, best written as `${NAME}` or `${file:/run/secrets/x}`.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("x-secret" = true))]
pub struct Secret(String);

impl Secret {
    /// A secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for whom it is meant.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_and_its_schema_says_that_it_is_one() {
        assert_eq!(format!("{:?}", Secret::new("s3cret")), "***");
        assert_eq!(schemars::schema_for!(Secret).get("x-secret"), Some(&true.into()));
    }
}
