//! What a request goes through: is it allowed, is there room, what is in it, what became of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::body::{BodyFault, Contents, read, unpacked};
use super::{Auth, HttpSource, Listener, OnMalformed, Respond};
use crate::clock::Clock;
use crate::event::{Event, Ledger};
use crate::security::{Refusals, SECURITY};
use crate::sources::records::Parser;
use crate::stage::{Failure, SourceContext};

/// How many problems of a body an answer names.
const FAULTS_SHOWN: usize = 20;

/// The way into the pipeline.
pub(super) struct Inlet {
    stage: String,
    settings: HttpSource,
    parser: Mutex<Parser>,
    clock: Clock,
    ledger: Ledger,
    enter: mpsc::Sender<Arrival>,
    /// Its sender is gone when the source stops.
    stopping: watch::Receiver<bool>,
    room: Arc<Semaphore>,
    /// Requests with a token that is missing or wrong.
    refused: Refusals,
}

/// The events of a request.
pub(super) struct Arrival {
    pub(super) events: Vec<Event>,
    /// What becomes a dead letter.
    pub(super) malformed: Vec<Malformed>,
    /// Told when all are on their way.
    pub(super) sent: oneshot::Sender<Sent>,
}

/// A part of a request that is no event.
pub(super) struct Malformed {
    pub(super) text: String,
    pub(super) origin: String,
    pub(super) failure: Failure,
}

/// The marks of the ledger around the tokens of a request.
pub(super) struct Sent {
    pub(super) first: u64,
    pub(super) mark: u64,
}

/// What a request is answered.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Reply {
    fn error(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, body: json!({ "error": message.into() }) }
    }

    fn stopping() -> Self {
        Self::error(StatusCode::SERVICE_UNAVAILABLE, "the pipeline stops")
    }

    fn busy() -> Self {
        Self::error(StatusCode::SERVICE_UNAVAILABLE, "there is no room")
    }
}

impl Inlet {
    pub(super) fn new(
        plan: Listener,
        cx: &SourceContext,
        enter: mpsc::Sender<Arrival>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let Listener { settings, event_type, time_field, .. } = plan;
        Self {
            parser: Mutex::new(Parser::new(settings.format, event_type, time_field)),
            room: Arc::new(Semaphore::new(settings.max_requests as usize)),
            stage: cx.stage.clone(),
            refused: Refusals::default(),
            clock: cx.clock.clone(),
            ledger: cx.ledger.clone(),
            settings,
            enter,
            stopping,
        }
    }

    /// Deals with a request, from its head to its answer.
    pub(super) async fn answer(&self, request: Request<Body>) -> Reply {
        self.take(request).await.unwrap_or_else(|refused| refused)
    }

    /// Waits until the source stops.
    pub(super) async fn stopped(&self) {
        // Nothing is ever sent: the sender is let go of.
        let _ = self.stopping.clone().changed().await;
    }

    /// Waits until every request is answered.
    pub(super) async fn idle(&self) {
        let _ = self.room.acquire_many(self.settings.max_requests).await;
    }

    async fn take(&self, request: Request<Body>) -> Result<Reply, Reply> {
        self.check(&request)?;
        let _permit = self.permit().await?;
        let (head, body) = request.into_parts();
        let body = self.body(&head.headers, body).await?;
        let (count, sent) = self.enter(&body).await?;
        match self.settings.respond {
            Respond::Accepted => {
                Ok(Reply { status: StatusCode::ACCEPTED, body: json!({ "accepted": count }) })
            }
            Respond::Delivered => self.delivered(count, &sent).await,
        }
    }

    fn check(&self, request: &Request<Body>) -> Result<(), Reply> {
        if request.uri().path() != self.settings.path {
            return Err(Reply::error(StatusCode::NOT_FOUND, "nothing is here"));
        }
        if let Some(Auth::Bearer(token)) = &self.settings.auth
            && !is_bearer(request.headers(), token.reveal())
        {
            self.tell_of_refusal(request);
            return Err(Reply::error(StatusCode::UNAUTHORIZED, "the token is missing or wrong"));
        }
        if ![Method::POST, Method::PUT].contains(request.method()) {
            let message = "events are sent with POST or PUT";
            return Err(Reply::error(StatusCode::METHOD_NOT_ALLOWED, message));
        }
        Ok(())
    }

