//! What a run says, as it comes: its stream, and what is asked beside it. A run that goes away is
//! looked for again.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::shapes::{Failures, Graph, History, Live, Recent};
use super::view::News;
use crate::cli::remote::{Remote, RemoteError};

/// How long a run may say nothing: it speaks once a second.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// After how long a run that is gone is looked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// How many events of a stage are asked for.
const EVENTS: &str = "100";

/// Where news goes; whoever reads it is the screen.
pub(super) type Told = mpsc::Sender<News>;

/// Tells of a run until nobody listens. The first connection was made already.
pub(super) async fn follow(remote: Remote, told: Told) {
    loop {
        match once(&remote, &told).await {
            // An engine that ended may be started again.
            Ok(()) => {}
            Err(error) => {
                if told.send(News::Lost(words(error))).await.is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
        if told.is_closed() {
            return;
        }
    }
}

/// One connection, until the run has ended.
async fn once(remote: &Remote, told: &Told) -> Result<(), RemoteError> {
    let graph: Graph = remote.get(&["graph"], &[]).await?;
    let history: History = remote.get(&["history"], &[]).await?;
    let mut messages = remote.messages("stream").await?;
    // Whoever does not listen any more is noticed by the caller.
    let _ = told.send(News::Found(graph, history.samples)).await;
    loop {
        let silent = || RemoteError::Unreachable("it says nothing any more".to_owned());
        let next = tokio::time::timeout(SILENCE_MAX, messages.next()).await;
        let Some(message) = next.map_err(|_| silent())?? else {
            return Err(RemoteError::Unreachable("it closed the connection".to_owned()));
        };
        let news = match message.event.as_str() {
            "stats" => News::Live(Box::new(live(&message.data)?)),
            "end" => News::Ended,
            _ => continue,
        };
        let is_over = matches!(news, News::Ended);
        if told.send(news).await.is_err() || is_over {
            return Ok(());
        }
    }
}

/// The first that a run says: what a look at it shows.
pub(super) async fn look(remote: &Remote) -> Result<Vec<News>, RemoteError> {
    let graph: Graph = remote.get(&["graph"], &[]).await?;
    let history: History = remote.get(&["history"], &[]).await?;
    let mut messages = remote.messages("stream").await?;
    let mut news = vec![News::Found(graph, history.samples)];
    let first = tokio::time::timeout(SILENCE_MAX, messages.next()).await;
    match first {
        Ok(Ok(Some(message))) if message.event == "stats" => {
            news.push(News::Live(Box::new(live(&message.data)?)));
        }
        Ok(Ok(Some(_))) => news.push(News::Ended),
        Ok(Ok(None)) | Err(_) => {
            return Err(RemoteError::Unreachable("it says nothing".to_owned()));
        }
        Ok(Err(error)) => return Err(error),
    }
    Ok(news)
}

/// Asks now and then for failures, and for events of the stage that is looked into.
pub(super) async fn ask(
    remote: Remote,
    told: Told,
    mut selected: watch::Receiver<Option<String>>,
    interval: Duration,
) {
    loop {
        let stage = selected.borrow_and_update().clone();
        // That the run is gone is told by who follows it.
        if let Ok(Failures { failures }) = remote.get(&["failures"], &[]).await {
            let _ = told.send(News::Failures(failures)).await;
        }
        if let Some(stage) = stage {
            let query = [("stage", stage.as_str()), ("limit", EVENTS)];
            if let Ok(Recent { events }) = remote.get(&["recent"], &query).await {
                let _ = told.send(News::Events(stage, events)).await;
            }
        }
        if told.is_closed() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            changed = selected.changed() => if changed.is_err() { return },
        }
    }
}

fn live(data: &str) -> Result<Live, RemoteError> {
    serde_json::from_str(data).map_err(|error| RemoteError::NoEngine(error.to_string()))
}

/// Why, in a line.
pub(super) fn words(error: RemoteError) -> String {
    match error {
        RemoteError::Unreachable(why) | RemoteError::NoEngine(why) => why,
        RemoteError::Refused { error, help: Some(help), .. } => format!("{error}: {help}"),
        RemoteError::Refused { error, .. } => error,
    }
}
