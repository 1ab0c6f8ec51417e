//! What requests to a collector go through: our HTTP client, on a runtime of the export's own.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use indexmap::IndexMap;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use tokio::runtime::Handle;

use crate::spec::Secret;

/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of an answer is read; those of collectors are a few bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Sends what is exported; copies share their connections.
#[derive(Clone, Debug)]
pub(super) struct CollectorClient {
    client: Client,
    runtime: Handle,
    /// Why the last request failed.
    failure: Arc<Mutex<Option<String>>>,
}

impl CollectorClient {
    /// A client that works on a runtime; whoever exports has threads that are in none.
    pub(super) fn new(
        endpoint: &Url,
        headers: &IndexMap<String, Secret>,
        runtime: Handle,
    ) -> Result<Self, String> {
        let mut client = Client::builder()
            .user_agent(concat!("engine/", env!("CARGO_PKG_VERSION")))
            .default_headers(header_map(headers)?)
            .timeout(REQUEST_TIMEOUT)
            .redirect(Policy::none())
            .referer(false);
        if is_loopback(endpoint) {
            client = client.no_proxy();
        }
        if endpoint.scheme() == "http" {
            // The system's roots are not needed, and need not be there.
            client = client.tls_certs_only([]);
        }
        let client = client.build().map_err(|error| root(&error))?;
        Ok(Self { client, runtime, failure: Arc::default() })
    }

    /// Why the last request failed, if it did.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, failure: Option<String>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move { send(&client, request).await }).await;
        let sent = sent.unwrap_or_else(|_| Err("the export has ended".to_owned()));
        self.note(match &sent {
            Ok(response) if response.status().is_success() => None,
            // What it says may repeat what it was sent, keys among it.
            Ok(response) => Some(format!("HTTP {}", response.status().as_u16())),
            Err(reason) => Some(reason.clone()),
        });
        Ok(sent?)
    }
}

async fn send(client: &Client, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
    let request = request.try_into().map_err(|error| root(&error))?;
    let mut answer = client.execute(request).await.map_err(|error| root(&error))?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| root(&error))? {
        let room = ANSWER_BYTES_MAX - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            break;
        }
    }
    let mut response = Response::new(body.into());
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}

/// Header fields, of which none is shown.
pub(super) fn header_map(headers: &IndexMap<String, Secret>) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let key: HeaderName =
            name.parse().map_err(|_| format!("`{name}` is not the name of a header field"))?;
        let mut value = HeaderValue::from_str(value.reveal())
            .map_err(|_| format!("the value of `{name}` has characters that none may"))?;
        value.set_sensitive(true);
        map.insert(key, value);
    }
    Ok(map)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// The cause behind an error; what is before it only says that there was one, and may name the URL.
fn root(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", REQUEST_TIMEOUT.as_secs());
    }
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    if cause.is::<reqwest::Error>() { "the request failed".to_owned() } else { cause.to_string() }
}
