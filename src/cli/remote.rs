//! A client of a running engine's HTTP server: answers, and streams of lines and of server-sent
//! events, with all that can go wrong in words.

mod lines;
mod messages;

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use engine::problem::Problem;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

pub(super) use self::lines::Lines;
pub(super) use self::messages::Messages;

use super::CommandError;

/// How long an engine may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After how long a silent connection is asked whether there still is somebody.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How much of an answer is read.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// An engine at an address.
#[derive(Clone)]
pub(super) struct Remote {
    client: Client,
    base: Url,
    /// The same for reading, without what is secret.
    address: String,
    token: Option<String>,
}

/// Why an engine gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RemoteError {
    /// Nobody answers there, or somebody stopped to.
    Unreachable(String),
    /// It answered that it will not do that.
    Refused {
        /// The status of its answer.
        status: u16,
        /// Its words.
        error: String,
        /// What it says that helps.
        help: Option<String>,
    },
    /// Whoever answered is no engine.
    NoEngine(String),
}

impl Remote {
    /// An engine where the user says: `127.0.0.1:8080`, `8080`, `http://shop:8080/`, or the page's
    /// address with a token behind `#token=`, which a token that is given comes before.
    pub(super) fn new(address: &str, token: Option<String>) -> Result<Self, Problem> {
        let wrong = |why: &str| {
            Problem::error(format!("`{address}` is no address of an engine: {why}"))
                .help("give the address that `engine run` shows, such as `127.0.0.1:8080`")
        };
        let text = match address.strip_prefix(':').unwrap_or(address) {
            text if text.contains("://") => text.to_owned(),
            port if port.parse::<u16>().is_ok() => format!("http://127.0.0.1:{port}"),
            text => format!("http://{text}"),
        };
        let mut base = Url::parse(&text).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong("it is neither `http` nor `https`"));
        }
        let shown = base.fragment().and_then(|fragment| fragment.strip_prefix("token="));
        let token = token.or_else(|| shown.map(str::to_owned));
        base.set_fragment(None);
        base.set_query(None);
        let mut client = Client::builder()
            .user_agent(concat!("engine/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(KEEPALIVE)
            .redirect(Policy::none())
            .referer(false);
        if is_loopback(&base) {
            client = client.no_proxy();
        }
        if base.scheme() == "http" {
            // The system's roots are not needed, and need not be there.
            client = client.tls_certs_only([]);
        }
        let client = client.build().map_err(|error| wrong(&root(&error)))?;
        let mut address = base.clone();
        // Where there can be no user, there is none.
        let _ = address.set_username("");
        let _ = address.set_password(None);
        let address = address.as_str().trim_end_matches('/').to_owned();
        Ok(Self { client, base, address, token })
    }

    /// Where it is, for reading.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Whether anything can be changed.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// What it answers at a path.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, RemoteError> {
        let request = self.request(Method::GET, path, query)?.timeout(ANSWER_TIMEOUT);
        read(self.send(request).await?).await
    }

    /// Has it change something.
    pub(super) async fn post(&self, path: &str, body: Option<&Value>) -> Result<(), RemoteError> {
        let mut request = self.request(Method::POST, &[path], &[])?.timeout(ANSWER_TIMEOUT);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        self.send(request).await.map(|_| ())
    }

    /// Lines as they come, without an end in time.
    pub(super) async fn lines(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Lines, RemoteError> {
        let response = self.send(self.request(Method::GET, path, query)?).await?;
        expect(&response, "application/x-ndjson")?;
        Ok(Lines::new(response))
    }

    /// Server-sent events as they come, without an end in time.
    pub(super) async fn messages(&self, path: &str) -> Result<Messages, RemoteError> {
        let response = self.send(self.request(Method::GET, &[path], &[])?).await?;
        expect(&response, "text/event-stream")?;
        Ok(Messages::new(Lines::new(response)))
    }

    fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<RequestBuilder, RemoteError> {
        let mut url = self.base.clone();
        let segments = url.path_segments_mut();
        let mut segments = segments.map_err(|()| no_engine("its address has no path"))?;
        segments.pop_if_empty().extend(path);
        drop(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(self.client.request(method, url))
    }

    /// An answer that is none of refusal.
    async fn send(&self, request: RequestBuilder) -> Result<Response, RemoteError> {
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let answer: Result<Value, _> = read(response).await;
        let text = |name: &str| Some(answer.as_ref().ok()?.get(name)?.as_str()?.to_owned());
        Err(match text("error") {
            Some(error) => {
                RemoteError::Refused { status: status.as_u16(), error, help: text("help") }
            }
            None => no_engine(&format!("it answers `{status}`")),
        })
    }

    /// The same, of one that came after an answer had begun.
    pub(super) fn lost(&self, error: RemoteError) -> CommandError {
        let RemoteError::Unreachable(why) = error else { return self.problem(error) };
        let address = self.address();
        let problem = Problem::error(format!("the connection to `{address}` is lost: {why}"));
        CommandError::Failed(problem.help("see whether the run still goes on").into())
    }

    /// What is said of an error, and how it ends the command.
    pub(super) fn problem(&self, error: RemoteError) -> CommandError {
        let address = self.address();
        match error {
            RemoteError::Unreachable(why) => {
                let problem =
                    Problem::error(format!("cannot reach an engine at `{address}`: {why}"));
                let help = "start one with `engine run FILE --http 127.0.0.1:8080`, and give the address that it shows";
                CommandError::Failed(problem.help(help).into())
            }
            RemoteError::NoEngine(why) => {
                let problem =
                    Problem::error(format!("what answers at `{address}` is no engine: {why}"));
                let help = "give the address that `engine run --http` shows as `the live page`";
                CommandError::Failed(problem.help(help).into())
            }
            RemoteError::Refused { status, error, help } => {
                let mut problem = Problem::error(error);
                problem.help = help;
                let is_asked_wrong = matches!(
                    StatusCode::from_u16(status),
                    Ok(StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND)
                );
                if is_asked_wrong {
                    CommandError::Wrong(problem.into())
                } else {
                    CommandError::Failed(problem.into())
                }
            }
        }
    }
}

/// Where a client waits for answers.
pub(super) fn runtime() -> Result<Runtime, CommandError> {
    Builder::new_current_thread().enable_all().build().map_err(|error| {
        CommandError::Failed(Problem::error(format!("cannot start: {error}")).into())
    })
}

fn no_engine(why: &str) -> RemoteError {
    RemoteError::NoEngine(why.to_owned())
}

async fn read<T: DeserializeOwned>(mut response: Response) -> Result<T, RemoteError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(no_engine("its answer does not end"));
        }
    }
    serde_json::from_slice(&body)
        .map_err(|error| no_engine(&format!("its answer is not understood: {error}")))
}

