//! The connections: how many are served at a time, how long one may take over a request's head, and
//! how they end. Whoever opens more waits, or is told to.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal;

/// How many connections are served at a time; others wait to be taken.
const CONNECTIONS_MAX: usize = 256;

/// How long a connection may take until it has sent the head of its next request. Those that ask
/// for nothing have the places of those that would.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How many of them may be streams, so that the rest can be asked.
const STREAMS_MAX: usize = 200;

/// How much the system holds for a connection that does not read, about, in bytes. What it takes by
/// itself is megabytes, of which all are written before a slow reader is noticed.
#[cfg(unix)]
const SEND_BUFFER_BYTES: usize = 128 << 10;

static STREAMS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(STREAMS_MAX)));

/// A place among the streams, for as long as it is kept.
pub(super) type Place = OwnedSemaphorePermit;

/// A place among the streams, if there is one.
#[expect(clippy::result_large_err, reason = "it is an answer, and sent as it is")]
pub(super) fn stream() -> Result<Place, Response> {
    Arc::clone(&STREAMS).try_acquire_owned().map_err(|_| {
        let error = format!("{STREAMS_MAX} streams are open already");
        refusal(StatusCode::SERVICE_UNAVAILABLE, error, "close some, or ask `/stats` now and then")
    })
}

/// Serves until it is over, and from then on what is being answered.
pub(super) async fn serve(mut listener: TcpListener, router: Router, over: impl Future) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let ends = GracefulShutdown::new();
    let accept = async {
        loop {
            // Nobody closes the semaphore.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (stream, _) = Listener::accept(&mut listener).await;
            #[cfg(unix)]
            {
                // It is served with more, where the system does not have it.
                let _ =
                    rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES);
            }
            let service = TowerToHyperService::new(router.clone());
            let served = ends.watch(builder.serve_connection(TokioIo::new(stream), service));
            tokio::spawn(async move {
                // Why a connection ends is the matter of who opened it.
                let _ = served.await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accept => {}
        _ = over => {}
    }
    drop(listener);
    ends.shutdown().await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::Instant;

    use super::*;

    /// A connection to a server that answers at once, or after a minute.
    async fn connect() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let late = async || {
            tokio::time::sleep(Duration::from_mins(1)).await;
            "late"
        };
        let router = Router::new().route("/", get("here")).route("/late", get(late));
        tokio::spawn(serve(listener, router, std::future::pending::<()>()));
        TcpStream::connect(address).await.unwrap()
    }

    async fn rest(connection: &mut TcpStream) -> String {
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_head_is_not_waited_for_longer_than_ten_seconds() {
        let mut connection = connect().await;
        let began = Instant::now();
        connection.write_all(b"GET / HTTP/1.1\r\nhost: loc").await.unwrap();
        rest(&mut connection).await;
        let waited = began.elapsed();
        assert!(waited >= HEAD_TIMEOUT && waited < 2 * HEAD_TIMEOUT, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_asks_for_nothing_more_is_closed() {
        let mut connection = connect().await;
        let began = Instant::now();
        connection.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let answer = rest(&mut connection).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("here"), "{answer}");
        let waited = began.elapsed();
        assert!(waited >= HEAD_TIMEOUT && waited < 2 * HEAD_TIMEOUT, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_as_long_as_it_does() {
        let mut connection = connect().await;
        connection.write_all(b"GET /late HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let answer = rest(&mut connection).await;
        assert!(answer.ends_with("late"), "{answer}");
    }
}
