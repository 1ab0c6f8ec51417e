//! The live page of a run, in a real browser. Skipped where there is no Chromium.

mod browser;

use std::io::BufReader;
use std::process::ChildStdout;

use engine::event::Timestamp;

use self::browser::Browser;
use crate::harness::{Running, Test};
use crate::peer::{Fault, Peer};

/// A chain on a busy morning, twenty minutes a second; receipts have a text that is no markup.
const SPEC: &str = r#"
name: shop
clock: { start: 2024-11-29T15:00:00Z, speed: 600 }
sources:
  stores:
    type: retail
    with: { seed: 42, stores: 4, dcs: 1, customers: 500, products: 100, visitors_per_day: 300 }
enrichers:
  noted:
    type: rhai
    inputs: [stores]
    when: event.event_type == "receipt_created"
    with: { script: 'fn enrich(event) { event.payload.note = "<img src=x onerror=alert(1)>"; }' }
sinks:
  hub:
    type: http
    inputs: [noted]
    with: { url: "${HUB}" }
    delivery:
      retry: { initial_backoff_ms: 10, max_backoff_ms: 10 }
      circuit_breaker: { failure_threshold: 3, recovery_timeout_ms: 2000 }
  aside: { type: blackhole, inputs: [noted] }
monitoring: { token: open sesame }
"#;

/// What moves while a pipeline runs.
const MOVING: [&str; 6] = [
    "document.getElementById('tile-generated').textContent",
    "document.getElementById('tile-delivered').textContent",
    "document.getElementById('event-time').textContent",
    "document.querySelector('.edge-rate').textContent",
    "document.querySelector('.legend-value').textContent",
    "[...document.querySelectorAll('.plot')].map((plot) => plot.toDataURL()).join()",
];

const ENTER: &str = "\u{e007}";
const ARROW_LEFT: &str = "\u{e012}";
const ESCAPE: &str = "\u{e00c}";

/// A run that is served, and a browser.
struct Stand {
    running: Running,
    _stdout: BufReader<ChildStdout>,
    hub: Peer,
    browser: Browser,
    origin: String,
}

impl Stand {
    /// None if there is no browser.
    fn start() -> Option<Self> {
        Self::with(&["--http", "127.0.0.1:0"])
    }

    /// The same with other arguments.
    fn with(arguments: &[&str]) -> Option<Self> {
        let browser = Browser::start()?;
        let hub = Peer::start();
        let (running, stdout) = Test::new(&[&["run", "shop.yaml"], arguments].concat())
            .file("shop.yaml", SPEC)
            .env("HUB", &hub.url())
            .start();
        let line = running.wait_for_line("the live page is at http://");
        let (_, rest) = line.split_once("at http://").unwrap();
        let address = rest.split(['/', ' ', '\n']).next().unwrap();
        let origin = format!("http://{address}/");
        Some(Self { running, _stdout: stdout, hub, browser, origin })
    }

    /// Opens the page, and waits until there is something to see in each of its parts.
    fn open(&self, with: &str) {
        self.browser.open(&format!("{}{with}", self.origin));
        self.browser.until(
            "document.querySelectorAll('.node').length === 4
                && document.querySelectorAll('#events-rows tr').length > 3
                && document.querySelectorAll('.legend-value').length > 8",
        );
    }

    /// Nothing was wrong in the browser, and it asked nobody else for anything.
    fn is_clean(&self) {
        let complaints = self.browser.complaints();
        assert!(complaints.is_empty(), "{complaints:#?}");
        let mut asked = self.browser.requests();
        // What the browser shows before the first page is its own.
        asked.retain(|url| !url.starts_with("data:") && !url.starts_with("chrome://"));
        assert!(asked.len() > 20, "{asked:#?}");
        let foreign: Vec<_> = asked.iter().filter(|url| !url.starts_with(&self.origin)).collect();
        assert!(foreign.is_empty(), "{foreign:#?}");
    }
}

#[test]
fn figures_and_charts_move_in_both_themes_and_on_small_screens() {
    let Some(stand) = Stand::start() else { return };
    let browser = &stand.browser;
    let mut pages = Vec::new();
    for (theme, width, height) in
        [("light", 1600, 1000), ("dark", 1920, 1080), ("light", 390, 844), ("dark", 360, 780)]
    {
        browser.resize(width, height);
        stand.open(&format!("?theme={theme}"));
        let before = MOVING.map(|read| browser.text(read));
        for (read, before) in MOVING.iter().zip(&before) {
            browser.until_other(&format!("{read} !== arguments[0]"), before);
        }
        let over = browser
            .read("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(over, 0, "{theme}, {width}: it is wider than the window");
        pages.push(browser.text("getComputedStyle(document.body).backgroundColor"));
    }
    assert_eq!((&pages[0], &pages[1]), (&pages[2], &pages[3]));
    assert_ne!(pages[0], pages[1]);
    stand.is_clean();
}

#[test]
fn an_event_opens_with_its_causes_and_what_it_holds_stays_text() {
    let Some(stand) = Stand::start() else { return };
    let browser = &stand.browser;
    stand.open("");
    // A line of a receipt: it has a receipt above it, and a movement of stock below.
    browser.read(
        "(() => {
            const type = document.getElementById('events-type');
            type.value = 'receipt_line_added';
            type.dispatchEvent(new Event('change'));
            type.focus();
        })()",
    );
    browser.until(
        "[...document.querySelectorAll('#events-rows tr')]
            .every((row) => row.children[1].textContent === 'receipt_line_added')
            && document.querySelectorAll('#events-rows tr').length > 0",
    );
    browser.click("#events-pause");
    browser.click("#events-rows tr button");
    browser.until("document.getElementById('drawer-title').textContent === 'receipt_line_added'");
    browser.until("document.querySelector('#drawer .json') !== null");
    let parents = "[...document.querySelectorAll('.tree button b')].map((b) => b.textContent)";
    browser.until(&format!("{parents}.includes('receipt_created')"));
    browser.read(
        "[...document.querySelectorAll('.tree button')]
            .find((link) => link.textContent.includes('receipt_created')).click()",
    );
    browser.until("document.getElementById('drawer-title').textContent === 'receipt_created'");
    browser.until("document.querySelector('#drawer .json').textContent.includes('onerror=alert')");
    assert_eq!(browser.read("document.querySelector('#drawer img')"), serde_json::Value::Null);
    browser.click("#drawer-back");
    browser.until("document.getElementById('drawer-title').textContent === 'receipt_line_added'");
    browser.press(ESCAPE);
    browser.until("!document.getElementById('drawer').open");
    stand.is_clean();
}

