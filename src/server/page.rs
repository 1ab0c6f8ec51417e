//! The live page: HTML, style and scripts that are part of the program, so that it works where there
//! is no internet, and in one version with the server that it talks to.

#[cfg(test)]
mod tests;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;

/// What the page may load, and from where: nothing but what this server has, and no code within the
/// HTML. Nobody may show it in a frame, where clicks could be led to its buttons.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; script-src 'self'; style-src 'self'; object-src 'none'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// A file of the page.
struct File {
    name: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(File { name: $name, text: include_str!(concat!("page/", $name)) }),*]
    };
}

const FILES: &[File] = files![
    "index.html",
    "style.css",
    "icon.svg",
    "theme.js",
    "app.js",
    "api.js",
    "state.js",
    "memory.js",
    "dom.js",
    "format.js",
    "figures.js",
    "control.js",
    "ask.js",
    "layout.js",
    "graph.js",
    "motion.js",
    "stage.js",
    "types.js",
    "chart.js",
    "charts.js",
    "events.js",
    "failures.js",
    "drawer.js",
    "json.js",
];

/// `/` is the page, `/page/NAME` one of its files.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(|headers: HeaderMap| async move { answer("index.html", &headers) }))
        .route(
            "/page/{name}",
            get(|name: Result<Path<String>, PathRejection>, headers: HeaderMap| async move {
                // What is no text names no file, either.
                answer(name.as_ref().map_or("", |Path(name)| name), &headers)
            }),
        )
}

/// A file as an answer: 304 where the browser has it already, 404 where there is none.
fn answer(name: &str, asked: &HeaderMap) -> Response {
    let Some(file) = FILES.iter().find(|file| file.name == name) else {
        return super::no_such_page();
    };
    let mut response = Response::default();
    let tag = file.tag();
    if asked.get_all(IF_NONE_MATCH).iter().any(|known| known.as_bytes() == tag.as_bytes()) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = Body::from(file.text);
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.content_type()));
    // Kept by browsers, but asked for each time: another version of the program has other files.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ETAG, tag);
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

impl File {
    fn content_type(&self) -> &'static str {
        match self.name.rsplit_once('.').map(|(_, end)| end) {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/javascript; charset=utf-8",
        }
    }

    /// Another text, another tag.
    fn tag(&self) -> HeaderValue {
        let tag = format!("\"{:08x}\"", crc32fast::hash(self.text.as_bytes()));
        HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""))
    }
}
