//! How large the arrays and maps are that a rule makes: the interpreter bounds them, so what comes
//! near its bounds is left to it.

use crate::event::{Fields, Value};
use crate::script::sandbox::{ELEMENTS_MAX, STRING_BYTES_MAX};

/// How deep they nest; the interpreter lets more pass.
const DEPTH_MAX: usize = 32;

/// Whether an array or a map is well within the bounds, all that is in it together.
pub(super) fn is_within_bounds(value: &Value) -> bool {
    Sizes::default().add(value, DEPTH_MAX).is_some()
}

/// The same for the fields of a map.
pub(super) fn are_within_bounds(fields: &Fields) -> bool {
    let mut sizes = Sizes::default();
    fields.iter().all(|(_, value)| sizes.add(value, DEPTH_MAX).is_some())
}

#[derive(Default)]
struct Sizes {
    elements: usize,
    text_bytes: usize,
}

impl Sizes {
    fn add(&mut self, value: &Value, depth: usize) -> Option<()> {
        self.elements += 1;
        match value {
            Value::Text(text) => self.text_bytes += text.plain_len().unwrap_or_default(),
            Value::List(values) => {
                let depth = depth.checked_sub(1)?;
                values.iter().try_for_each(|value| self.add(value, depth))?;
            }
            Value::Map(fields) => {
                let depth = depth.checked_sub(1)?;
                fields.iter().try_for_each(|(_, value)| self.add(value, depth))?;
            }
            _ => {}
        }
        (self.elements < ELEMENTS_MAX && self.text_bytes <= STRING_BYTES_MAX).then_some(())
    }
}
