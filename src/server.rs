//! What is seen of a run, and done to it, over HTTP while it goes on: the live page, statistics,
//! health, metrics, events. It works beside the run, in a thread that is not the stages'.
//!
//! ```text
//! stages -> taps, observers -> recent events, failures --.
//! accounts -> monitor -> statistics, health, history ----+-> routes -> whoever asks
//!                                            control <---'
//! ```

mod access;
mod connections;
mod control;
mod endpoints;
mod events;
mod failures;
mod listener;
mod metrics;
mod page;
mod recent;
mod tap;
mod turns;
mod views;

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, middleware};
use futures::{Stream, StreamExt};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{oneshot, watch};
use tokio_stream::wrappers::WatchStream;

use crate::control::{Control, Phase};
use crate::graph::Taps;
use crate::monitor::{Observers, SAMPLE_INTERVAL, Sample, Statistics};
use crate::plan::Plan;
use crate::runtime::Monitor;
use crate::security::Refusals;
use crate::spec::Secret;

use failures::Failures;
use metrics::EventTypes;
use recent::Recent;
use views::{Graph, Live, RunState};

pub use access::Token;
pub use listener::Listener;

/// How long connections have to take in the last word of a run.
const LINGER: Duration = Duration::from_millis(500);

/// How many threads work at what takes longer: a tap's condition, and each of three ways to search
/// what is held, all of which have a permit for one of each.
const WORKERS: usize = 4;

/// What will be served of a run that has not begun.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    graph: Graph,
    token: Option<Token>,
    recent: Arc<Recent>,
    failures: Arc<Failures>,
}

/// A run that is served.
struct Served {
    graph: Graph,
    token: Option<Token>,
    /// Whether others than this machine can connect.
    is_open: bool,
    /// Of changes without the token.
    refusals: Refusals,
    recent: Arc<Recent>,
    failures: Arc<Failures>,
    event_types: EventTypes,
    monitor: Monitor,
    control: Control,
    /// What goes to each page once a second, as JSON.
    live: watch::Sender<Arc<str>>,
    /// When the run is over.
    ended: watch::Sender<bool>,
}

type Run = State<Arc<Served>>;

impl Server {
    /// What will be served at an address that was taken.
    pub fn new(listener: Listener, plan: &Plan, token: Option<Token>) -> Self {
        let settings = &plan.spec.monitoring;
        let token = token.or_else(|| settings.token.as_ref().map(Secret::reveal).map(Token::new));
        Self {
            address: listener.address,
            listener: listener.listener,
            graph: Graph::of(plan),
            token,
            recent: Arc::new(Recent::new(plan)),
            failures: Arc::new(Failures::new(plan.document.secret_texts())),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sees what goes through the stages from now on, and what fails.
    pub fn watch(&self, taps: &mut Taps, observers: &mut Observers) {
        Recent::tap(&self.recent, taps);
        observers.push(self.failures.clone());
    }

    /// Serves until the run has ended, and everyone was told; or until nobody waits for that any
    /// more. It has a thread of its own, so that nothing that is asked holds up what the waiting
    /// thread keeps: signals, checkpoints, deadlines.
    pub async fn serve(self, monitor: Monitor, control: Control) {
        let (mut waits, ended) = oneshot::channel::<()>();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(WORKERS)
                .thread_name("http-work")
                .build();
            match runtime {
                Ok(runtime) => {
                    runtime.block_on(async {
                        tokio::select! {
                            () = self.serve_here(monitor, control) => {}
                            () = waits.closed() => {}
                        }
                    });
                    // What still works for somebody works for nobody.
                    runtime.shutdown_background();
                }
                Err(error) => tracing::error!("cannot serve the live page: {error}"),
            }
            drop(waits);
        };
        match std::thread::Builder::new().name("http".to_owned()).spawn(serve) {
            // The thread drops its end and says nothing.
            Ok(_) => _ = ended.await,
            Err(error) => tracing::error!("cannot serve the live page: {error}"),
        }
    }

    async fn serve_here(self, monitor: Monitor, control: Control) {
        let Self { listener, address, graph, token, recent, failures } = self;
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!("cannot serve the live page: {error}"),
        };
        let page = match token.as_ref().filter(|token| token.is_shown()) {
            Some(token) => format!("http://{address}/#token={}", token.reveal()),
            None => format!("http://{address}/"),
        };
        tracing::info!("listening: the live page is at {page}");
        let served = Arc::new(Served {
            graph,
            token,
            is_open: !address.ip().is_loopback(),
            refusals: Refusals::default(),
            recent,
            failures,
            event_types: EventTypes::default(),
            monitor,
            control,
            live: watch::Sender::new("".into()),
            ended: watch::Sender::new(false),
        });
        let mut ended = served.ended.subscribe();
        let over = async move {
            // Where the sender is gone the run is, too.
            let _ = ended.wait_for(|ended| *ended).await;
        };
        let late = async {
            served.tell().await;
            tokio::time::sleep(LINGER).await;
        };
        tokio::select! {
            () = connections::serve(listener, router(served.clone()), over) => {}
            () = late => {}
        }
    }
}

