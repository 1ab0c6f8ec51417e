//! `engine top`: a run in the terminal, while it goes on.

mod draw;
mod feed;
mod figures;
mod keys;
mod panes;
mod plain;
mod shapes;
mod theme;
mod view;

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use engine::problem::Problem;
use engine::spec::SpecDuration;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use self::keys::Deed;
use self::theme::Theme;
use self::view::View;
use super::remote::{Remote, runtime};
use super::{CommandError, CommandResult, Exit, terminal};

/// The screen changes no more often than that.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// How much news waits for the screen.
const NEWS: usize = 64;

/// Which run, and how it is shown.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine top 127.0.0.1:8080
  engine top 8080 --token \"$ENGINE_TOKEN\"                  with keys that pause, stop and speed up
  engine top 'http://127.0.0.1:8080/#token=3b1f...'        the page's address, as `engine run` shows it
  engine top 8080 --once                                   a table, and no more

Keys: q leaves, arrows look into a stage, p pauses, + and - change the speed, s stops, ? helps.
Into a pipe or a file it is as with `--once`.")]
pub(super) struct TopArguments {
    /// Where the run is served, such as `127.0.0.1:8080`, or a port of this machine
    #[arg(value_name = "URL")]
    url: String,
    /// How often the screen changes
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    interval: Duration,
    /// Print a table of the run as it is now, and end
    #[arg(long)]
    once: bool,
    /// The run's token, for keys that change something; otherwise `ENGINE_TOKEN`, which others on
    /// this machine do not see
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<SpecDuration>().map(|duration| duration.0)
}

pub(super) fn top(arguments: &TopArguments) -> CommandResult {
    let token = arguments.token.clone().or_else(|| std::env::var("ENGINE_TOKEN").ok());
    let token = token.filter(|token| !token.is_empty());
    let remote = Remote::new(&arguments.url, token)?;
    let runtime = runtime()?;
    // Whoever mistypes an address should not have to look for it on a screen.
    let news = runtime.block_on(feed::look(&remote)).map_err(|error| remote.problem(error))?;
    let mut view = View::new(remote.address());
    for news in news {
        view.hear(news);
    }
    if arguments.once || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return terminal::data(&plain::table(&view));
    }
    let theme =
        Theme::new(anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never);
    // It also has a panic give the terminal back.
    let mut screen = ratatui::try_init().map_err(|error| unusable(&error))?;
    let interval = arguments.interval.max(INTERVAL_MIN);
    let shown = runtime.block_on(show(&mut screen, &remote, view, &theme, interval));
    // What was left of the terminal cannot be said in another way.
    let restored = ratatui::try_restore();
    runtime.shutdown_background();
    shown.and(restored).map_err(|error| unusable(&error))?;
    Ok(Exit::Done)
}

fn unusable(error: &io::Error) -> CommandError {
    let problem = Problem::error(format!("cannot use the terminal: {error}"));
    CommandError::Failed(problem.help("`--once` prints a table instead").into())
}

/// Shows the run until its user leaves.
async fn show(
    screen: &mut DefaultTerminal,
    remote: &Remote,
    mut view: View,
    theme: &Theme,
    interval: Duration,
) -> io::Result<()> {
    let (told, mut news) = mpsc::channel(NEWS);
    let (selected, looked_into) = watch::channel(None);
    tokio::spawn(feed::follow(remote.clone(), told.clone()));
    tokio::spawn(feed::ask(remote.clone(), told.clone(), looked_into, interval));
    let mut events = events();
    let mut ends = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .map(signal)
        .into_iter()
        .collect::<io::Result<Vec<_>>>()?;
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_new = true;
    loop {
        let is_time = tokio::select! {
            event = events.recv() => match event {
                None => return Ok(()),
                Some(Event::Key(key)) => {
                    match keys::press(&mut view, key) {
                        Deed::Nothing => {}
                        Deed::Quit => return Ok(()),
                        Deed::Ask(wish) => {
                            tokio::spawn(keys::ask(remote.clone(), wish, told.clone()));
                        }
                    }
                    selected.send_if_modified(|selected| {
                        let now = view.selected_stage().map(str::to_owned);
                        let is_other = *selected != now;
                        *selected = now;
                        is_other
                    });
                    true
                }
                Some(_) => true,
            },
            Some(news) = news.recv() => {
                // What answers a key is shown at once.
                let is_answer = matches!(news, view::News::Answer(..) | view::News::Events(..));
                view.hear(news);
                is_new = true;
                is_answer
            }
            _ = ticks.tick() => is_new,
            () = any(&mut ends) => return Ok(()),
        };
        if is_time {
            is_new = false;
            screen.draw(|frame| draw::draw(frame, &view, theme))?;
        }
    }
}

/// Waits for one of some signals.
async fn any(signals: &mut [tokio::signal::unix::Signal]) {
    let waits = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
    futures::future::select_all(waits).await;
}

/// Keys, and changes of the terminal's size. The thread is left behind at the end.
fn events() -> mpsc::Receiver<Event> {
    let (pressed, events) = mpsc::channel(NEWS);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if pressed.blocking_send(event).is_err() {
                return;
            }
        }
    });
    events
}

#[cfg(test)]
mod tests;
