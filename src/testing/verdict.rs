//! What was seen against what is expected: everything that does not fit, with its place.

use std::path::PathBuf;

use super::Snapshots;
use super::cases::{Case, Watch};
use super::checks::Quantifier;
use super::compare::{compare, harmless, short};
use super::observer::{COMPARED_MAX, Judged, Seen as Observed};
use super::run::{DELIVERY_TIMEOUT, Seen};
use super::snapshot::hold;
use crate::dead_letter::{CollectedLetter, Found};
use crate::plan::Plan;
use crate::problem::{Place, Problem, Problems};
use crate::spec::{Document, ExpectedCount, ExpectedLetter, ExpectedLetters, SpecDuration};

/// How many dead letters are told of that are not expected.
const LETTERS_MAX: usize = 3;

/// Everything that is not as expected, and the snapshots that were written.
pub(super) fn verdict(
    plan: &Plan,
    case: &Case,
    seen: &Seen,
    snapshots: Snapshots,
) -> (Problems, Vec<PathBuf>) {
    let mut judge = Judge { document: &plan.document, case, problems: Problems::default() };
    judge.run(seen);
    judge.letters(&seen.failed);
    let (before, mut written) = (judge.problems.0.len(), Vec::new());
    for (watch, observer) in case.watches.iter().zip(&seen.observers) {
        written.extend(judge.watch(watch, &observer.seen(), snapshots));
    }
    if judge.problems.0.len() > before {
        judge.open_timers(seen);
    }
    (judge.problems, written)
}

struct Judge<'a> {
    document: &'a Document,
    case: &'a Case,
    problems: Problems,
}

