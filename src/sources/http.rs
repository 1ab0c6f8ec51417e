//! The `http` source: a webhook. A request's events enter the pipeline, and its answer tells the
//! sender what became of them.

mod body;
mod inlet;
mod serve;

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use self::inlet::{Arrival, Inlet, Malformed, Sent};
use super::records::Format;
use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Batch, Event, Key, Timestamp};
use crate::problem::{Problem, Problems};
use crate::spec::{Secret, SpecDuration};
use crate::stage::{Feed, Source, SourceContext, Stage, StageError, State};

/// Listens for events that others send in requests with POST or PUT.
///
/// A body is JSON lines, a JSON array, or a single object, with gzip where `content-encoding` says
/// so. An envelope (it has `event_type` and `payload`) is an event as it stands; any other object
/// becomes the payload of a new event.
///
/// The answer is 200 when the events were delivered, 202 when they entered the pipeline (see
/// `respond`), and 400 with the places of what is malformed. 503 with `Retry-After` says that there
/// is no room or that the run ends, 504 that delivery took too long: the sender sends again what
/// was not acknowledged, and events may come twice then. Nothing is remembered to tell them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSource {
    /// The address and port to listen at; port 0 takes a free one, and the log says which.
    #[serde(default = "default_listen")]
    pub listen: String,
    /// The path to send to.
    #[serde(default = "default_path")]
    pub path: String,
    /// What senders have to know; needed where others than this machine can connect.
    pub auth: Option<Auth>,
    /// What an object is.
    #[serde(default)]
    pub format: Format,
    /// The type of the events that are made from objects that are no envelopes.
    #[serde(default = "default_event_type")]
    pub event_type: String,
    /// The field of such an object that holds its time: RFC 3339, or seconds or milliseconds since
    /// 1970 (numbers from 100 000 000 000 on are milliseconds). By default the
    /// pipeline's event time at arrival.
    pub time_field: Option<String>,
    /// What becomes of a request in which something is no event.
    #[serde(default)]
    pub on_malformed: OnMalformed,
    /// When a request is answered.
    #[serde(default)]
    pub respond: Respond,
    /// How long a request waits for its delivery until it is answered with 504, and how long a
    /// body may take to arrive.
    #[serde(default = "default_respond_timeout")]
    pub respond_timeout: SpecDuration,
    /// How long a request waits for room until it is answered with 503.
    #[serde(default = "default_busy_timeout")]
    pub busy_timeout: SpecDuration,
    /// How many requests are dealt with at a time.
    #[serde(default = "default_requests")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_requests: u32,
    /// How large a body may be, in bytes, as it was sent and unpacked; a larger one is answered
    /// with 413.
    #[serde(default = "default_body_bytes")]
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub max_body_bytes: usize,
}

/// What senders have to know.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// A token, sent as `authorization: Bearer TOKEN`.
    Bearer(Secret),
}

/// What becomes of a request in which something is no event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMalformed {
    /// Nothing of it enters, and the answer names what is wrong, with lines and columns.
    #[default]
    Refuse,
    /// It enters, but for what is malformed, which becomes a dead letter.
    DeadLetter,
}

/// When a request is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Respond {
    /// When each of its events was delivered, became a dead letter or was dropped on purpose: 200.
    /// The sender keeps them until then. An event that a correlator has absorbed, or a rule has
    /// remembered, counts as delivered: what it remembers is on the disk only with the next
    /// snapshot of `state:`, and a crash before that forgets it.
    #[default]
    Delivered,
    /// When its events entered the pipeline: 202. What is in the pipeline is lost with it.
    Accepted,
}

impl Settings for HttpSource {
    const NAME: &'static str = "http";
    const KIND: Kind = Kind::Source;
    const EXAMPLE: &'static str =
        "listen: 127.0.0.1:8088\npath: /events\nauth: { bearer: '${HOOK_TOKEN:-none}' }\n";

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        let source = self.source(cx).map_err(Problems::from)?;
        Ok(Stage::Source(Box::new(source)))
    }
}

impl HttpSource {
    fn source(self, cx: &BuildContext<'_>) -> Result<Listener, Problem> {
        let address = self.address().map_err(|message| {
            cx.problem("/listen", message).help("an address and a port, such as `127.0.0.1:8088`")
        })?;
        if !address.ip().is_loopback() && self.auth.is_none() {
            let message = format!("anyone who reaches `{}` could send events", self.listen);
            let help = "set `auth: { bearer: ... }`, or listen at `127.0.0.1`";
            return Err(cx.problem("/listen", message).help(help));
        }
        if let Some(Auth::Bearer(token)) = &self.auth
            && token.reveal().is_empty()
        {
            return Err(cx.problem("/auth/bearer", "the token is empty"));
        }
        if !self.path.starts_with('/') || self.path.contains(['?', '#']) {
            return Err(cx.problem("/path", "a path begins with `/`, and has no `?` and no `#`"));
        }
        let key = |setting: &str, name: &str| {
            Key::intern(name).map_err(|error| cx.problem(setting, error.to_string()))
        };
        let event_type = key("/event_type", &self.event_type)?;
        let time_field =
            self.time_field.as_deref().map(|name| key("/time_field", name)).transpose()?;
        Ok(Listener { settings: self, address, event_type, time_field })
    }

