//! What a stage remembers, as it is kept between two runs.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// What a stage remembers, as JSON that only the stage itself understands.
#[derive(Clone, Debug, Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct State(Box<RawValue>);

/// A state that is not one of the stage that was to go on from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateError(pub String);

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StateError {}

impl State {
    /// A stage's memory. Maps in it need keys that are strings.
    pub fn of(memory: &impl Serialize) -> Self {
        match serde_json::value::to_raw_value(memory) {
            Ok(json) => Self(json),
            Err(error) => unreachable!("a state that is no JSON: {error}"),
        }
    }

    /// The state of a stage that remembers nothing.
    pub fn none() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// The memory behind it.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, StateError> {
        serde_json::from_str(self.0.get()).map_err(|error| StateError(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_read_again_or_refused() {
        let state = State::of(&(7, "seven"));
        assert_eq!(state.read::<(u8, String)>(), Ok((7, "seven".to_owned())));
        assert!(state.read::<Vec<bool>>().is_err());
        assert_eq!(State::none().read::<Option<u8>>(), Ok(None));
    }
}
