//! Why an event could not be processed or delivered.

/// Why an event could not be processed or delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For counting: `malformed`, `script`, `schema`, `rejected`.
    pub category: &'static str,
    /// For reading.
    pub reason: String,
}

impl Failure {
    /// A failure of a category.
    pub fn new(category: &'static str, reason: impl Into<String>) -> Self {
        Self { category, reason: reason.into() }
    }
}
