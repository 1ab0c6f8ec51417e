//! What is done to a run from outside: pause, resume, stop, speed. Who asks has shown the token.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::views::RunState;
use super::{Run, Served, refusal};
use crate::clock::SpeedError;

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
pub(super) async fn speed(State(run): Run, body: Result<Bytes, BytesRejection>) -> Response {
    let help = "send a number above 0, such as `{\"speed\": 60}`";
    let asked = body.map_err(|error| (error.status(), error.body_text())).and_then(|body| {
        new_speed(&body)
            .map_err(|why| (StatusCode::BAD_REQUEST, format!("it names no speed: {why}")))
    });
    let speed = match asked {
        Ok(speed) => speed,
        Err((status, why)) => return refusal(status, why, help),
    };
    let clock = run.monitor.clock();
    if let Err(error @ SpeedError::NoSpeed) = clock.set_speed(speed) {
        return refusal(StatusCode::BAD_REQUEST, error.to_string(), help);
    }
    change(&run, "at another speed", |_| clock.set_speed(speed))
}

/// `{"speed": 60}`
fn new_speed(body: &[u8]) -> Result<f64, String> {
    let asked: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let fields = asked.as_object().ok_or("it is no object")?;
    if let Some(other) = fields.keys().find(|key| *key != "speed") {
        return Err(format!("`{other}` is none of its keys"));
    }
    let speed = fields.get("speed").ok_or("`speed` is missing")?;
    speed.as_f64().ok_or_else(|| "`speed` is no number".to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_number_in_an_object_that_has_nothing_else() {
        assert_eq!(new_speed(br#"{"speed": 60}"#), Ok(60.0));
        let wrong = |body: &str| new_speed(body.as_bytes()).unwrap_err();
        assert_eq!(wrong("60"), "it is no object");
        assert_eq!(wrong("{}"), "`speed` is missing");
        assert_eq!(wrong(r#"{"speed": []}"#), "`speed` is no number");
        assert_eq!(wrong(r#"{"speed": 1, "sped": 2}"#), "`sped` is none of its keys");
        assert_eq!(wrong("{"), "EOF while parsing an object at line 1 column 1");
    }
}
