//! Tries a rule out before a run: events of each type, then the timers that they set and the end.

use super::{END, EVENT, ON_END, ON_EVENT, ON_TIMER, Rule, TIMER, too_many_timers};
use crate::event::Fields;
use crate::problem::Problems;
use crate::script::{Command, Given, GivenEvent, Mishap, Premises, Returned};

/// What timers and the end are tried out with.
const STATE: &str = "the state that `on_event` leaves";

/// What the calls of one function came to.
type Outcomes = Vec<Result<(), Mishap>>;

impl Rule {
    /// All samples share one state, as if they had one key: what a type needs from another before
    /// it is there. Timers and the end see the state of each event that was taken.
    pub(super) fn try_functions_out(&mut self, premises: &Premises<'_>) -> Problems {
        let types = premises.types_of(&self.on);
        let fields = std::sync::Arc::clone(&self.payload_fields);
        let mut trial = self.calls.trial(&fields, types.as_ref(), premises);
        let (mut state, mut timers, mut ends) = (Fields::new(), Outcomes::new(), Outcomes::new());
        trial.on_events(ON_EVENT.name, |event| {
            let given = (GivenEvent::Seen(event), None);
            let commands = self.try_call(EVENT, given, &mut state)?;
            for command in commands {
                if let Command::Timer(name, _) = command {
                    let given = (GivenEvent::Nothing, Some(name.as_str()));
                    timers.push(self.try_call(TIMER, given, &mut state.clone()).map(drop));
                }
            }
            if self.calls.has(END) {
                let given = (GivenEvent::Nothing, None);
                ends.push(self.try_call(END, given, &mut state.clone()).map(drop));
            }
            Ok(())
        });
        trial.of_calls(ON_TIMER.name, STATE, timers);
        trial.of_calls(ON_END.name, STATE, ends);
        let mut problems = trial.into_problems();
        problems.extend(premises.misspelt(&self.on));
        problems.extend(self.key.unknown(types.as_ref(), "/key", premises));
        problems.append(std::mem::take(&mut self.misnamed));
        problems
    }

    fn try_call(
        &mut self,
        function: usize,
        (event, timer): (GivenEvent<'_>, Option<&str>),
        state: &mut Fields,
    ) -> Result<Vec<Command>, Mishap> {
        let mut commands = Vec::new();
        let room = self.timers.room();
        let fits =
            |commands: &[Command], _: &Returned| match Command::count_timers(commands, |_| false) {
                timers if timers > room => Err(too_many_timers()),
                _ => Ok(()),
            };
        let given = Given { event, timer, state: Some(state) };
        match self.calls.call(function, given, &mut commands, fits) {
            Ok(_) => Ok(commands),
            Err(failure) => Err(self.calls.mishap(function, &failure)),
        }
    }
}
