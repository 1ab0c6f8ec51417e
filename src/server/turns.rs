//! Work that takes its time: beside the thread that answers, and one piece of a kind at a time, so
//! that whoever asks for much holds up neither other questions nor the machine.

use axum::http::StatusCode;
use axum::response::Response;
use tokio::sync::Semaphore;

use super::refusal;

/// Those who want a kind of work done, in the order in which they came.
pub(super) struct Turns(Semaphore);

impl Turns {
    pub(super) const fn new() -> Self {
        Self(Semaphore::const_new(1))
    }

    /// Does a piece of work once it is its turn. Who stops waiting before gives its turn away.
    pub(super) async fn take<T: Send + 'static>(
        &'static self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Response> {
        let turn = self.0.acquire().await;
        let work = move || {
            // It is over with the work, and not when the one who asked for it is gone.
            let _turn = turn;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            tracing::error!("an answer could not be worked out: {error}");
            let error = "the answer could not be worked out";
            refusal(StatusCode::INTERNAL_SERVER_ERROR, error, "the log says why")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn a_second_piece_waits_for_the_first_even_if_nobody_does() {
        static TURNS: Turns = Turns::new();
        let (go, gone) = mpsc::channel::<()>();
        let mut first = Box::pin(TURNS.take(move || gone.recv()));
        assert!(poll!(&mut first).is_pending());
        drop(first);
        let mut second = Box::pin(TURNS.take(|| 2));
        assert!(poll!(&mut second).is_pending());
        assert_eq!(TURNS.0.available_permits(), 0, "the first works still");
        go.send(()).unwrap();
        assert_eq!(second.await.unwrap(), 2);
    }

    #[tokio::test]
    async fn work_that_panics_is_an_answer_and_the_next_has_its_turn() {
        static TURNS: Turns = Turns::new();
        let failed = TURNS.take(|| panic!("on purpose")).await;
        assert_eq!(failed.map(|()| 0).unwrap_err().status(), 500);
        assert_eq!(TURNS.take(|| 1).await.unwrap(), 1);
    }
}
