//! Going on from a state: the same events with the same ids, and each dead letter once.

use proptest::prelude::*;

use super::*;

/// What a line of a random file holds.
#[derive(Clone, Debug)]
enum Content {
    /// Milliseconds after the start, and whether it has an id.
    Event(i64, bool),
    Malformed,
    Blank,
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        8 => (0_i64..100, any::<bool>()).prop_map(|(late, id)| Content::Event(-late, id)),
        1 => (0_i64..2_000, any::<bool>()).prop_map(|(late, id)| Content::Event(-late, id)),
        1 => Just(Content::Malformed),
        1 => Just(Content::Blank),
    ]
}

/// The text of files whose times go on from line to line, apart from the lines' own lateness.
fn texts(files: &[(Vec<Content>, bool)]) -> Vec<String> {
    let mut number = 0;
    let mut line = |content: &Content| {
        number += 1;
        match content {
            Content::Malformed => format!("no json {number}\n"),
            Content::Blank => "\n".to_owned(),
            Content::Event(late, has_id) => {
                let millis = start().as_millis() + 20 * number + late;
                let time = Timestamp::from_millis(millis);
                let id = if *has_id { format!("\"T{number}\"") } else { "null".to_owned() };
                format!(
                    "{{\"event_type\":\"tick\",\"payload\":{{\"n\":{number}}},\
                     \"trace_id\":{id},\"ingest_timestamp\":\"{time}\"}}\n"
                )
            }
        }
    };
    files.iter().map(|(contents, _)| contents.iter().map(&mut line).collect()).collect()
}

impl Fixture {
    fn files(&self, files: &[(Vec<Content>, bool)]) -> String {
        for (place, (text, (_, packed))) in texts(files).iter().zip(files).enumerate() {
            let name = format!("in{place}.ndjson");
            if *packed {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(text.as_bytes()).unwrap();
                self.file(&name, encoder.finish().unwrap());
            } else {
                self.file(&name, text);
            }
        }
        self.path("in*.ndjson").display().to_string()
    }

    async fn go_on(&self, settings: &FileSource, state: Option<&State>) -> Box<dyn Feed> {
        let plan = settings.clone().plan().map_err(|(_, message)| message).unwrap();
        Box::new(plan).open(self.cx.clone(), state).await.unwrap()
    }

    /// The events of runs that are stopped after so many batches each, and of the one after them.
    async fn legs(&self, settings: &FileSource, cuts: &[usize]) -> (Vec<Event>, State) {
        let (mut events, mut state) = (Vec::new(), None);
        for cut in cuts.iter().copied().chain([usize::MAX]) {
            let mut feed = self.go_on(settings, state.as_ref()).await;
            for _ in 0..cut {
                let Some(batch) = feed.next().await.unwrap() else { break };
                events.extend(batch.events().iter().cloned());
            }
            state = Some(kept(&feed.state()));
        }
        (events, state.unwrap())
    }

    fn origins(&self) -> Vec<String> {
        let name = |[origin, ..]: [String; 3]| origin.rsplit_once('/').unwrap().1.to_owned();
        self.dead().into_iter().map(name).collect()
    }
}

/// A state as it comes back from a file.
fn kept(state: &State) -> State {
    serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap()
}

fn lines(events: &[Event]) -> Vec<String> {
    events.iter().map(Event::to_json).collect()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn a_run_that_is_stopped_again_and_again_reads_what_one_that_never_was_does(
        files in prop::collection::vec(
            (prop::collection::vec(content(), 0..40), any::<bool>()), 1..4),
        lateness in prop_oneof![Just(0_u64), 0_u64..400],
        batch_events in 1_usize..6,
        cuts in prop::collection::vec(0_usize..5, 0..40),
        end in prop::option::of(0_u64..1_500),
        shift_to_start: bool,
    ) {
        block_on(async {
            let [mut one, mut two] = [Fixture::new(), Fixture::new()];
            let settings = |path| FileSource {
                lateness: SpecDuration(Duration::from_millis(lateness)),
                shift_to_start,
                ..settings(path)
            };
            for fixture in [&mut one, &mut two] {
                fixture.cx.batch_events = batch_events;
            }
            let (uncut, _) = one.legs(&settings(one.files(&files)), &[]).await;
            let settings = settings(two.files(&files));
            // A leg that ends in event time comes before those that are stopped.
            let (mut events, mut first) = (Vec::new(), None);
            if let Some(end) = end {
                two.cx.end = Some(start() + Duration::from_millis(end));
                let (leg, state) = two.legs(&settings, &cuts).await;
                (events, first) = (leg, Some(state));
                two.cx.end = None;
            }
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let mut feed = two.go_on(&settings, first.as_ref()).await;
                for _ in 0..cut {
                    let Some(batch) = feed.next().await.unwrap() else { break };
                    events.extend(batch.events().iter().cloned());
                }
                first = Some(kept(&feed.state()));
            }
            assert_eq!(lines(&events), lines(&uncut));
            assert_eq!(two.origins(), one.origins());
        });
    }
}