fn expect(response: &Response, content_type: &str) -> Result<(), RemoteError> {
    let found = response.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    if found.is_some_and(|found| found.starts_with(content_type)) {
        return Ok(());
    }
    Err(no_engine("its answer is not understood"))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn unreachable(error: &reqwest::Error) -> RemoteError {
    if error.is_timeout() {
        return RemoteError::Unreachable("it takes too long to answer".to_owned());
    }
    RemoteError::Unreachable(root(error))
}

/// The cause behind an error; what is before it only says that there was one.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(address: &str) -> Remote {
        Remote::new(address, None).unwrap()
    }

    #[test]
    fn an_address_is_understood_as_it_is_written() {
        for (written, meant) in [
            ("8080", "http://127.0.0.1:8080"),
            (":8080", "http://127.0.0.1:8080"),
            ("localhost:8080", "http://localhost:8080"),
            ("http://shop:80/", "http://shop"),
            ("https://host/engine/", "https://host/engine"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("http://me:s3cret@shop", "http://shop"),
        ] {
            assert_eq!(remote(written).address(), meant, "{written}");
        }
        for wrong in ["", "ftp://shop", "http://", "a b", "shop:99999", "::1"] {
            let problem = Remote::new(wrong, None).err().unwrap_or_else(|| panic!("{wrong}"));
            assert!(problem.message.starts_with(&format!("`{wrong}` is no address")));
        }
    }

    #[test]
    fn a_path_goes_behind_that_of_the_address_and_is_escaped() {
        let url = |address: &str, path: &[&str], query: &[(&str, &str)]| {
            let request = remote(address).request(Method::GET, path, query).unwrap();
            request.build().unwrap().url().to_string()
        };
        let all = url("https://host/engine/", &["tap", "a/b ?"], &[("where", "a && b")]);
        assert_eq!(all, "https://host/engine/tap/a%2Fb%20%3F?where=a+%26%26+b");
        assert_eq!(url("8080", &["stats"], &[]), "http://127.0.0.1:8080/stats");
    }

    #[test]
    fn the_token_of_the_pages_address_is_taken_unless_there_is_another() {
        let shown = "http://127.0.0.1:8080/#token=s3cret";
        assert_eq!(remote(shown).token.as_deref(), Some("s3cret"));
        assert!(!remote(shown).address().contains("s3cret"));
        let given = Remote::new(shown, Some("other".to_owned())).unwrap();
        assert_eq!(given.token.as_deref(), Some("other"));
        assert!(!remote("8080").has_token());
    }
}
