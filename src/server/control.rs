//! What is done to a run from outside: pause, resume, stop, speed. Who asks has shown the token.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::views::RunState;
use super::{Run, Served, refusal};
use crate::clock::SpeedError;

/// `{"speed": 60}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSpeed {
    speed: f64,
}

/// Event time stands still, and sources give nothing out; what is on its way goes on.
pub(super) async fn pause(State(run): Run) -> Response {
    change(&run, "paused", |run| {
        run.monitor.clock().pause();
        Ok(())
    })
}

/// Goes on after a pause.
pub(super) async fn resume(State(run): Run) -> Response {
    change(&run, "resumed", |run| {
        run.monitor.clock().resume();
        Ok(())
    })
}

/// Stops the sources, and lets everything behind them drain.
pub(super) async fn stop(State(run): Run) -> Response {
    change(&run, "stopped", |run| {
        run.control.stop();
        Ok(())
    })
}

/// Has event time go faster or slower.
pub(super) async fn speed(State(run): Run, body: Bytes) -> Response {
    let help = "send a number above 0, such as `{\"speed\": 60}`";
    let speed = match serde_json::from_slice::<NewSpeed>(&body) {
        Ok(NewSpeed { speed }) => speed,
        Err(error) => {
            return refusal(StatusCode::BAD_REQUEST, format!("it names no speed: {error}"), help);
        }
    };
    let clock = run.monitor.clock();
    if let Err(error @ SpeedError::NoSpeed) = clock.set_speed(speed) {
        return refusal(StatusCode::BAD_REQUEST, error.to_string(), help);
    }
    change(&run, "at another speed", |_| clock.set_speed(speed))
}

fn change(
    run: &Served,
    what: &str,
    change: impl FnOnce(&Served) -> Result<(), SpeedError>,
) -> Response {
    if run.drains() {
        return refusal(
            StatusCode::CONFLICT,
            "the run has stopped, and drains",
            "it ends by itself",
        );
    }
    if let Err(error) = change(run) {
        let help = "set `clock.speed` to a number, without `catch_up`, and run it again";
        return refusal(StatusCode::CONFLICT, error.to_string(), help);
    }
    // Pages need not wait for the next second to see it.
    run.look();
    let state = RunState::of(run);
    tracing::info!(speed = ?state.speed, "{what} over HTTP");
    (StatusCode::ACCEPTED, Json(state)).into_response()
}
