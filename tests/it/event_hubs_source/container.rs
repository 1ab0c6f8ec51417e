//! A container of blobs on loopback: empty blobs with metadata, versions and preconditions, as far
//! as a checkpoint store needs it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use tokio::runtime::Runtime;

/// The signature that a client has to show.
const SIGNATURE: &str = "s3cret%2Fsignature";
/// How many blobs a page of a list has: few, so that there are several.
const PAGE: usize = 3;

#[derive(Default)]
struct Blobs {
    blobs: BTreeMap<String, Blob>,
    versions: u64,
}

struct Blob {
    version: String,
    modified: jiff::Timestamp,
    metadata: BTreeMap<String, String>,
}

/// A running container. It stops when it is dropped.
pub(super) struct Container {
    blobs: Arc<Mutex<Blobs>>,
    port: u16,
    _runtime: Runtime,
}

impl Container {
    pub(super) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let blobs = Arc::<Mutex<Blobs>>::default();
        let router = Router::new().fallback(answer).with_state(blobs.clone());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { blobs, port, _runtime: runtime }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/account/checkpoints?sv=1&sig={SIGNATURE}", self.port)
    }

    /// The sequence numbers that are noted, by partition.
    pub(super) fn checkpoints(&self) -> BTreeMap<String, i64> {
        let blobs = self.blobs.lock().unwrap();
        let noted = |(name, blob): (&String, &Blob)| {
            let (_, partition) = name.split_once("/checkpoint/")?;
            Some((partition.to_owned(), blob.metadata.get("sequencenumber")?.parse().ok()?))
        };
        blobs.blobs.iter().filter_map(noted).collect()
    }

    /// The names of all blobs.
    pub(super) fn names(&self) -> Vec<String> {
        self.blobs.lock().unwrap().blobs.keys().cloned().collect()
    }
}

async fn answer(State(blobs): State<Arc<Mutex<Blobs>>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default().to_owned();
    if !query.contains(&format!("sig={SIGNATURE}"))
        || !request.headers().contains_key("x-ms-version")
    {
        return reply(StatusCode::FORBIDDEN, String::new());
    }
    let path = request.uri().path().to_owned();
    let name = path.strip_prefix("/account/checkpoints").unwrap_or_default().trim_matches('/');
    let mut blobs = blobs.lock().unwrap();
    match *request.method() {
        Method::GET if query.contains("comp=list") => blobs.list(&query),
        Method::HEAD => blobs.head(name),
        Method::PUT if query.contains("comp=metadata") => blobs.change(name, request.headers()),
        Method::PUT => blobs.create(name, request.headers()),
        _ => reply(StatusCode::METHOD_NOT_ALLOWED, String::new()),
    }
}

impl Blobs {
    fn list(&self, query: &str) -> Response {
        let argument = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let value = pairs.find(|(key, _)| *key == name).map_or("", |(_, value)| value);
            value.replace("%2F", "/").replace("%24", "$")
        };
        let (prefix, marker) = (argument("prefix"), argument("marker"));
        let mut listed = self.blobs.iter().filter(|(name, _)| name.starts_with(&prefix));
        let page: Vec<_> =
            listed.by_ref().filter(|(name, _)| **name >= marker).take(PAGE).collect();
        let listed_blob = |(name, blob): (&String, &Blob)| {
            let modified = blob.modified.strftime("%a, %d %b %Y %H:%M:%S GMT");
            let metadata =
                blob.metadata.iter().map(|(key, value)| format!("<{key}>{value}</{key}>"));
            let metadata: String = metadata.collect();
            format!(
                "<Blob><Name>{name}</Name><Properties><Last-Modified>{modified}</Last-Modified>\
                 <Etag>{}</Etag></Properties><Metadata>{metadata}</Metadata></Blob>",
                blob.version
            )
        };
        let page: String = page.into_iter().map(listed_blob).collect();
        let next = listed.next().map_or("", |(name, _)| name);
        let xml = format!(
            "\u{feff}<?xml version=\"1.0\"?><EnumerationResults><Blobs>{page}</Blobs>\
             <NextMarker>{next}</NextMarker></EnumerationResults>"
        );
        reply(StatusCode::OK, xml)
    }

    fn head(&self, name: &str) -> Response {
        let Some(blob) = self.blobs.get(name) else {
            return reply(StatusCode::NOT_FOUND, String::new());
        };
        let mut response = reply(StatusCode::OK, String::new());
        for (key, value) in &blob.metadata {
            let key = axum::http::HeaderName::try_from(format!("x-ms-meta-{key}")).unwrap();
            response.headers_mut().insert(key, value.parse().unwrap());
        }
        response
    }

    fn change(&mut self, name: &str, headers: &HeaderMap) -> Response {
        let Some(blob) = self.blobs.get(name) else {
            return reply(StatusCode::NOT_FOUND, String::new());
        };
        if headers.get(IF_MATCH).is_some_and(|version| version != blob.version.as_str()) {
            return reply(StatusCode::PRECONDITION_FAILED, String::new());
        }
        self.put(name, headers);
        reply(StatusCode::OK, String::new())
    }

    fn create(&mut self, name: &str, headers: &HeaderMap) -> Response {
        if headers.get("x-ms-blob-type").is_none_or(|kind| kind != "BlockBlob") {
            return reply(StatusCode::BAD_REQUEST, String::new());
        }
        if headers.contains_key(IF_NONE_MATCH) && self.blobs.contains_key(name) {
            return reply(StatusCode::CONFLICT, String::new());
        }
        self.put(name, headers);
        reply(StatusCode::CREATED, String::new())
    }

    fn put(&mut self, name: &str, headers: &HeaderMap) {
        self.versions += 1;
        let metadata = headers.iter().filter_map(|(key, value)| {
            let key = key.as_str().strip_prefix("x-ms-meta-")?;
            Some((key.to_owned(), value.to_str().unwrap().to_owned()))
        });
        let blob = Blob {
            version: format!("\"0x{:X}\"", self.versions),
            modified: now(),
            metadata: metadata.collect(),
        };
        self.blobs.insert(name.to_owned(), blob);
    }
}

#[expect(clippy::disallowed_methods, reason = "the container has a clock of its own")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

fn reply(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let date = now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    response.headers_mut().insert("date", date.parse().unwrap());
    response
}