fn router(run: Arc<Served>) -> Router {
    let endpoints = endpoints::all().into_iter();
    let routes = endpoints.fold(Router::new(), |router, it| router.route(it.path, it.handler));
    routes
        .merge(page::routes())
        .fallback(async || no_such_page())
        .method_not_allowed_fallback(async || {
            let help = "what looks is asked with GET, what changes something with POST";
            refusal(StatusCode::METHOD_NOT_ALLOWED, "this cannot be done here", help)
        })
        .layer(middleware::from_fn_with_state(run.clone(), access::check))
        .layer(middleware::map_response(without_store))
        .with_state(run)
}

/// What is served is of this moment.
async fn without_store(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An answer to what cannot be done.
fn refusal(status: StatusCode, error: impl Into<String>, help: impl Into<String>) -> Response {
    (status, Json(Refused { error: error.into(), help: help.into() })).into_response()
}

fn no_such_page() -> Response {
    let help = "the page is at `/`, and `/openapi.json` says what else there is";
    refusal(StatusCode::NOT_FOUND, "there is no such page", help)
}

/// What stands in a path for a name is no text.
fn no_name(error: &PathRejection) -> Response {
    refusal(StatusCode::BAD_REQUEST, error.body_text(), "write it in UTF-8, percent-encoded")
}

async fn live() -> Json<Alive> {
    Json(Alive { live: true })
}

async fn statistics(State(run): Run) -> Json<Statistics> {
    Json(run.monitor.statistics())
}

async fn state(State(run): Run) -> Json<RunState> {
    Json(RunState::of(&run))
}

async fn graph(State(run): Run) -> Json<Graph> {
    Json(run.graph.clone())
}

async fn failures(State(run): Run) -> Json<failures::Shown> {
    Json(run.failures.shown())
}

/// 200 when every sink has had its receiver, until the run drains.
async fn ready(State(run): Run) -> Response {
    let waiting_for = run.waiting_for();
    let ready = waiting_for.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, waiting_for })).into_response()
}

/// Whether every sink has connected.
#[derive(JsonSchema, Serialize)]
struct Ready {
    ready: bool,
    /// The sinks that have not, and why.
    waiting_for: Vec<String>,
}

/// The process answers.
#[derive(JsonSchema, Serialize)]
struct Alive {
    live: bool,
}

/// Why something was not done.
#[derive(JsonSchema, Serialize)]
struct Refused {
    error: String,
    /// What to do about it.
    help: String,
}

/// 200 when every component is well.
async fn health(State(run): Run) -> Response {
    let mut health = run.monitor.health();
    for component in health.components.values_mut() {
        for text in [&mut component.reason, &mut component.error].into_iter().flatten() {
            *text = run.failures.masked(text);
        }
    }
    let status =
        if health.overall_healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}

/// The last quarter of an hour.
#[derive(JsonSchema, Serialize)]
struct Past {
    interval_seconds: u64,
    /// The oldest first.
    samples: Vec<Sample>,
}

async fn history(State(run): Run) -> Json<Past> {
    let samples = run.monitor.history().all();
    Json(Past { interval_seconds: SAMPLE_INTERVAL.as_secs(), samples })
}

/// What the page shows, once a second, until the run has ended.
async fn stream(State(run): Run) -> Result<impl IntoResponse, Response> {
    let place = connections::stream()?;
    let (live, ended) = (run.live.subscribe(), run.ended.subscribe());
    let stats = WatchStream::new(live).filter(|live| std::future::ready(!live.is_empty()));
    let stats = stats.map(told);
    // However the end was met, the last figures are the final ones.
    let last = futures::stream::once(async move { told(run.live.borrow().clone()) });
    Ok(server_sent(stats, last, ended, place))
}

fn told(live: Arc<str>) -> sse::Event {
    sse::Event::default().event("stats").data(live)
}

/// Events until the run has ended, what comes last, and the word that it has.
fn server_sent(
    events: impl Stream<Item = sse::Event> + Send + 'static,
    last: impl Stream<Item = sse::Event> + Send + 'static,
    ended: watch::Receiver<bool>,
    place: connections::Place,
) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>> {
    let mut over = ended;
    let over = async move {
        // Where the sender is gone the run is, too.
        let _ = over.wait_for(|ended| *ended).await;
    };
    let end = futures::stream::once(async { sse::Event::default().event("end").data("{}") });
    let all = events.take_until(over).chain(last).chain(end).map(move |event| {
        let _kept_until_the_last = &place;
        Ok(event)
    });
    Sse::new(all).keep_alive(KeepAlive::default())
}

impl Served {
    /// Makes what the pages show once a second, until the run has ended.
    async fn tell(&self) {
        let mut ticks = tokio::time::interval(SAMPLE_INTERVAL);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.look(),
                () = self.monitor.ended() => break,
            }
        }
        // The last word is the final one.
        self.look();
        self.ended.send_replace(true);
    }

    fn look(&self) {
        self.recent.begin_second();
        self.failures.begin_second();
        if let Ok(live) = serde_json::to_string(&Live::of(self)) {
            self.live.send_replace(live.into());
        }
    }

    /// What the run is not ready for.
    fn waiting_for(&self) -> Vec<String> {
        if self.drains() {
            return vec!["the run drains".to_owned()];
        }
        let unconnected = self.monitor.unconnected().into_iter();
        unconnected.map(|sink| self.failures.masked(&sink)).collect()
    }

    /// Whether the run goes to its end: it was told to, or its stages have none left to give.
    fn drains(&self) -> bool {
        self.control.phase() > Phase::Running || self.monitor.has_drained()
    }
}
