//! Calls of stages: those that may block are made on a thread where nobody waits for it, and of
//! each it is known that it goes on.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures::StreamExt;
use futures::stream::Stream;

use crate::monitor::Account;

/// Makes a call that may block. A panic goes on in the caller. Should the caller be gone before it
/// ends, what it returns is dropped.
pub(super) async fn where_it_may_block<T: Send + 'static>(
    account: &Arc<Account>,
    call: impl FnOnce() -> T + Send + 'static,
) -> T {
    let account = Arc::clone(account);
    // What is logged in the call belongs to whatever is worked on here.
    let span = tracing::Span::current();
    let called = tokio::task::spawn_blocking(move || {
        let _working = account.work();
        span.in_scope(call)
    });
    match called.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(returned) => returned,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // It was never made: the runtime shuts down, and so this is dropped, too.
        Err(Err(_)) => std::future::pending().await,
    }
}

/// The same stream, of which is known whether it is being asked.
pub(super) fn asking<S: Stream + Unpin>(
    mut stream: S,
    account: Arc<Account>,
) -> impl Stream<Item = S::Item> {
    futures::stream::poll_fn(move |cx| {
        let _working = account.work();
        stream.poll_next_unpin(cx)
    })
}

/// The same future, of which is known whether it is being polled.
pub(super) async fn polling<F: Future>(future: F, account: Arc<Account>) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(move |cx| -> Poll<F::Output> {
        let _working = account.work();
        future.as_mut().poll(cx)
    })
    .await
}