#[tokio::test]
async fn a_run_after_the_end_reads_only_what_was_added_and_new_files_behind() {
    let fixture = Fixture::new();
    fixture.file("b1.ndjson", [envelope(1), envelope(2)].concat());
    let settings = settings(fixture.path("b*.ndjson").display().to_string());
    let (_, state) = fixture.legs(&settings, &[]).await;
    let mut feed = fixture.go_on(&settings, Some(&state)).await;
    assert_eq!(feed.next().await.unwrap().map(|batch| batch.len()), Some(0));
    assert!(feed.next().await.unwrap().is_none());
    let state = kept(&feed.state());
    fixture.file("b1.ndjson", [envelope(1), envelope(2), envelope(3)].concat());
    fixture.file("b0.ndjson", envelope(9));
    fixture.file("b2.ndjson", envelope(4));
    let mut feed = fixture.go_on(&settings, Some(&state)).await;
    let mut ids = Vec::new();
    while let Some(batch) = feed.next().await.unwrap() {
        ids.extend(batch.events().iter().map(|event| event.trace_id.to_string()));
    }
    assert_eq!(ids, ["T3", "T4"]);
}

#[tokio::test]
async fn a_file_that_is_gone_or_shorter_is_refused_with_a_remedy() {
    for packed in [false, true] {
        let fixture = Fixture::new();
        let write = |count| {
            let text: String = (1..=count).map(envelope).collect();
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            let gzip = encoder.finish().unwrap();
            fixture.file("a.ndjson", if packed { gzip } else { text.into_bytes() })
        };
        let settings = settings(write(5));
        let (_, state) = fixture.legs(&settings, &[]).await;
        write(2);
        let message = failure_of(fixture.go_on(&settings, Some(&state)).await).await;
        assert!(message.contains("a.ndjson` after line 5: it has "), "{message}");
        assert!(message.ends_with("`--reset-state` begins anew"), "{message}");
        std::fs::remove_file(fixture.path("a.ndjson")).unwrap();
        let message = failure_of(fixture.go_on(&settings, Some(&state)).await).await;
        assert!(message.contains("after line 5: No such file"), "{message}");
    }
}

async fn failure_of(mut feed: Box<dyn Feed>) -> String {
    loop {
        match feed.next().await {
            Ok(batch) => assert!(batch.unwrap().is_empty()),
            Err(StageError(message)) => return message,
        }
    }
}

#[tokio::test]
async fn a_state_of_another_shape_is_refused() {
    let fixture = Fixture::new();
    let settings = settings(fixture.file("a.ndjson", envelope(1)));
    let beyond = r#"{"place":{"file":"a","index":0,"line":0,"offset":18446744073709551615,
        "events":0,"trace_ids":0,"latest":"2024-11-29T10:00:00Z","late":0},
        "skip":0,"shift":null,"flush":null,"reported":[0,0]}"#;
    for wrong in ["null", "{}", "[1]", beyond] {
        let state: State = serde_json::from_str(wrong).unwrap();
        let plan = settings.clone().plan().map_err(|(_, message)| message).unwrap();
        let opened = Box::new(plan).open(fixture.cx.clone(), Some(&state)).await;
        assert!(opened.is_err(), "{wrong}");
    }
}
