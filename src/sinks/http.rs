//! The `http` sink: batches as requests to a webhook, and its answers as outcomes.

mod answer;
mod body;
mod client;
mod write;

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use indexmap::IndexMap;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::client::Receiver;
use self::write::HttpWriter;
use crate::component::{BuildContext, Kind, Settings};
use crate::problem::{Problem, Problems};
use crate::spec::{Secret, SpecDuration};
use crate::stage::Stage;

/// Sends events to a URL, several in each request.
///
/// An answer of 2xx means that all events of the request were taken. A receiver that took only
/// some answers 200 or 207 and names the others by their place in the request, from 0, as
/// `{"rejected": [{"index": 3, "status": 429, "reason": "later"}]}`. Events are sent again after
/// 408, 425, 429 and 5xx, not before the time in `Retry-After` (an hour at most) is over, and when
/// the connection fails; with every other status they are not.
///
/// After 413 a request is parted, and its parts are sent. Each request has an `Idempotency-Key`,
/// which is the same whenever the same events are sent again: a receiver that took them and whose
/// answer was lost can tell. Redirects are not followed. `HTTP_PROXY` and its kin are heeded,
/// except for loopback.
///
/// A batch makes several requests where `max_body_bytes`, 413 or `format: event` asks for it; they
/// are made one after the other. `delivery.timeout` is the time of one request, and what was
/// answered is not sent again when a later one fails.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSink {
    /// Where requests go: `http://` or `https://`. Messages name it without path and query, also
    /// where they show an answer that repeats them; a URL
    /// that is secret as a whole comes from `${file:/run/secrets/x}`, or it is shown by `render`.
    pub url: String,
    /// The method.
    #[serde(default)]
    pub method: Method,
    /// What a body is.
    #[serde(default)]
    pub format: BodyFormat,
    /// Further header fields; their values are kept secret.
    #[serde(default)]
    pub headers: IndexMap<String, Secret>,
    /// Who we are; by default nobody.
    pub auth: Option<Auth>,
    /// How bodies are packed.
    #[serde(default)]
    pub compression: Compression,
    /// How large a body may be, in bytes, before it is packed. What a batch has beyond it goes in
    /// further requests; an event that is larger by itself is rejected as `too_large`.
    #[serde(default = "default_body_bytes")]
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub max_body_bytes: usize,
    /// How long connecting may take.
    #[serde(default = "default_connect_timeout")]
    pub connect_timeout: SpecDuration,
    /// How the receiver's certificate is checked.
    #[serde(default)]
    pub tls: Tls,
}

/// A method of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `POST`
    #[default]
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
}

/// What a body is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BodyFormat {
    /// One envelope as JSON on each line: `application/x-ndjson`.
    #[default]
    Ndjson,
    /// A JSON array of envelopes: `application/json`.
    Json,
    /// A single envelope, so that each event makes a request: `application/json`.
    Event,
}

/// How bodies are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// With gzip.
    Gzip,
}

/// Who a request is from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// With a token.
    Bearer(Secret),
    /// With a name and a password.
    Basic(Basic),
}

/// A name and a password.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// How the receiver's certificate is checked: against the system's roots, and these.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// A file of further roots as PEM, relative to the file that names it.
    pub ca_file: Option<String>,
}

impl Settings for HttpSink {
    const NAME: &'static str = "http";
    const KIND: Kind = Kind::Sink;
    const EXAMPLE: &'static str = "url: https://hooks.example.com/retail\n\
         auth: { bearer: '${HOOK_TOKEN:-none}' }\n\
         compression: gzip\n";

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        let mut roots = Vec::new();
        if let Some(name) = &self.tls.ca_file {
            let path = cx.spec_path(name);
            let unusable = |reason: String| {
                let path = path.display();
                cx.problem("/tls/ca_file", format!("cannot use the roots in `{path}`: {reason}"))
            };
            roots = std::fs::read(&path).map_err(|error| unusable(error.to_string()))?;
            if !String::from_utf8_lossy(&roots).contains("-----BEGIN CERTIFICATE-----") {
                return Err(unusable("it holds no certificate as PEM".to_owned()).into());
            }
        }
        let receiver = self.receiver(roots).map_err(|fault| fault.into_problem(cx))?;
        Ok(Stage::Sink(Box::new(HttpWriter::new(&self, receiver))))
    }
}

/// Settings that do not go together.
#[derive(Debug, PartialEq)]
struct Fault {
    setting: String,
    message: String,
    help: Option<&'static str>,
}

