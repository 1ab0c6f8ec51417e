use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::json;

use super::keys::{Deed, Wish, press};
use super::shapes::{Failures, Graph, Live, Recent, Sample};
use super::theme::Theme;
use super::view::{Line, News, Over, View};
use super::{draw, plain};

const STAGES: [(&str, &str, &str); 4] = [
    ("stores", "source", "retail"),
    ("high_value", "enricher", "rhai"),
    ("batches", "batcher", "count_or_time"),
    ("hub", "sink", "event_hubs"),
];

fn graph() -> Graph {
    let stages = STAGES.map(
        |(stage, kind, component)| json!({ "stage": stage, "kind": kind, "component": component }),
    );
    serde_json::from_value(json!({ "name": "shop", "stages": stages })).unwrap()
}

/// A run of 40 events a second, in its `t`th second.
fn sample(t: u64) -> Sample {
    let wave = 40 * t + (t % 7) * 5;
    serde_json::from_value(json!({
        "t": 1_700_000_000_000_u64 + 1000 * t, "events": wave, "delivered": wave.saturating_sub(20), "failed": t / 10,
        "dead_letters": 0, "attempts_failed": 0, "buffer": (t % 5) * 10, "rate": 40.0, "p50": 0.0042, "p99": 0.31,
        "types": { "receipt_created": 30 * t, "customer_entered": 10 * t, "store_opened": 1 },
        "stages": [[wave, wave, 0, 40.0]]
    }))
    .unwrap()
}

fn live(t: u64, change: impl FnOnce(&mut serde_json::Value)) -> Live {
    let stage = |stage: &str| {
        json!({ "stage": stage, "rate": 40.0, "backlog": 0, "failed": 0, "healthy": true,
        "reason": null, "connection": null, "circuit_breaker": null, "buffer": null })
    };
    let mut stages: Vec<_> = STAGES.map(|(name, ..)| stage(name)).to_vec();
    stages[2]["backlog"] = json!(50);
    stages[3]["connection"] = json!("connected");
    stages[3]["circuit_breaker"] = json!("closed");
    stages[3]["buffer"] = json!([4200, 10_000]);
    stages[3]["backlog"] = json!(4200);
    let mut live = json!({
        "state": { "phase": "running", "speed": 60.0, "event_time": "2024-11-29T12:04:00.000Z",
            "started": "2026-01-01T00:00:00Z", "elapsed_seconds": t, "can_control": true },
        "stages": stages,
        "totals": { "events_generated": 40 * t, "events_sent_successfully": 40 * t - 20, "events_failed": t / 10,
            "dead_letter_queue_size": 0, "batches_sent": t, "bytes_sent": 16_000 * t, "circuit_breaker_trips": 0 },
        "health": true, "reasons": []
    });
    change(&mut live);
    Live { sample: sample(t), ..serde_json::from_value(live).unwrap() }
}

fn view() -> View {
    let mut view = View::new("http://127.0.0.1:8080");
    view.hear(News::Found(graph(), (1..60).map(sample).collect()));
    view.hear(News::Live(Box::new(live(60, |_| {}))));
    view
}

/// The same with a receiver that is away.
fn unwell() -> View {
    let mut view = view();
    view.hear(News::Live(Box::new(live(61, |live| {
        live["health"] = json!(false);
        live["reasons"] = json!(["azure_event_hub: its circuit breaker is open"]);
        let hub = &mut live["stages"][3];
        hub["healthy"] = json!(false);
        hub["reason"] = json!("its circuit breaker is open");
        (hub["circuit_breaker"], hub["connection"]) = (json!("open"), json!("failed"));
        (hub["failed"], hub["buffer"]) = (json!(12), json!([10_000, 10_000]));
    }))));
    let failure = |time: &str, fate: &str| {
        json!({ "time": time, "stage": "hub", "kind": "sink", "category": "connection",
        "reason": "connection refused\u{1b}[2J", "trace_id": null, "event_type": null, "fate": fate })
    };
    let failures: Failures = serde_json::from_value(json!({ "failures": [
        failure("2026-01-01T00:01:01.500Z", "retried"), failure("2026-01-01T00:01:00.500Z", "dead_letter")
    ] }))
    .unwrap();
    view.hear(News::Failures(failures.failures));
    view
}

