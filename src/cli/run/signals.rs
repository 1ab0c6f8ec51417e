//! Signals: the first one drains, the second has what is left kept, the third gives that up, too,
//! the fourth does not even wait for that.

use engine::control::Control;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Heeds SIGINT and SIGTERM from now on.
pub(in crate::cli) fn heed(control: Control) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        next(&mut interrupt, &mut terminate).await;
        tracing::warn!("draining; again to send nothing any more");
        control.stop();
        next(&mut interrupt, &mut terminate).await;
        tracing::warn!("keeping what is left; again to stop at once");
        control.keep();
        next(&mut interrupt, &mut terminate).await;
        tracing::warn!("stopping at once");
        control.abort();
        next(&mut interrupt, &mut terminate).await;
        std::process::exit(super::Exit::Failed.code());
    });
    Ok(())
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