    fn address(&self) -> Result<SocketAddr, String> {
        let text = self.listen.replace("localhost:", "127.0.0.1:");
        text.parse().map_err(|_| format!("`{}` is no address with a port", self.listen))
    }
}

/// The settings with their names as keys.
struct Listener {
    settings: HttpSource,
    address: SocketAddr,
    event_type: Key,
    time_field: Option<Key>,
}

#[async_trait]
impl Source for Listener {
    async fn open(
        self: Box<Self>,
        mut cx: SourceContext,
        _state: Option<&State>,
    ) -> Result<Box<dyn Feed>, StageError> {
        let address = self.address;
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .map_err(|error| StageError(format!("cannot listen at `{address}`: {error}")))?;
        if let Ok(address) = listener.local_addr() {
            tracing::info!(
                source = cx.stage,
                "listening at http://{address}{}",
                self.settings.path
            );
        }
        // A request waits where the graph is not asking; what waits further back waits in its own
        // task, so one place is enough.
        let (enter, arrivals) = mpsc::channel(1);
        let (stop, stopping) = watch::channel(false);
        // Requests do not come again, so another run must not give their ids to others.
        cx.trace_ids = cx.trace_ids.begun_at(cx.clock.wall());
        let inlet = Inlet::new(*self, &cx, enter, stopping);
        tokio::spawn(serve::serve(listener, inlet, cx.holds.take()));
        Ok(Box::new(Arrivals {
            cx,
            requests: arrivals,
            open: None,
            watermark: Timestamp::MIN,
            _stop: stop,
        }))
    }
}

/// An open source. The listener stops when this is dropped; requests whose events are on their
/// way are still answered.
struct Arrivals {
    cx: SourceContext,
    requests: mpsc::Receiver<Arrival>,
    /// What has arrived and was not handed on yet.
    open: Option<Open>,
    watermark: Timestamp,
    /// Its end tells the listener to stop.
    _stop: watch::Sender<bool>,
}

/// A request of which a part was handed on.
struct Open {
    events: std::vec::IntoIter<Event>,
    sent: oneshot::Sender<Sent>,
    /// The ledger's mark before its first token.
    first: u64,
}

impl Arrivals {
    /// The next batch of the open request; the last one tells its sender that all are on their
    /// way.
    fn part(&mut self) -> Option<Batch> {
        let open = self.open.as_mut()?;
        let count = self.cx.batch_events.max(1);
        let mut events: Vec<Event> = open.events.by_ref().take(count).collect();
        for event in &mut events {
            if event.trace_id == "" {
                event.trace_id = self.cx.trace_ids.next(event.time);
            }
        }
        let token = self.cx.ledger.issue(serde_json::Value::Null);
        if let Some(last) = events.last() {
            self.watermark = self.watermark.max(last.time);
        }
        if open.events.len() == 0
            && let Some(Open { sent, first, .. }) = self.open.take()
        {
            // The sender may have gone.
            let _ = sent.send(Sent { first, mark: self.cx.ledger.mark() });
        }
        Some(Batch::new(events, self.watermark, Some(token)))
    }
}

#[async_trait]
impl Feed for Arrivals {
    async fn next(&mut self) -> Result<Option<Batch>, StageError> {
        while self.open.is_none() {
            let Some(arrival) = self.requests.recv().await else {
                return Err(StageError("the listener has stopped".to_owned()));
            };
            let first = self.cx.ledger.mark();
            // What is malformed has a share of its own: it is resolved if the dead letters were
            // kept, and never where that failed the run.
            let malformed = self.cx.ledger.issue(serde_json::Value::Null);
            for Malformed { text, origin, failure } in &arrival.malformed {
                self.cx.failures.input(text, origin, failure);
            }
            drop(malformed);
            if arrival.events.is_empty() {
                // The sender may have gone.
                let _ = arrival.sent.send(Sent { first, mark: self.cx.ledger.mark() });
                continue;
            }
            let events = arrival.events.into_iter();
            self.open = Some(Open { events, sent: arrival.sent, first });
        }
        Ok(self.part())
    }

    fn state(&self) -> State {
        // Senders send again what was not acknowledged.
        State::none()
    }
}

fn default_listen() -> String {
    "127.0.0.1:8088".to_owned()
}

fn default_path() -> String {
    "/events".to_owned()
}

fn default_event_type() -> String {
    "record".to_owned()
}

fn default_respond_timeout() -> SpecDuration {
    SpecDuration(Duration::from_secs(30))
}

fn default_busy_timeout() -> SpecDuration {
    SpecDuration(Duration::from_secs(5))
}

fn default_requests() -> u32 {
    64
}

fn default_body_bytes() -> usize {
    4 << 20
}
