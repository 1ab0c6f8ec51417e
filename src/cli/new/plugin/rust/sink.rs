//! The sink `{{name}}`, a plugin of `engine`.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use engine_plugin::{Delivery, Engine, Error, Events, Metric, Plugin, Sink, export_plugins};

/// Appends events to a file, one JSON object a line.
///
/// (`engine describe {{name}}` shows this text, and those of the settings.)
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file; its folder has to be there. Relative to the working directory.
    path: PathBuf,
}

pub struct Lines {
    path: PathBuf,
    /// Open from the start on.
    file: Option<File>,
    bytes: Metric,
}

impl Plugin for Lines {
    const NAME: &'static str = "{{name}}";
    const EXAMPLE: &'static str = "path: events.ndjson\n";
    type Settings = Settings;

    /// Nothing is opened here: `engine validate` creates, too.
    fn create(settings: Settings, engine: &Engine) -> Result<Self, Error> {
        let bytes = engine.counter("written", "bytes");
        Ok(Self {
            path: settings.path,
            file: None,
            bytes,
        })
    }

    fn start(&mut self) -> Result<(), Error> {
        let path = self.path.display();
        let file = File::options().create(true).append(true).open(&self.path);
        let failed = |error| Error::config(format_args!("cannot open `{path}`: {error}"));
        self.file = Some(file.map_err(failed)?);
        Ok(())
    }
}

impl Sink for Lines {
    /// Files make one wait: `write` is called off the engine's workers.
    const BLOCKING: bool = true;

    /// The engine does the rest: it tries again what is refused with `Error::Retry`, and makes dead
    /// letters of what is refused with `Error::Rejected`.
    fn write(&mut self, events: &Events<'_>, delivery: Delivery) {
        let mut lines = Vec::new();
        for row in 0..events.len() {
            events.write_json(row, &mut lines);
            lines.push(b'\n');
        }
        let Some(file) = &mut self.file else {
            return delivery.refused(Error::fatal("it was not started"));
        };
        match file.write_all(&lines) {
            Ok(()) => {
                self.bytes.record(lines.len() as f64);
                delivery.delivered();
            }
            Err(error) => delivery.refused(Error::retry(error)),
        }
    }

    /// The end of a run that went well.
    fn flush(&mut self, done: Delivery) {
        match self.file.as_ref().map_or(Ok(()), File::sync_all) {
            Ok(()) => done.delivered(),
            Err(error) => done.refused(Error::retry(error)),
        }
    }
}

export_plugins!(sink Lines);

#[cfg(test)]
mod tests {
    use engine_plugin::Outcome;
    use engine_plugin::testing::{self, Failed};
    use serde_json::json;

    use super::Lines;

    #[test]
    fn events_are_lines_of_the_file() -> Result<(), Failed> {
        let path = std::env::temp_dir().join(format!("{{name}}-{}.ndjson", std::process::id()));
        let mut lines = testing::sink::<Lines>(json!({ "path": path }))?;
        let events = [
            json!({ "payload": { "x": 1 } }),
            json!({ "payload": { "x": 2 } }),
        ];
        assert_eq!(lines.write(events)?, Outcome::delivered());
        assert_eq!(lines.flush()?, Outcome::delivered());
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains(r#""payload":{"x":2}"#), "{text}");
        assert_eq!(
            lines.host().metric("written").unwrap().sum as usize,
            text.len()
        );
        Ok(())
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
        let failed = testing::sink::<Lines>(json!({ "path": "no/such/folder/x" }))
            .err()
            .unwrap();
        assert!(
            failed
                .reason
                .starts_with("cannot open `no/such/folder/x`: "),
            "{failed}"
        );
    }
}