    fn tell_of_refusal(&self, request: &Request<Body>) {
        if let Some(withheld) = self.refused.note() {
            let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
            let peer = peer.map(|ConnectInfo(address)| address.to_string());
            tracing::warn!(
                target: SECURITY, event = "token_rejected", stage = self.stage, peer, withheld,
                "a request without the right token was refused"
            );
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Reply> {
        let room = self.room.clone().acquire_owned();
        let permit = timeout(self.settings.busy_timeout.0, room).await;
        permit.map_err(|_| Reply::busy())?.map_err(|_| Reply::stopping())
    }

    /// The body, unpacked.
    async fn body(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, Reply> {
        let bytes_max = self.settings.max_body_bytes;
        let too_large = || {
            let message = format!("a body may have {bytes_max} bytes");
            Reply::error(StatusCode::PAYLOAD_TOO_LARGE, message)
        };
        let body = tokio::select! {
            body = timeout(self.settings.respond_timeout.0, to_bytes(body, bytes_max)) => body,
            () = self.stopped() => return Err(Reply::stopping()),
        };
        let slow = |_| Reply::error(StatusCode::REQUEST_TIMEOUT, "the body took too long");
        let body = body.map_err(slow)?.map_err(|_| too_large())?;
        let encoding = headers.get(CONTENT_ENCODING).map_or(Ok("identity"), |value| value.to_str());
        match encoding.unwrap_or_default().to_ascii_lowercase().as_str() {
            "identity" => Ok(body),
            "gzip" | "x-gzip" => match unpacked(&body, bytes_max) {
                Ok(Some(body)) => Ok(body.into()),
                Ok(None) => Err(too_large()),
                Err(error) => {
                    let message = format!("the body cannot be unpacked: {error}");
                    Err(Reply::error(StatusCode::BAD_REQUEST, message))
                }
            },
            _ => {
                let message = "bodies are packed with gzip or not at all";
                Err(Reply::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
            }
        }
    }

    /// Hands the events of a body to the pipeline: how many, and their marks.
    async fn enter(&self, body: &[u8]) -> Result<(usize, Sent), Reply> {
        let Contents { events, faults } = {
            let mut parser = self.parser.lock().unwrap_or_else(PoisonError::into_inner);
            read(body, &mut parser, self.clock.now())
        };
        if !faults.is_empty() && self.settings.on_malformed == OnMalformed::Refuse {
            return Err(malformed(&faults));
        }
        let malformed = faults.into_iter().map(dead_letter).collect();
        let count = events.len();
        let room = timeout(self.settings.busy_timeout.0, self.enter.reserve()).await;
        let room = room.map_err(|_| Reply::busy())?.map_err(|_| Reply::stopping())?;
        let (sent, on_its_way) = oneshot::channel();
        room.send(Arrival { events, malformed, sent });
        // Dropped unseen when the source stops: then no event of it went in, or not all.
        let sent = on_its_way.await.map_err(|_| Reply::stopping())?;
        Ok((count, sent))
    }

    /// Waits for the fate of the events.
    async fn delivered(&self, count: usize, sent: &Sent) -> Result<Reply, Reply> {
        let resolved = self.ledger.resolved(sent.first, sent.mark);
        match timeout(self.settings.respond_timeout.0, resolved).await {
            Ok(true) => Ok(Reply { status: StatusCode::OK, body: json!({ "delivered": count }) }),
            Ok(false) => {
                let message = "the run failed before the events were delivered";
                Err(Reply::error(StatusCode::SERVICE_UNAVAILABLE, message))
            }
            Err(_) => {
                let message = "the events are not delivered yet";
                Err(Reply::error(StatusCode::GATEWAY_TIMEOUT, message))
            }
        }
    }
}

fn malformed(faults: &[BodyFault]) -> Reply {
    let shown = &faults[..faults.len().min(FAULTS_SHOWN)];
    let error = "the body is malformed, nothing of it was taken";
    let body = json!({ "error": error, "malformed": faults.len(), "problems": shown });
    Reply { status: StatusCode::BAD_REQUEST, body }
}

fn dead_letter(fault: BodyFault) -> Malformed {
    let BodyFault { line, column, message, text } = fault;
    let failure = Failure::new("malformed", format!("{message} (column {column})"));
    Malformed { text, origin: format!("request:{line}"), failure }
}

/// Whether a request has this token. How long the comparison takes says nothing about where the
/// texts differ.
fn is_bearer(headers: &HeaderMap, token: &str) -> bool {
    let Some(given) = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes) else {
        return false;
    };
    let Some((scheme, given)) = given.split_at_checked("Bearer ".len()) else { return false };
    let differences =
        given.iter().zip(token.as_bytes()).fold(0, |all, (one, other)| all | (one ^ other));
    scheme.eq_ignore_ascii_case(b"Bearer ") && given.len() == token.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_same_or_wrong() {
        let is = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            is_bearer(&headers, "s3cret")
        };
        assert!(is("Bearer s3cret") && is("bearer s3cret"));
        for wrong in ["Bearer s3cre", "Bearer s3cret1", "Bearer S3cret", "Basic s3cret", "Bear", ""]
        {
            assert!(!is(wrong), "{wrong}");
        }
        assert!(!is_bearer(&HeaderMap::new(), "s3cret"));
    }
}