impl Judge<'_> {
    fn place(&self, below: &str) -> Option<Place> {
        self.document.place(&format!("{}{below}", self.case.pointer))
    }

    /// What went wrong with the run as a whole, and in rules beside events.
    fn run(&mut self, seen: &Seen) {
        let name = self.place("/name");
        for error in &seen.errors {
            self.problems.push(Problem::error(format!("the run failed: {error}")).at(name.clone()));
        }
        for (stage, failure) in &seen.failed.rules {
            let message = format!("`{stage}` failed: {}", harmless(&failure.reason));
            self.problems.push(Problem::error(message).at(name.clone()));
        }
        if !seen.ended {
            let message = format!(
                "{} after the end not all events were delivered",
                SpecDuration(DELIVERY_TIMEOUT)
            );
            let help = "make the faults end, or let `delivery.retry` give up";
            self.problems.push(Problem::error(message).at(name).help(help));
        }
    }

    fn letters(&mut self, found: &Found) {
        let count = found.letters.len() as u64 + found.further;
        match &self.case.letters {
            ExpectedLetters::Count(expected) if *expected == count => {}
            ExpectedLetters::Count(0) => self.unexpected_letters(&found.letters, count),
            ExpectedLetters::Count(_) => {
                let place = self.place("/dead_letters");
                let problem = Problem::error("there are not as many dead letters as expected")
                    .at(place)
                    .label(format!("found {count}"));
                self.problems.push(with_letters(problem, &found.letters));
            }
            ExpectedLetters::Letters(expected) => {
                let mut left: Vec<&CollectedLetter> = found.letters.iter().collect();
                for (place, wanted) in expected.iter().enumerate() {
                    match left.iter().position(|letter| fits(wanted, letter)) {
                        Some(found) => _ = left.remove(found),
                        None => self.missing_letter(place, wanted, &left),
                    }
                }
                let left: Vec<CollectedLetter> = left.into_iter().cloned().collect();
                if !left.is_empty() {
                    self.unexpected_letters(&left, left.len() as u64 + found.further);
                }
            }
        }
    }

    fn missing_letter(&mut self, place: usize, wanted: &ExpectedLetter, left: &[&CollectedLetter]) {
        let place = self.document.place(&format!("{}/dead_letters/{place}", self.case.pointer));
        let mut problem = Problem::error("an event did not become a dead letter").at(place);
        let of_stage = |letter: &&&CollectedLetter| {
            wanted.stage.as_ref().is_none_or(|stage| *stage == letter.stage)
        };
        if let Some(letter) = left.iter().find(of_stage).or(left.first()) {
            problem = problem.note(format!("there is another one: {}", shown(letter)));
        }
        self.problems.push(problem);
    }

    fn unexpected_letters(&mut self, letters: &[CollectedLetter], count: u64) {
        let name = self.place("/name");
        for letter in letters.iter().take(LETTERS_MAX) {
            let message = format!("an event became a dead letter: {}", shown(letter));
            let mut problem = Problem::error(message).at(name.clone());
            if let Some(event) = &letter.event {
                problem = problem.note(short(event, self.case.now));
            }
            let further = count - letters.len().min(LETTERS_MAX) as u64;
            let help = match further {
                0 => "if that is meant, expect it with `dead_letters`".to_owned(),
                further => {
                    format!("{further} more did; expect them with `dead_letters` if that is meant")
                }
            };
            self.problems.push(problem.help(help));
        }
    }

    fn watch(&mut self, watch: &Watch, seen: &Observed, snapshots: Snapshots) -> Option<PathBuf> {
        let (stage, pointer) = (&watch.stage, &watch.pointer);
        let at = |key: &str| self.document.place(&format!("{pointer}/{key}"));
        let now = self.case.now;
        if let Some((event, failure)) = &seen.failure {
            let message =
                format!("`where` fails on an event of `{stage}`: {}", harmless(&failure.reason));
            let problem = Problem::error(message).at(at("where"));
            self.problems.push(problem.note(short(event, now)));
        }
        if let Some(count) = watch.checks.count
            && !is_as_many(count, seen.count)
        {
            let message = format!("not as many events come out of `{stage}` as expected");
            let mut problem = Problem::error(message).at(at("count"));
            problem = problem.label(format!("found {}", seen.count));
            if let Some(event) = seen.events.first() {
                problem = problem.note(format!("the first one: {}", short(event, now)));
            }
            self.problems.push(problem);
        }
        for judged in &seen.predicates {
            let problem = predicate_problem(judged, seen, stage, now);
            let place = at(judged.quantifier().key());
            self.problems.extend(problem.map(|problem| problem.at(place)));
        }
        let compares = !watch.checks.lists.is_empty() || watch.checks.snapshot.is_some();
        if compares && seen.count > COMPARED_MAX as u64 {
            let message = format!(
                "{} events come out of `{stage}`; {COMPARED_MAX} can be compared",
                seen.count
            );
            let help = "choose among them with `where`, or `count` them";
            let place = self.document.key_place(pointer);
            self.problems.push(Problem::error(message).at(place).help(help));
            return None;
        }
        for list in &watch.checks.lists {
            self.problems.append(compare(self.document, list, stage, &seen.events, now));
        }
        let path = watch.checks.snapshot.as_ref()?;
        match hold(path, &seen.events, at("snapshot"), snapshots) {
            Ok(written) => written,
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    /// Where something is missing and timers have not fired, that is likely why.
    fn open_timers(&mut self, seen: &Seen) {
        let open = seen.statistics.stages.iter().find(|stage| stage.unfired_timers > 0);
        let (Some(stage), Some(problem)) = (open, self.problems.0.last_mut()) else { return };
        let timers = match stage.unfired_timers {
            1 => "a timer was".to_owned(),
            timers => format!("{timers} timers were"),
        };
        let after = SpecDuration(self.case.end.since(self.case.now));
        let hint = format!(
            "{timers} open in `{}` when event time ended, {after} after `now`: `for` lets it go on",
            stage.stage
        );
        problem.help.get_or_insert(hint);
    }
}

fn predicate_problem(
    judged: &Judged,
    seen: &Observed,
    stage: &str,
    now: crate::event::Timestamp,
) -> Option<Problem> {
    if let Some((number, event, failure)) = &judged.failure {
        let message = format!(
            "the predicate fails on event {number} of `{stage}`: {}",
            harmless(&failure.reason)
        );
        return Some(Problem::error(message).note(short(event, now)));
    }
    let quantifier = judged.quantifier();
    if let Some((number, event)) = &judged.against {
        let label = match quantifier {
            Quantifier::None => format!("true of event {number}"),
            _ => format!("not true of event {number}"),
        };
        let few = match (quantifier, seen.count - judged.truths) {
            (Quantifier::None, _) => format!("{} of {} events", judged.truths, seen.count),
            (_, others) => format!("{others} of {} events", seen.count),
        };
        let message = format!("{few} of `{stage}` are not as expected");
        return Some(Problem::error(message).label(label).note(short(event, now)));
    }
    if quantifier == Quantifier::Any && judged.truths == 0 {
        let message = format!("no event of `{stage}` is as expected");
        let problem = Problem::error(message).label(match seen.count {
            0 => "nothing came out".to_owned(),
            1 => "not true of the one event".to_owned(),
            count => format!("true of none of {count} events"),
        });
        let first = seen.events.first();
        return Some(match first {
            Some(event) => problem.note(format!("the first one: {}", short(event, now))),
            None => problem,
        });
    }
    // What is true of all of nothing shows nothing.
    if quantifier == Quantifier::All && seen.count == 0 {
        let message = format!("nothing comes out of `{stage}` that it could be true of");
        return Some(Problem::error(message).label("of all events"));
    }
    None
}

fn is_as_many(expected: ExpectedCount, found: u64) -> bool {
    match expected {
        ExpectedCount::Exactly(count) => found == count,
        ExpectedCount::Between(bounds) => {
            found >= bounds.min && bounds.max.is_none_or(|max| found <= max)
        }
    }
}

fn fits(wanted: &ExpectedLetter, letter: &CollectedLetter) -> bool {
    let ExpectedLetter { stage, category, reason } = wanted;
    stage.as_ref().is_none_or(|stage| *stage == letter.stage)
        && category.as_ref().is_none_or(|category| category == letter.failure.category)
        && reason.as_ref().is_none_or(|reason| letter.failure.reason.contains(reason))
}

fn shown(letter: &CollectedLetter) -> String {
    let times = if letter.attempts > 1 {
        format!(" ({} attempts)", letter.attempts)
    } else {
        String::new()
    };
    let reason = harmless(&letter.failure.reason);
    format!("`{}`: {}: {reason}{times}", letter.stage, letter.failure.category)
}

fn with_letters(problem: Problem, letters: &[CollectedLetter]) -> Problem {
    match letters.first() {
        Some(letter) => problem.note(format!("the first one: {}", shown(letter))),
        None => problem,
    }
}