fn screen(view: &View, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw::draw(frame, view, &Theme::new(true))).unwrap();
    let screen = terminal.backend().to_string();
    // The backend puts quotes round its lines.
    screen.lines().map(|line| line.trim_matches('"').trim_end()).collect::<Vec<_>>().join("\n")
}

fn key(view: &mut View, code: KeyCode) -> Deed {
    press(view, KeyEvent::new(code, KeyModifiers::NONE))
}

#[test]
fn a_run_that_is_well_fills_the_screen() {
    insta::assert_snapshot!(screen(&view(), 100, 30), @"
    shop  running  2024-11-29T12:04:00.000Z  speed 60  up 1m 00s  http://127.0.0.1:8080
    healthy
    events/s            delivered/s         failed               p50 / p99           buffered
    40                  42                  6                    4.2 ms / 310 ms     0
     ██████ ██████ ████  ██████ ██████ ████          █         █ ███████████████████  ▄█   ▄█   ▄█   ▄█
    ▃██████▃██████▃████ ▃██████▃██████▃████          █         █ ███████████████████ ███ ▄███ ▄███ ▄███

    STAGE      KIND          OUT/S  BACKLOG          FAILED STATE
    stores     source           40        0 ░░░░░░        0
    high_value enricher         40        0 ░░░░░░        0
    batches    batcher          40       50 █░░░░░        0
    hub        sink             40    4 200 ██████        0 connected, 42 % full
     event types, a second ─────────────────  last failures ────────────────────────────────────────────
    receipt_created       30 ██████████████  none
    customer_entered      10 █████
    store_opened           0













    q leave  ↑↓ stage  p pause  +/- speed  s stop  ? help
    ");
}

#[test]
fn a_run_that_is_unwell_says_why() {
    insta::assert_snapshot!(screen(&unwell(), 80, 24), @"
    shop  running  2024-11-29T12:04:00.000Z  speed 60  up 1m 01s  http://127.0.0.1:8
    unwell: azure_event_hub: its circuit breaker is open
    events/s        delivered/s     failed           p50 / p99       buffered
    40              42              6                4.2 ms / 310 ms 10
    ██ ██████ █████ ██ ██████ █████     █         █  ███████████████  ▄█   ▄█   ▄█
    ██▃██████▃█████ ██▃██████▃█████     █         █  ███████████████ ███ ▄███ ▄███ ▄

    STAGE      KIND          OUT/S  BACKLOG          FAILED STATE
    stores     source           40        0 ░░░░░░        0
    high_value enricher         40        0 ░░░░░░        0
    batches    batcher          40       50 █░░░░░        0
    hub        sink             40    4 200 ██████       12 circuit open, 100 % full
     event types, a second ─────────  last failures ────────────────────────────────
    receipt_created       30 ██████  00:01:01 hub connection retried connection refu
    customer_entered      10 ██      00:01:00 hub connection dead letter connection
    store_opened           0







    q leave  ↑↓ stage  p pause  +/- speed  s stop  ? help
    ");
}

#[test]
fn a_narrow_screen_shows_what_matters_most() {
    insta::assert_snapshot!(screen(&unwell(), 40, 14), @"
    shop  running  2024-11-29T12:04:00.000Z
    unwell: azure_event_hub: its circuit bre
    events/s      failed       p50 / p99
    40            6            4.2 ms / 310
    STAGE         OUT/S  BACKLOG   FAILED
    stores           40        0        0
    high_value       40        0        0
    batches          40       50        0
    hub              40    4 200       12
     last failures ─────────────────────────
    00:01:01 hub connection retried connecti
    00:01:00 hub connection dead letter conn

    q leave  ↑↓ stage  p pause  +/- speed  s
    ");
}

#[test]
fn a_stage_that_is_looked_into_shows_its_events() {
    let mut view = unwell();
    assert_eq!(key(&mut view, KeyCode::Up), Deed::Nothing);
    let seen = |n: u32| {
        json!({ "stage": "hub", "seen": 0, "event": {
        "event_type": "receipt_created", "ingest_timestamp": "2024-11-29T12:04:00.123Z", "trace_id": format!("TR_{n}"),
        "partition_key": "store_19", "payload": { "total": 5.39, "tender_type": "CASH\u{7}" } } })
    };
    let recent: Recent = serde_json::from_value(json!({ "events": [seen(2), seen(1)] })).unwrap();
    view.hear(News::Events("stores".to_owned(), recent.events.clone()));
    assert!(view.events.is_empty(), "they are another stage's");
    view.hear(News::Events("hub".to_owned(), recent.events));
    insta::assert_snapshot!(screen(&view, 80, 24), @"
    shop  running  2024-11-29T12:04:00.000Z  speed 60  up 1m 01s  http://127.0.0.1:8
    unwell: azure_event_hub: its circuit breaker is open
    events/s        delivered/s     failed           p50 / p99       buffered
    40              42              6                4.2 ms / 310 ms 10
    ██ ██████ █████ ██ ██████ █████     █         █  ███████████████  ▄█   ▄█   ▄█
    ██▃██████▃█████ ██▃██████▃█████     █         █  ███████████████ ███ ▄███ ▄███ ▄

    STAGE      KIND          OUT/S  BACKLOG          FAILED STATE
    stores     source           40        0 ░░░░░░        0
    high_value enricher         40        0 ░░░░░░        0
    batches    batcher          40       50 █░░░░░        0
    hub        sink             40    4 200 ██████       12 circuit open, 100 % full
     events of hub: its circuit breaker is open ────────────────────────────────────
    12:04:00 receipt_created      store_19   total=5.39 tender_type=CASH  TR_2
    12:04:00 receipt_created      store_19   total=5.39 tender_type=CASH  TR_1








    q leave  ↑↓ stage  p pause  +/- speed  s stop  ? help
    ");
}

#[test]
fn a_run_that_has_ended_shows_its_totals_until_its_user_leaves() {
    let mut view = view();
    view.hear(News::Ended);
    view.hear(News::Lost("connection refused".to_owned()));
    let screen = screen(&view, 80, 24);
    for text in [
        "shop  ended",
        "the run has ended",
        "generated             2 400",
        "delivered             2 380",
    ] {
        assert!(screen.contains(text), "{text}\n{screen}");
    }
    assert_eq!(key(&mut view, KeyCode::Char('q')), Deed::Quit);
}

#[test]
fn a_run_that_goes_away_is_told_and_found_again() {
    let mut view = view();
    view.hear(News::Lost("connection refused".to_owned()));
    let gone = screen(&view, 80, 24);
    assert!(
        gone.contains("shop  gone") && gone.contains("connection refused; looking for it again"),
        "{gone}"
    );
    view.hear(News::Found(graph(), Vec::new()));
    view.hear(News::Live(Box::new(live(1, |_| {}))));
    let found = screen(&view, 80, 24);
    assert!(found.contains("shop  running") && found.contains("healthy"), "{found}");
}

#[test]
fn no_screen_is_too_small_and_none_too_large() {
    let mut selected = unwell();
    key(&mut selected, KeyCode::Down);
    let (mut help, mut asks, mut ended) = (unwell(), unwell(), view());
    help.over = Over::Help;
    asks.over = Over::AskStop;
    ended.line = Line::Ended;
    for view in [&View::new("a"), &view(), &unwell(), &selected, &help, &asks, &ended] {
        for (width, height) in [(1, 1), (2, 9), (40, 10), (10, 60), (80, 24), (300, 3), (500, 200)]
        {
            screen(view, width, height);
        }
    }
}

#[test]
fn what_is_not_wanted_is_not_coloured() {
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let mut has_color = |theme: &Theme| {
        terminal.draw(|frame| draw::draw(frame, &unwell(), theme)).unwrap();
        let cells = terminal.backend().buffer().content();
        cells.iter().any(|cell| cell.fg != ratatui::style::Color::Reset)
    };
    assert!(has_color(&Theme::new(true)) && !has_color(&Theme::new(false)));
}

#[test]
fn a_table_says_the_same_in_a_pipe() {
    insta::assert_snapshot!(plain::table(&unwell()), @"
    shop  running  2024-11-29T12:04:00.000Z  speed 60  up 1m 01s
    unwell: azure_event_hub: its circuit breaker is open

    STAGE       KIND      TYPE           OUT/S  BACKLOG  FAILED  STATE
    stores      source    retail         40     0        0
    high_value  enricher  rhai           40     0        0
    batches     batcher   count_or_time  40     50       0
    hub         sink      event_hubs     40     4 200    12      circuit open, 100 % full

    2 440 generated (40/s), 2 420 delivered, 6 failed, 10 buffered; p50 4.2 ms, p99 310 ms
    ");
}

#[test]
fn keys_that_change_something_ask_for_it() {
    let mut view = view();
    assert_eq!(key(&mut view, KeyCode::Char('p')), Deed::Ask(Wish::Pause));
    assert_eq!(key(&mut view, KeyCode::Char('+')), Deed::Ask(Wish::Speed(120.0)));
    assert_eq!(key(&mut view, KeyCode::Char('-')), Deed::Ask(Wish::Speed(30.0)));
    view.hear(News::Live(Box::new(live(61, |live| live["state"]["phase"] = json!("paused")))));
    assert_eq!(key(&mut view, KeyCode::Char('p')), Deed::Ask(Wish::Resume));
    view.hear(News::Live(Box::new(live(62, |live| live["state"]["speed"] = json!("max")))));
    assert_eq!(key(&mut view, KeyCode::Char('+')), Deed::Nothing);
    assert!(screen(&view, 80, 24).contains("the run goes at speed `max`"));
}

#[test]
fn a_stop_is_asked_about_and_any_other_key_takes_it_back() {
    let mut view = view();
    assert_eq!(key(&mut view, KeyCode::Char('s')), Deed::Nothing);
    assert!(screen(&view, 80, 24).contains("stop the run?"));
    assert_eq!(
        key(&mut view, KeyCode::Char('q')),
        Deed::Nothing,
        "it only takes the question back"
    );
    assert_eq!(key(&mut view, KeyCode::Char('s')), Deed::Nothing);
    assert_eq!(key(&mut view, KeyCode::Char('y')), Deed::Ask(Wish::Stop));
    view.hear(News::Ended);
    assert_eq!(key(&mut view, KeyCode::Char('s')), Deed::Nothing);
    assert_eq!(view.answer, Some((false, "the run is ended".to_owned())));
}

#[test]
fn arrows_go_through_the_stages_and_escape_leaves_one_after_the_other() {
    let mut view = view();
    let mut places = Vec::new();
    for _ in 0..5 {
        key(&mut view, KeyCode::Down);
        places.push(view.selected);
    }
    assert_eq!(places, [Some(0), Some(1), Some(2), Some(3), None]);
    key(&mut view, KeyCode::Up);
    assert_eq!(view.selected_stage(), Some("hub"));
    assert_eq!(key(&mut view, KeyCode::Esc), Deed::Nothing);
    assert_eq!(key(&mut view, KeyCode::Esc), Deed::Quit);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(press(&mut view, interrupt), Deed::Quit);
}

#[test]
fn a_quarter_of_an_hour_is_kept_and_two_looks_at_a_moment_are_one() {
    let mut view = View::new("a");
    view.hear(News::Found(graph(), (0..2000).map(sample).collect()));
    assert_eq!(view.history.len(), 900);
    let mut soon = live(1999, |_| {});
    soon.sample.t += 10;
    soon.sample.events += 1000;
    view.hear(News::Live(Box::new(soon)));
    assert_eq!(view.history.len(), 900);
    let rates = view.rates(|sample| sample.events);
    assert!(rates.iter().all(|rate| *rate < 2000.0), "nothing is divided by a moment");
}
