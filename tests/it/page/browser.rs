//! Chromium without a window, driven by `ChromeDriver` over the `WebDriver` protocol.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How long something may take to happen in a page; only a failing test waits so long.
const PATIENCE_MS: u64 = 60_000;

const ARGUMENTS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// Looks whether `CONDITION` holds whenever something changes in the page, and answers with the time
/// at which it did first, in milliseconds since 1970.
const UNTIL: &str = "
    const done = arguments[arguments.length - 1];
    const look = () => {
        if (!(CONDITION)) return;
        observer.disconnect();
        done(Date.now());
    };
    const what = { subtree: true, childList: true, characterData: true, attributes: true };
    const observer = new MutationObserver(look);
    observer.observe(document, what);
    look();
";

/// A browser with one page. It ends when it is dropped.
pub(crate) struct Browser {
    driver: Child,
    /// Held open, since the driver may have more to say.
    _said: BufReader<ChildStdout>,
    runtime: Runtime,
    client: reqwest::Client,
    session: String,
    profile: TempDir,
}

impl Browser {
    /// A browser with a window of a projector's size; none if the test is to be skipped.
    pub(crate) fn start() -> Option<Self> {
        let is_there = ["chromium", "chromedriver"].into_iter().all(|program| {
            let asked = Command::new(program).arg("--version").output();
            asked.is_ok_and(|output| output.status.success())
        });
        let required = std::env::var("ENGINE_TEST_REQUIRE").unwrap_or_default();
        let is_required = required.split(',').any(|name| name.trim() == "chromium");
        assert!(is_there || !is_required, "`chromium` or `chromedriver` is missing, and required");
        if !is_there {
            println!("skipped: chromium or chromedriver not found");
            return None;
        }
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(driver.stdout.take().unwrap());
        let port = said
            .by_ref()
            .lines()
            .map(Result::unwrap)
            .find_map(|line| {
                let (_, port) = line.split_once("started successfully on port ")?;
                Some(port.trim_end_matches('.').to_owned())
            })
            .expect("the driver says where it listens");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self {
            driver,
            _said: said,
            runtime,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            session: format!("http://127.0.0.1:{port}/session"),
            profile,
        };
        let folder = format!("--user-data-dir={}", browser.profile.path().display());
        let arguments: Vec<&str> = ARGUMENTS.iter().copied().chain([folder.as_str()]).collect();
        let wanted = json!({
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "goog:chromeOptions": { "args": arguments },
            "timeouts": { "script": PATIENCE_MS, "pageLoad": PATIENCE_MS },
        });
        let session = browser.post("", &json!({ "capabilities": { "alwaysMatch": wanted } }));
        browser.session = format!("{}/{}", browser.session, session["sessionId"].as_str().unwrap());
        browser.resize(1600, 1000);
        Some(browser)
    }

    /// Goes to an address.
    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// The room that a page has, in pixels.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        let command = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": size });
        self.post("/goog/cdp/execute", &command);
    }

    /// What an expression comes to in the page.
    pub(crate) fn read(&self, expression: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": format!("return {expression}"), "args": [] }))
    }

    /// The same of a text.
    pub(crate) fn text(&self, expression: &str) -> String {
        self.read(expression).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true in the page, which may become so only when some element
    /// changes; says when it did, in milliseconds since 1970. `was` is `arguments[0]` in it.
    pub(crate) fn until_other(&self, condition: &str, was: &str) -> f64 {
        let script = UNTIL.replace("CONDITION", condition);
        let at = self.post("/execute/async", &json!({ "script": script, "args": [was] }));
        at.as_f64().unwrap_or_else(|| panic!("never: {condition}"))
    }

    /// The same where nothing is compared.
    pub(crate) fn until(&self, condition: &str) -> f64 {
        self.until_other(condition, "")
    }

    /// Clicks an element as a person does: where it is, and if nothing lies on it.
    pub(crate) fn click(&self, selector: &str) {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        let element = found.as_object().unwrap().values().next().unwrap().as_str().unwrap();
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Presses a key, which goes to what has the focus.
    pub(crate) fn press(&self, key: &str) {
        let presses =
            json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let keyboard = json!([{ "type": "key", "id": "keyboard", "actions": presses }]);
        self.post("/actions", &json!({ "actions": keyboard }));
    }

    /// What the browser has to complain of since it was asked last.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "browser" }));
        log.as_array().unwrap().iter().map(|entry| entry["message"].to_string()).collect()
    }

    /// The addresses that pages asked for since it was asked last.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "performance" }));
        let entries = log.as_array().unwrap().iter();
        let entries = entries.map(|entry| {
            let text = entry["message"].as_str().unwrap();
            serde_json::from_str::<Value>(text).unwrap()["message"].clone()
        });
        let sent = entries.filter(|entry| entry["method"] == "Network.requestWillBeSent");
        sent.map(|entry| entry["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.session)).body(body.to_string());
        let text = self.runtime.block_on(async { request.send().await?.text().await }).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        let error = &answer["value"]["error"];
        assert!(error.is_null(), "{error} {}: {path} {body}", answer["value"]["message"]);
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser goes with its session; what is left of it would outlive the driver.
        let ending = self.client.delete(&self.session).send();
        let _ = self.runtime.block_on(ending);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
