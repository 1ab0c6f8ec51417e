//! What keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::json;

use super::feed::{Told, words};
use super::shapes::Speed;
use super::view::{Line, News, Over, View};
use crate::cli::remote::Remote;

/// What is asked of a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wish {
    Pause,
    Resume,
    Stop,
    Speed(f64),
}

/// What comes of a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Deed {
    Nothing,
    Quit,
    Ask(Wish),
}

/// Does what a key says to what is shown, and says what else is to be done.
pub(super) fn press(view: &mut View, key: KeyEvent) -> Deed {
    if key.kind == KeyEventKind::Release {
        return Deed::Nothing;
    }
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    if is_control && matches!(key.code, KeyCode::Char('c' | 'd')) {
        return Deed::Quit;
    }
    view.answer = None;
    let over = std::mem::take(&mut view.over);
    match (over, key.code) {
        (Over::AskStop, KeyCode::Char('y' | 'Y')) => return Deed::Ask(Wish::Stop),
        // Any other key only takes it away.
        (Over::AskStop | Over::Help, _) => return Deed::Nothing,
        (Over::Nothing, _) => {}
    }
    match key.code {
        KeyCode::Esc if view.selected.is_some() => {
            view.selected = None;
            view.events.clear();
            Deed::Nothing
        }
        KeyCode::Char('q') | KeyCode::Esc => Deed::Quit,
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => {
            view.over = Over::Help;
            Deed::Nothing
        }
        KeyCode::Down | KeyCode::Char('j') => {
            view.select(true);
            Deed::Nothing
        }
        KeyCode::Up | KeyCode::Char('k') => {
            view.select(false);
            Deed::Nothing
        }
        KeyCode::Char('p' | ' ') if is_paused(view) => control(view, Wish::Resume),
        KeyCode::Char('p' | ' ') => control(view, Wish::Pause),
        KeyCode::Char('s') => match control(view, Wish::Stop) {
            Deed::Ask(_) => {
                view.over = Over::AskStop;
                Deed::Nothing
            }
            deed => deed,
        },
        KeyCode::Char('+' | '=') => speed(view, 2.0),
        KeyCode::Char('-') => speed(view, 0.5),
        _ => Deed::Nothing,
    }
}

fn is_paused(view: &View) -> bool {
    view.live.as_ref().is_some_and(|live| live.state.phase == "paused")
}

/// A wish that can be asked for now.
fn control(view: &mut View, wish: Wish) -> Deed {
    if view.line == Line::Connected {
        return Deed::Ask(wish);
    }
    view.answer = Some((false, format!("the run is {}", view.phase())));
    Deed::Nothing
}

fn speed(view: &mut View, factor: f64) -> Deed {
    match view.live.as_ref().map(|live| &live.state.speed) {
        Some(Speed::Factor(speed)) => {
            let speed = speed * factor;
            control(view, Wish::Speed(speed))
        }
        Some(Speed::Named(name)) => {
            let why = format!("the run goes at speed `{name}`, where nothing waits");
            view.answer = Some((false, why));
            Deed::Nothing
        }
        None => Deed::Nothing,
    }
}

/// Asks a run for something, and tells what came of it.
pub(super) async fn ask(remote: Remote, wish: Wish, told: Told) {
    let news = if remote.has_token() {
        let asked = match wish {
            Wish::Pause => remote.post("pause", None).await,
            Wish::Resume => remote.post("resume", None).await,
            Wish::Stop => remote.post("stop", None).await,
            Wish::Speed(speed) => remote.post("speed", Some(&json!({ "speed": speed }))).await,
        };
        match (asked, wish) {
            (Err(error), _) => News::Answer(false, words(error)),
            (Ok(()), Wish::Pause) => News::Answer(true, "paused".to_owned()),
            (Ok(()), Wish::Resume) => News::Answer(true, "goes on".to_owned()),
            (Ok(()), Wish::Stop) => News::Answer(true, "stopped: it drains".to_owned()),
            (Ok(()), Wish::Speed(speed)) => News::Answer(true, format!("at speed {speed}")),
        }
    } else {
        let why = "that needs the run's token: start with `--token` or set `ENGINE_TOKEN`";
        News::Answer(false, why.to_owned())
    };
    // Without a screen nobody needs the answer.
    let _ = told.send(news).await;
}
