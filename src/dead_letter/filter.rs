//! Which dead letters a command is about.

use super::letter::Letter;
use crate::event::Timestamp;

/// Chooses letters: those that fit everything that is set. Without anything, all fit.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The stage that failed.
    pub stage: Option<String>,
    /// The category of the failure.
    pub category: Option<String>,
    /// The event's trace id.
    pub id: Option<String>,
    /// It failed last before this instant.
    pub before: Option<Timestamp>,
}

impl Filter {
    /// Whether a letter fits.
    pub fn fits(&self, letter: &Letter) -> bool {
        let is = |wanted: &Option<String>, has: &str| wanted.as_ref().is_none_or(|it| it == has);
        is(&self.stage, &letter.stage)
            && is(&self.category, &letter.category)
            && self.id.as_ref().is_none_or(|id| {
                letter.event.as_ref().is_some_and(|event| event.trace_id == id.as_str())
            })
            && self.before.is_none_or(|before| letter.last_time < before)
    }

    /// Whether all letters fit.
    pub fn fits_all(&self) -> bool {
        let Self { stage, category, id, before } = self;
        stage.is_none() && category.is_none() && id.is_none() && before.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_fits_when_everything_that_is_set_does() {
        let letter: Letter = serde_json::from_str(
            r#"{"stage":"a","category":"script","reason":"x","attempts":1,"spec_hash":"",
            "first_time":"2024-01-01T00:00:00Z","last_time":"2024-01-02T00:00:00Z",
            "event":{"event_type":"t","payload":{},"trace_id":"TR_1_00001",
            "ingest_timestamp":"2024-01-01T00:00:00Z"}}"#,
        )
        .unwrap();
        let some = |text: &str| Some(text.to_owned());
        let before = |text: &str| Some(text.parse().unwrap());
        let all = Filter {
            stage: some("a"),
            category: some("script"),
            id: some("TR_1_00001"),
            before: before("2024-01-03T00:00:00Z"),
        };
        assert!(all.fits(&letter) && Filter::default().fits(&letter));
        assert!(Filter::default().fits_all() && !all.fits_all());
        for other in [
            Filter { stage: some("b"), ..all.clone() },
            Filter { category: some("schema"), ..all.clone() },
            Filter { id: some("TR_1_00002"), ..all.clone() },
            Filter { before: before("2024-01-02T00:00:00Z"), ..all.clone() },
        ] {
            assert!(!other.fits(&letter), "{other:?}");
        }
    }
}
