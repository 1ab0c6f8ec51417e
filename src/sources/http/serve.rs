//! The listener: takes connections until the source stops, and answers what is on its way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use tokio::net::TcpListener;

use super::inlet::{Inlet, Reply};
use crate::stage::Hold;

/// How long connections have to take in their last answers.
const LINGER: Duration = Duration::from_secs(1);

/// Serves until the source stops and all requests are answered; the run waits for the hold.
pub(super) async fn serve(listener: TcpListener, inlet: Inlet, hold: Option<Hold>) {
    let inlet = Arc::new(inlet);
    let router = Router::new().fallback(answer).with_state(inlet.clone());
    let stopping = inlet.clone();
    let served = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move { stopping.stopped().await });
    tokio::select! {
        ended = served => {
            if let Err(error) = ended {
                tracing::error!("the listener failed: {error}");
            }
        }
        () = late(&inlet) => {}
    }
    drop(hold);
}

/// Some time after the last answer: connections whose other side does not close are closed.
async fn late(inlet: &Inlet) {
    inlet.stopped().await;
    inlet.idle().await;
    tokio::time::sleep(LINGER).await;
}

async fn answer(State(inlet): State<Arc<Inlet>>, request: Request<Body>) -> Response {
    let Reply { status, body } = inlet.answer(request).await;
    let mut response = Response::new(Body::from(format!("{body}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        StatusCode::UNAUTHORIZED => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(ALLOW, HeaderValue::from_static("POST, PUT"));
        }
        _ => {}
    }
    response
}
