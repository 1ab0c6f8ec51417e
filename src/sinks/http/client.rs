//! One request: sent, and its answer read.

use std::error::Error;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, Url};

use super::Auth;
use super::answer::Answer;
use crate::stage::{Probe, Refusal, StageError};

/// How much of an answer is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Where requests go.
pub(super) struct Receiver {
    pub(super) url: Url,
    /// Scheme, host and port: what messages name.
    pub(super) origin: String,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) auth: Option<Auth>,
    /// What must not be in messages.
    pub(super) secrets: Vec<String>,
    pub(super) connect_timeout: Duration,
    /// Further roots for certificates, as PEM.
    pub(super) roots: Vec<u8>,
}

/// What is sent.
pub(super) struct Parcel {
    pub(super) bytes: Bytes,
    pub(super) content_type: &'static str,
    pub(super) is_gzip: bool,
    pub(super) idempotency_key: String,
}

impl Receiver {
    /// A client with its connections.
    pub(super) fn client(&self) -> Result<Client, StageError> {
        let failed =
            |error: reqwest::Error| StageError(format!("no HTTP client: {}", root(&error)));
        let mut client = Client::builder()
            .user_agent(concat!("engine/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            .redirect(Policy::none())
            .referer(false);
        if self.is_loopback() {
            client = client.no_proxy();
        }
        if self.url.scheme() == "http" {
            // The system's roots are not needed, and need not be there.
            client = client.tls_certs_only([]);
        } else if !self.roots.is_empty() {
            let roots = Certificate::from_pem_bundle(&self.roots).map_err(failed)?;
            client = client.tls_certs_merge(roots);
        }
        client.build().map_err(failed)
    }

    /// Sends a request and reads the answer. When this is dropped before it is done, the
    /// connection is closed, so no answer is taken for that of a later request.
    pub(super) async fn send(&self, client: &Client, parcel: Parcel) -> Result<Answer, Refusal> {
        let sent = self.request(client, parcel).send().await;
        let response = sent.map_err(|error| self.refusal(&error))?;
        self.read(response).await.map_err(|error| self.refusal(&error))
    }

    /// Whether somebody listens there. A request could mean something to the receiver, so there is
    /// none.
    pub(super) async fn probe(&self) -> Probe {
        let origin = &self.origin;
        let (Some(host), Some(port)) = (self.url.host_str(), self.url.port_or_known_default())
        else {
            return Probe::Nothing;
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let connecting = tokio::net::TcpStream::connect((host, port));
        match tokio::time::timeout(self.connect_timeout, connecting).await {
            Ok(Ok(_)) => Probe::Found(format!("`{origin}` takes connections")),
            Ok(Err(error)) => Probe::Missing(format!("`{origin}`: {error}")),
            Err(_) => Probe::Missing(format!("`{origin}` does not answer")),
        }
    }

    fn request(&self, client: &Client, parcel: Parcel) -> RequestBuilder {
        let mut request = client
            .request(self.method.clone(), self.url.clone())
            .header(CONTENT_TYPE, parcel.content_type)
            .header("idempotency-key", parcel.idempotency_key);
        request = match &self.auth {
            None => request,
            Some(Auth::Bearer(token)) => request.bearer_auth(token.reveal()),
            Some(Auth::Basic(basic)) => {
                request.basic_auth(&basic.user, Some(basic.password.reveal()))
            }
        };
        if parcel.is_gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        // These take the place of ours.
        request.headers(self.headers.clone()).body(parcel.bytes)
    }

    async fn read(&self, mut response: Response) -> Result<Answer, reqwest::Error> {
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut body = BytesMut::new();
        let mut is_whole = true;
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                is_whole = false;
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer::new(status, &headers, &body, is_whole, &self.secrets))
    }

    fn refusal(&self, error: &reqwest::Error) -> Refusal {
        let (origin, reason) = (&self.origin, root(error));
        if error.is_builder() {
            return Refusal::permanent("rejected", format!("no request can be made: {reason}"));
        }
        if error.is_timeout() {
            return Refusal::transient("timeout", format!("`{origin}` took too long: {reason}"));
        }
        let step = if error.is_connect() { "cannot connect to" } else { "lost the connection to" };
        Refusal::transient("connection", format!("{step} `{origin}`: {reason}"))
    }

    fn is_loopback(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || address.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    }
}

/// The cause behind an error; what is before it only says that there was one.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    // An error without a cause may name the URL.
    if cause.is::<reqwest::Error>() { "the request failed".to_owned() } else { text }
}