impl Fault {
    fn new(setting: impl Into<String>, message: impl Into<String>) -> Self {
        Self { setting: setting.into(), message: message.into(), help: None }
    }

    fn into_problem(self, cx: &BuildContext<'_>) -> Problem {
        let problem = cx.problem(&self.setting, self.message);
        match self.help {
            Some(help) => problem.help(help),
            None => problem,
        }
    }
}

/// Header fields that are the client's own.
const RESERVED: [&str; 6] =
    ["connection", "content-encoding", "content-length", "host", "te", "transfer-encoding"];

impl HttpSink {
    fn receiver(&self, roots: Vec<u8>) -> Result<Receiver, Fault> {
        let url = self.parsed_url()?;
        if self.connect_timeout.0.is_zero() {
            return Err(Fault::new("/connect_timeout", "connecting takes some time"));
        }
        Ok(Receiver {
            origin: url.origin().ascii_serialization(),
            secrets: self.secrets(&url),
            method: match self.method {
                Method::Post => reqwest::Method::POST,
                Method::Put => reqwest::Method::PUT,
                Method::Patch => reqwest::Method::PATCH,
            },
            url,
            headers: self.header_map()?,
            auth: self.auth.clone(),
            connect_timeout: self.connect_timeout.0,
            roots,
        })
    }

    /// The URL. Messages never hold it: a part may be secret.
    fn parsed_url(&self) -> Result<Url, Fault> {
        let wrong = |message: String| Fault::new("/url", message);
        let url = Url::parse(&self.url).map_err(|error| wrong(format!("it is no URL: {error}")))?;
        if !["http", "https"].contains(&url.scheme()) {
            let scheme = url.scheme();
            return Err(wrong(format!("`{scheme}` is neither `http` nor `https`")));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let message = "a name or a password in a URL shows up in many places".to_owned();
            let help = Some("write `auth: { basic: { user: NAME, password: ... } }` in its place");
            return Err(Fault { help, ..wrong(message) });
        }
        Ok(url)
    }

    fn header_map(&self) -> Result<HeaderMap, Fault> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let at = |message: String| {
                let name = name.replace('~', "~0").replace('/', "~1");
                Fault::new(format!("/headers/{name}"), message)
            };
            let key: HeaderName = name
                .parse()
                .map_err(|_| at(format!("`{name}` is not the name of a header field")))?;
            if RESERVED.contains(&key.as_str()) {
                return Err(at(format!("`{key}` is set by the sink itself")));
            }
            if key == "authorization" && self.auth.is_some() {
                return Err(at("`auth` sets `authorization` already".to_owned()));
            }
            let mut value = HeaderValue::from_str(value.reveal())
                .map_err(|_| at(format!("the value of `{name}` has characters that none may")))?;
            value.set_sensitive(true);
            map.insert(key, value);
        }
        Ok(map)
    }

    /// What an answer may repeat, and a message must not; what is long comes before its parts.
    fn secrets(&self, url: &Url) -> Vec<String> {
        let headers = self.headers.values();
        let mut secrets: Vec<String> = headers.map(|secret| secret.reveal().to_owned()).collect();
        match &self.auth {
            Some(Auth::Bearer(token)) => secrets.push(token.reveal().to_owned()),
            Some(Auth::Basic(Basic { user, password })) => {
                let password = password.reveal();
                secrets.push(BASE64_STANDARD.encode(format!("{user}:{password}")));
                secrets.push(password.to_owned());
            }
            None => {}
        }
        secrets.extend(parts(url));
        // `true` or `1` as a header's value says nothing, and is in every other message.
        secrets.retain(|secret| secret.len() >= 6);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }
}

/// The path and the query of a URL, and those of their parts that are no common words, as they are
/// written and as a receiver reads them.
fn parts(url: &Url) -> Vec<String> {
    let path = url.path();
    let mut parts = vec![path.to_owned()];
    if let Some(query) = url.query() {
        parts.extend([format!("{path}?{query}"), query.to_owned()]);
    }
    let query = url.query().unwrap_or_default();
    let written = path.split('/').chain(query.split(['&', '=']));
    let read = url.query_pairs().map(|(_, value)| value.into_owned());
    let pieces = written.map(str::to_owned).chain(read);
    parts.extend(pieces.filter(|piece| piece.len() >= 8));
    parts
}

fn default_body_bytes() -> usize {
    1 << 20
}

fn default_connect_timeout() -> SpecDuration {
    SpecDuration(Duration::from_secs(10))
}

#[cfg(test)]
mod tests;
