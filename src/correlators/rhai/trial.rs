//! Tries a rule out before a run: events of each type, then the timers that they set and the end.

use ::rhai::Dynamic;

use super::{ON_END, ON_EVENT, ON_TIMER, Room, Rule};
use crate::event::{Event, Fields};
use crate::problem::Problems;
use crate::script::{Command, Mishap, Premises};

/// What the calls of one function came to.
type Calls = Vec<Result<(), Mishap>>;

impl Rule {
    /// All samples share one state, as if they had one key: what a type needs from another before
    /// it is there. Timers and the end see the state of each event that was taken.
    pub(super) fn try_functions_out(&mut self, premises: &Premises<'_>) -> Problems {
        let types = premises.types_of(&self.on);
        let fields = std::sync::Arc::clone(&self.payload_fields);
        let mut trial = self.script.runner.trial(&fields, types.as_ref(), premises);
        let (mut state, mut timers, mut ends) = (Fields::new(), Calls::new(), Calls::new());
        trial.on_events(ON_EVENT.name, |event| {
            let commands = self.try_event(event, &mut state)?;
            for command in commands {
                if let Command::Timer(name, _) = command {
                    let name = Some(Dynamic::from(name));
                    timers.push(self.try_call(ON_TIMER.name, name, &mut state.clone()).map(drop));
                }
            }
            if self.script.has_on_end {
                ends.push(self.try_call(ON_END.name, None, &mut state.clone()).map(drop));
            }
            Ok(())
        });
        trial.of_calls(ON_TIMER.name, timers);
        trial.of_calls(ON_END.name, ends);
        let mut problems = trial.into_problems();
        problems.extend(premises.misspelt(&self.on));
        problems
    }

    fn try_event(&mut self, event: &Event, state: &mut Fields) -> Result<Vec<Command>, Mishap> {
        let mut seen = event.clone();
        self.script.event.swap(&mut seen);
        let handle = Some(self.script.event_argument.clone());
        let result = self.try_call(ON_EVENT.name, handle, state);
        self.script.event.swap(&mut seen);
        result
    }

    fn try_call(
        &mut self,
        function: &'static str,
        first: Option<Dynamic>,
        state: &mut Fields,
    ) -> Result<Vec<Command>, Mishap> {
        let mut commands = Vec::new();
        let room = Room { timers: self.timers.room(), open: &[] };
        let result = self.script.call(function, first, state, &mut commands, &room);
        match result {
            Ok(()) => Ok(commands),
            Err(failure) => Err(self.script.runner.mishap(function, &failure)),
        }
    }
}
