//! The source `{{name}}`, a plugin of `engine`.

use std::time::Duration;

use engine_plugin::{
    Engine, Error, Key, Output, Plugin, Poll, Source, Value, export_plugins, serde_json,
};

/// Makes a heartbeat for each store, again and again.
///
/// They are events `store_heartbeat` with a `store_id`, at event times that are a fixed step apart.
/// (`engine describe {{name}}` shows this text, and those of the settings.)
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How many stores there are, from 1 on.
    #[schemars(range(min = 1, max = 100_000))]
    stores: u32,
    /// Event time between two heartbeats of a store, in seconds.
    #[serde(default = "default_every_seconds")]
    #[schemars(range(min = 1, max = 86_400))]
    every_seconds: u32,
    /// How many heartbeats a store has; by default they do not end.
    count: Option<u32>,
}

fn default_every_seconds() -> u32 {
    60
}

pub struct Heartbeats {
    settings: Settings,
    engine: Engine,
    time: Key,
    store: Key,
    at: Place,
}

/// Where it is; all that the next run needs to know.
#[derive(Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
struct Place {
    /// The time of the first heartbeats, in milliseconds since 1970.
    start_ms: Option<i64>,
    /// How many heartbeats there were, of all stores.
    beats: u64,
}

impl Plugin for Heartbeats {
    const NAME: &'static str = "{{name}}";
    const EXAMPLE: &'static str = "stores: 3\nevery_seconds: 60\n";
    type Settings = Settings;

    fn create(settings: Settings, engine: &Engine) -> Result<Self, Error> {
        Ok(Self {
            settings,
            engine: engine.clone(),
            time: engine.key("ingest_timestamp")?,
            store: engine.key("payload.store_id")?,
            at: Place::default(),
        })
    }

    /// A run that goes on from a state has the time of its first heartbeats from there.
    fn start(&mut self) -> Result<(), Error> {
        self.at.start_ms.get_or_insert(self.engine.now_ms());
        Ok(())
    }
}

impl Source for Heartbeats {
    /// `save` and `restore` are there: with `state:`, the next run goes on where this one stopped.
    const REMEMBERS: bool = true;

    /// It never waits: the engine asks only when it has room, and holds back events whose time has
    /// not come. A source that waits for the outside waits no longer than the timeout, and then
    /// says `Poll::Again`.
    fn poll(&mut self, out: &mut Output<'_>, max: usize, _: Duration) -> Result<Poll, Error> {
        let start_ms = self.at.start_ms.unwrap_or_default();
        let stores = u64::from(self.settings.stores);
        while out.len() < max {
            let (round, store) = (self.at.beats / stores, self.at.beats % stores);
            if self
                .settings
                .count
                .is_some_and(|count| round >= u64::from(count))
            {
                break;
            }
            let row = out.push("store_heartbeat");
            let step_ms = i64::from(self.settings.every_seconds) * 1000;
            out.set(
                row,
                self.time,
                Value::Time(start_ms + round as i64 * step_ms),
            );
            out.set(row, self.store, store as i64 + 1);
            self.at.beats += 1;
        }
        Ok(if out.is_empty() {
            Poll::End
        } else {
            Poll::Ready(self.at.beats)
        })
    }

    fn save(&self) -> serde_json::Value {
        serde_json::to_value(self.at).unwrap_or_default()
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<(), Error> {
        self.at = serde_json::from_value(state).map_err(Error::fatal)?;
        Ok(())
    }
}

export_plugins!(source Heartbeats);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use engine_plugin::Poll;
    use engine_plugin::testing::{self, Failed};
    use serde_json::json;

    use super::Heartbeats;

    #[test]
    fn each_store_has_its_heartbeats_a_minute_apart() -> Result<(), Failed> {
        let settings = json!({ "stores": 2, "count": 2 });
        let mut heartbeats = testing::source::<Heartbeats>(settings)?;
        let events = heartbeats.poll()?.events;
        let beats: Vec<_> = events
            .iter()
            .map(|event| (&event["payload"]["store_id"], &event["ingest_timestamp"]))
            .collect();
        let (first, second) = (
            json!("2026-01-05T09:00:00.000Z"),
            json!("2026-01-05T09:01:00.000Z"),
        );
        let (one, two) = (json!(1), json!(2));
        assert_eq!(
            beats,
            [
                (&one, &first),
                (&two, &first),
                (&one, &second),
                (&two, &second)
            ]
        );
        assert_eq!(heartbeats.poll()?.poll, Poll::End);
        Ok(())
    }

    #[test]
    fn it_goes_on_where_another_one_was() -> Result<(), Failed> {
        let settings = json!({ "stores": 3 });
        let mut first = testing::source::<Heartbeats>(settings.clone())?;
        first.poll_for(2, Duration::ZERO)?;
        let state = first.save()?;
        let mut second = testing::restored_source::<Heartbeats>(settings, &state)?;
        let event = &second.poll_for(1, Duration::ZERO)?.events[0];
        assert_eq!(event["payload"]["store_id"], 3);
        Ok(())
    }
}
