//! Asks a script for weights before it is needed, to find what shows only when it runs.

use jiff::civil::{Date, date};
use rhai::ImmutableString;

use super::Weights;
use crate::problem::{Problem, Problems};
use crate::retail::{
    EventType, Moment, Region, StoreMoment, Tier, WEIGHTED, Weather, follows_from,
};

/// A name that no type has: what a script gives for it, it gives for all that it does not name.
const NO_TYPE: &str = "";

/// Nights and days, weekdays and weekends, on holidays and off them.
const TIMES: [(Date, i8, Option<&str>); 5] = [
    (date(2024, 11, 29), 12, Some("black_friday")),
    (date(2024, 6, 11), 3, None),
    (date(2024, 6, 15), 18, None),
    (date(2024, 12, 25), 10, Some("christmas_day")),
    (date(2025, 2, 2), 20, None),
];

impl Weights {
    /// Tries the script with every type, at moments that have no store, as a mix of events asks.
    pub fn check_for_mix(&self) -> Problems {
        let mut trial = self.clone();
        let mut problems = Vec::new();
        for event_type in EventType::ALL {
            let moments: Vec<Moment> = moments_without_store().collect();
            trial.try_out(event_type, &moments, &mut problems);
        }
        Problems(problems)
    }

    /// Tries the script as the simulated world asks: what happens in stores with a store of every
    /// tier, and ads and online orders without one, too. A type that follows from others must get
    /// 1, or what any name gets.
    pub fn check_for_world(&self) -> Problems {
        let mut trial = self.clone();
        let mut problems = Vec::new();
        for event_type in EventType::ALL {
            let mut moments: Vec<Moment> = moments_in_stores().collect();
            if matches!(event_type, EventType::AdImpression | EventType::OnlineOrderCreated) {
                moments.extend(moments_without_store());
            }
            let worked = trial.try_out(event_type, &moments, &mut problems);
            if let Some(cause) = follows_from(event_type)
                && worked
                && moments.iter().any(|moment| trial.singles_out(event_type, moment))
            {
                problems.push(trial.not_weighted(event_type, cause));
            }
        }
        Problems(problems)
    }

    /// Asks for a type at each moment, and reports the first failure, unless it is known. Says
    /// whether there was none.
    fn try_out(
        &mut self,
        event_type: EventType,
        moments: &[Moment],
        problems: &mut Vec<Problem>,
    ) -> bool {
        let name = &self.compiled.types[event_type as usize].clone();
        let printer = self.compiled.printer.clone();
        let failure = moments.iter().find_map(|moment| {
            let problem = printer.quietly(|| self.ask(name.clone(), moment)).err()?;
            Some(problem.help(circumstances(event_type, moment)))
        });
        let Some(problem) = failure else { return true };
        if problems.iter().all(|known| known.place != problem.place) {
            problems.push(problem);
        }
        false
    }

    /// Whether the script weights a type, other than with all that it does not name.
    fn singles_out(&mut self, event_type: EventType, moment: &Moment) -> bool {
        let name = self.compiled.types[event_type as usize].clone();
        let printer = self.compiled.printer.clone();
        let mut ask = |name| printer.quietly(|| self.ask(name, moment));
        let Ok(weight) = ask(name) else { return false };
        let any = ask(ImmutableString::from(NO_TYPE)).unwrap_or(1.0);
        let is = |other: f64| weight.to_bits() == other.to_bits();
        !is(1.0) && !is(any)
    }

    fn not_weighted(&self, event_type: EventType, cause: &str) -> Problem {
        let can_be: Vec<String> =
            WEIGHTED.iter().map(|(known, what)| format!("{known} ({what})")).collect();
        Problem::error(format!("`{event_type}` cannot be weighted: it follows from {cause}"))
            .at(self.place_of_name(event_type).or(self.compiled.place.clone()))
            .help(format!("what can be weighted: {}", can_be.join(", ")))
    }

    /// Where the script first names a type, outside of comments.
    fn place_of_name(&self, event_type: EventType) -> Option<crate::problem::Place> {
        let name = format!("\"{event_type}\"");
        self.compiled.excerpt.text.lines().enumerate().find_map(|(line, text)| {
            let code = text.split("//").next().unwrap_or_default();
            let column = code[..code.find(&name)?].chars().count();
            Some(self.compiled.excerpt.place(line + 1, column + 1, name.chars().count()))
        })
    }
}

fn moments_without_store() -> impl Iterator<Item = Moment> {
    TIMES.iter().map(|&(date, hour, holiday)| Moment { date, hour, holiday, store: None })
}

/// At each time a store of every tier, and over the times every region and weather.
fn moments_in_stores() -> impl Iterator<Item = Moment> {
    let every_one_at_each = moments_without_store().enumerate();
    every_one_at_each.flat_map(|(shift, moment)| {
        Tier::ALL.iter().enumerate().map(move |(place, &tier)| {
            let region = Region::ALL[(place + shift) % Region::ALL.len()];
            let weather = Weather::ALL[(place + 2 * shift) % Weather::ALL.len()];
            Moment {
                store: Some(StoreMoment { id: place as u32 + 1, tier, region, weather }),
                ..moment
            }
        })
    })
}

/// What a call was made with, for whoever looks for the reason that it failed.
fn circumstances(event_type: EventType, moment: &Moment) -> String {
    let Moment { date, hour, holiday, store } = moment;
    let holiday = holiday.map(|name| format!(", {name}")).unwrap_or_default();
    let store = store.map_or("where `ctx.store` is `()`".to_owned(), |store| {
        let StoreMoment { tier, region, weather, .. } = store;
        format!("in a store ({tier}, {region}, {weather})")
    });
    format!("it was asked for `{event_type}` on {date}{holiday}, hour {hour}, {store}")
}
