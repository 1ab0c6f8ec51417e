//! Where events enter, and until when event time goes on.

use super::super::input::{EventReader, read_file};
use super::{Input, Resolver};
use crate::event::Timestamp;
use crate::graph::Entries;
use crate::kind::Kind;
use crate::plan::PlannedStage;
use crate::problem::{Place, Problem};
use crate::spec::{Document, TestCase, TestEvent, TestInput, TestSource, list};

/// Finds a key of an event, or with an empty key all of it.
type PlaceOf<'a> = Box<dyn Fn(&str) -> Option<Place> + 'a>;

impl Resolver<'_> {
    /// What goes in, and when event time ends.
    pub(super) fn input(
        &mut self,
        case: &TestCase,
        pointer: &str,
        now: Timestamp,
    ) -> Option<(Input, Timestamp)> {
        let document = &self.plan.document;
        match &case.input {
            TestInput::Source(source) => self.source(case, source, pointer, now),
            TestInput::Events(events) => {
                let inline = |(place, event)| {
                    (event, in_the_spec(document, format!("{pointer}/input/{place}")))
                };
                let events: Vec<_> = events.iter().enumerate().map(inline).collect();
                self.events(case, &events, pointer, now)
            }
            TestInput::File(file) => {
                let read = read_file(document, &format!("{pointer}/input/file"), &file.file);
                let lines = read.map_err(|found| self.problems.append(found)).ok()?;
                let events: Vec<(&TestEvent, PlaceOf<'_>)> = lines
                    .iter()
                    .map(|(event, line)| {
                        (event, Box::new(|_: &str| Some(line.clone())) as PlaceOf<'_>)
                    })
                    .collect();
                self.events(case, &events, pointer, now)
            }
        }
    }

    /// What a source makes.
    fn source(
        &mut self,
        case: &TestCase,
        input: &TestSource,
        pointer: &str,
        now: Timestamp,
    ) -> Option<(Input, Timestamp)> {
        let place = format!("{pointer}/input/source");
        if case.at.is_some() {
            let problem = self.at(&format!("{pointer}/at"), "a source's events enter behind it");
            self.problems.push(problem.help("leave `at` out, or write the events themselves"));
        }
        if case.r#for.is_some() {
            let message = "the input says how long the source runs";
            let problem = self.at(&format!("{pointer}/for"), message);
            self.problems.push(problem.help("leave this `for` out"));
        }
        let stage = self.stage(&input.source, &place)?;
        let stage = &self.plan.stages[stage];
        let problem = if stage.kind != Kind::Source {
            let help = self.names_like(&input.source, |stage| stage.kind == Kind::Source);
            let message = format!("`{}` is no source", input.source);
            Some(self.at(&place, message).help(help))
        } else if !stage.component.simulates {
            let message = format!(
                "a test does not run a `{}` source: it reads from outside",
                stage.component.name
            );
            let help = "write the events themselves, or name a `file` with them";
            Some(self.at(&place, message).help(help))
        } else if input.seed.is_some() && !has_seed(stage) {
            let message = format!("a `{}` source has no seed", stage.component.name);
            Some(self.at(&format!("{pointer}/input/seed"), message))
        } else {
            None
        };
        if let Some(problem) = problem {
            self.problems.push(problem);
            return None;
        }
        let made = Input::Source { stage: input.source.clone(), seed: input.seed };
        Some((made, now + input.r#for.0))
    }

    /// The events of a list or of a file, each with a way to find its keys.
    fn events(
        &mut self,
        case: &TestCase,
        events: &[(&TestEvent, PlaceOf<'_>)],
        pointer: &str,
        now: Timestamp,
    ) -> Option<(Input, Timestamp)> {
        let mut reader = EventReader::new(now);
        let mut entries = Entries::new();
        let mut is_whole = true;
        for (event, place_of) in events {
            let read = reader.read(event, place_of);
            self.problems.append(read.problems);
            let stage = match &event.at {
                Some(at) => self.stage_at(at, place_of("at")),
                // Where the input as a whole enters is asked once.
                None => Some(self.entry(case, pointer)?),
            };
            let (Some(stage), Some(event)) = (stage, read.event) else {
                is_whole = false;
                continue;
            };
            entries.entry(self.plan.stages[stage].name.clone()).or_default().push(event);
        }
        let end = self.end(case, pointer, now, reader.last());
        is_whole.then_some((Input::Events(entries), end?))
    }

    /// Where events enter that do not say it themselves.
    fn entry(&mut self, case: &TestCase, pointer: &str) -> Option<usize> {
        let stages = &self.plan.stages;
        if let Some(at) = &case.at {
            // A name that is not known was told.
            return stages.iter().position(|stage| stage.name == *at);
        }
        let sources = self.names_of(Kind::Source);
        if let [only] = sources.as_slice() {
            return stages.iter().position(|stage| stage.name == *only);
        }
        let message =
            format!("the pipeline has {} sources: where do the events enter?", sources.len());
        let help = format!("say it with `at`: {}, or any other stage", list(&sources, "or"));
        let problem = Problem::error(message)
            .at(self.plan.document.key_place(&format!("{pointer}/input")))
            .help(help);
        self.problems.push(problem);
        None
    }

    /// When event time ends.
    fn end(
        &mut self,
        case: &TestCase,
        pointer: &str,
        now: Timestamp,
        last: Timestamp,
    ) -> Option<Timestamp> {
        let Some(length) = case.r#for else { return Some(last) };
        let end = now + length.0;
        if last > end {
            let message = format!("the test ends before its last event, which happens at {last}");
            let problem = self.at(&format!("{pointer}/for"), message);
            self.problems.push(problem);
            return None;
        }
        Some(end)
    }
}

/// The keys of an event that is written in the spec: of what its type has no field for, the name
/// is meant, and of all else what it says.
fn in_the_spec(document: &Document, event: String) -> PlaceOf<'_> {
    Box::new(move |key| match key {
        "" => document.key_place(&event),
        key if key.starts_with("payload/") => document.key_place(&format!("{event}/{key}")),
        key => document.place(&format!("{event}/{key}")),
    })
}

fn has_seed(stage: &PlannedStage) -> bool {
    let schema = (stage.component.schema)().to_value();
    schema.pointer("/properties/seed").is_some()
}