#[test]
fn the_keyboard_selects_a_stage_and_reads_a_chart() {
    let Some(stand) = Stand::start() else { return };
    let browser = &stand.browser;
    stand.open("");
    browser.read("document.querySelector('[data-stage=noted]').focus()");
    browser.press(ENTER);
    browser.until("document.querySelector('#stage h3')?.textContent === 'noted'");
    browser.until("document.querySelectorAll('#stage .figures div').length > 3");
    browser.until("document.querySelectorAll('#stage .sample').length > 0");
    browser.read("document.querySelector('.plot').focus()");
    browser.press(ARROW_LEFT);
    browser.until(
        "document.querySelector('.plot').getAttribute('aria-valuetext').includes('customer_entered')",
    );
    browser.until("document.getElementById('charts-time').textContent !== ''");
    browser.press(ESCAPE);
    browser.until("document.getElementById('charts-time').textContent === ''");
    stand.is_clean();
}

#[test]
fn a_sink_that_fails_is_red_within_two_seconds_of_its_breaker_and_well_again_later() {
    let Some(stand) = Stand::start() else { return };
    let browser = &stand.browser;
    stand.open("");
    let health = "document.getElementById('health').dataset.health";
    browser.until(&format!("{health} === 'well'"));
    stand.hub.set(Fault::Answer { status: 503, headers: Vec::new(), body: String::new() });
    let red = browser.until(&format!(
        "document.querySelector('[data-stage=hub]').classList.contains('is-unwell')
            && document.querySelector('[data-stage=hub] .node-note').textContent.includes('breaker')
            && {health} === 'unwell'"
    ));
    let said = stand.running.wait_for_line("the circuit opened");
    let opened: Timestamp = said.split_whitespace().next().unwrap().parse().unwrap();
    let late = red - opened.as_millis() as f64;
    assert!(late < 2000.0, "it was red {late} ms after the breaker opened");
    let why = browser.text("document.getElementById('health-reason').textContent");
    assert!(why.starts_with("hub: "), "{why}");
    browser.until("document.querySelectorAll('#failures-rows li').length > 0");
    stand.hub.set(Fault::None);
    browser.until(&format!("{health} === 'well'"));
    stand.is_clean();
}

#[test]
fn a_run_is_paused_and_stopped_from_the_page_and_its_last_figures_stay() {
    let Some(stand) = Stand::start() else { return };
    let browser = &stand.browser;
    stand.open("#token=open%20sesame");
    assert_eq!(browser.text("location.hash"), "");
    let phase = "document.getElementById('phase').textContent";
    browser.click("#pause");
    browser.until(&format!("{phase} === 'paused'"));
    browser.click("#pause");
    browser.until(&format!("{phase} === 'running'"));
    browser.read(
        "(() => {
            const speed = document.getElementById('speed');
            speed.value = '60';
            speed.dispatchEvent(new Event('change'));
        })()",
    );
    browser.until("document.getElementById('speed-now').textContent === '60×'");
    browser.click("#stop");
    browser.until("document.getElementById('ask').open");
    browser.click("#ask-ok");
    browser.until(&format!("{phase} === 'ended'"));
    let shown = browser.text("document.getElementById('tile-generated').textContent");
    let Stand { running, browser, .. } = stand;
    let report = running.end(String::new()).exits(0).stderr;
    let generated = format!("{} generated", shown.replace('\u{202f}', " "));
    assert!(report.contains(&generated), "{generated}, but: {report}");
    assert_eq!(browser.text("document.getElementById('banner').dataset.kind"), "ended");
    assert!(browser.complaints().is_empty());
}

#[test]
fn a_page_goes_on_with_the_next_version_of_the_pipeline() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let Some(stand) = Stand::with(&["--watch", "--http", &free.to_string()]) else { return };
    let browser = &stand.browser;
    stand.open("");
    stand.running.write("shop.yaml", &SPEC.replace("aside:", "besides:"));
    browser.until("document.getElementById('banner').dataset.kind === 'ended'");
    browser.until("document.querySelector('[data-stage=besides]') !== null");
    browser.until("document.getElementById('banner').hidden");
    let moving = MOVING[0];
    let before = browser.text(moving);
    browser.until_other(&format!("{moving} !== arguments[0]"), &before);
    stand.is_clean();
}

#[test]
fn an_engine_that_is_gone_is_told_within_two_seconds() {
    let Some(stand) = Stand::start() else { return };
    let browser = &stand.browser;
    stand.open("");
    let before = browser.read("Date.now()").as_f64().unwrap();
    stand.running.signal("KILL");
    let lost = browser.until(
        "!document.getElementById('banner').hidden
            && document.getElementById('banner').textContent.includes('Connection lost')",
    );
    assert!(lost - before < 2000.0, "{} ms", lost - before);
}
