//! Who may ask for what: anyone who reaches the port may look, who knows the token may change
//! something, and pages of other sites may do neither.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};

use super::{Served, refusal};
use crate::security::SECURITY;

/// How many random bytes a token has that is made.
const TOKEN_BYTES: usize = 16;

/// What who changes something has to know.
#[derive(Clone)]
pub struct Token {
    text: String,
    is_made: bool,
}

impl Token {
    /// One that was agreed on.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), is_made: false }
    }

    /// One that nobody knows yet; it is shown with the page's address.
    pub fn made(bytes: [u8; TOKEN_BYTES]) -> Self {
        let mut text = String::new();
        for byte in bytes {
            // Writing to a text cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self { text, is_made: true }
    }

    pub(super) fn is_shown(&self) -> bool {
        self.is_made
    }

    pub(super) fn reveal(&self) -> &str {
        &self.text
    }

    /// Whether a text is it; how long that takes says nothing about it.
    fn is(&self, text: &str) -> bool {
        Sha256::digest(&self.text) == Sha256::digest(text)
    }
}

/// Lets a request through, or says why not.
pub(super) async fn check(
    State(run): State<Arc<Served>>,
    request: Request,
    next: Next,
) -> Response {
    match refused(&run, &request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

fn refused(run: &Served, request: &Request) -> Option<Response> {
    let headers = request.headers();
    if [HOST, ORIGIN].iter().any(|name| headers.get_all(name).iter().nth(1).is_some()) {
        // Whoever passed it on may have looked at the other one.
        let error = "the request has `Host` or `Origin` more than once";
        return Some(refusal(StatusCode::BAD_REQUEST, error, "send each of them once"));
    }
    if !run.is_open && !is_local(headers) {
        // A page of another site may lead its name to this machine.
        let error = "this is served to this machine only, under a name or address of its own";
        let help =
            "ask for `127.0.0.1` or `localhost`, or set `monitoring.http` to another address";
        return Some(refusal(StatusCode::FORBIDDEN, error, help));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let path = request.uri().path();
    let Some(token) = &run.token else {
        tell(run, path, "no token is set up");
        let help = "set `monitoring.token` in the pipeline, such as `${ENGINE_TOKEN}`";
        let error = "nothing can be changed without a token";
        return Some(refusal(StatusCode::FORBIDDEN, error, help));
    };
    if bearer(headers).is_some_and(|text| token.is(text)) {
        return None;
    }
    tell(run, path, "a wrong token, or none");
    let help = "send the token of `monitoring.token` as `Authorization: Bearer TOKEN`";
    let mut refusal = refusal(StatusCode::UNAUTHORIZED, "the token is missing or wrong", help);
    refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Some(refusal)
}

fn tell(run: &Served, path: &str, why: &str) {
    if let Some(withheld) = run.refusals.note() {
        tracing::warn!(target: SECURITY, event = "token_rejected", path, withheld, "{why}");
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Whether a request is for this machine by a name that is surely its own, and by no page of
/// another site.
fn is_local(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let origin = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let origin = origin.map(|origin| origin.rsplit_once("//").map_or(origin, |(_, host)| host));
    host.is_some_and(names_this_machine) && origin.is_none_or(names_this_machine)
}

/// `localhost:8080`, `127.0.0.1`, `[::1]:80`
fn names_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_served_on_loopback() {
        for host in
            ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.9.9.9", "[::1]:80", "[::1]"]
        {
            assert!(names_this_machine(host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example", "10.0.0.1:80", "127.0.0.1.nip.io"]
        {
            assert!(!names_this_machine(host), "{host}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_refused_by_its_origin() {
        let headers = |host: &str, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            headers.extend(origin.map(|origin| (ORIGIN, origin.parse().unwrap())));
            headers
        };
        assert!(is_local(&headers("localhost:80", None)));
        assert!(is_local(&headers("localhost:80", Some("http://localhost:80"))));
        assert!(!is_local(&headers("localhost:80", Some("https://evil.example"))));
        assert!(!is_local(&headers("localhost:80", Some("null"))));
        assert!(!is_local(&HeaderMap::new()));
    }

    #[test]
    fn a_token_is_that_text_and_no_other() {
        let token = Token::new("s3cret");
        assert!(token.is("s3cret") && !token.is("s3cre") && !token.is(""));
        assert_eq!(Token::made([7; TOKEN_BYTES]).reveal().len(), 2 * TOKEN_BYTES);
    }
}
