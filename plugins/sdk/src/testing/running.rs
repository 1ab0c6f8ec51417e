//! An instance from create to destroy, and what comes after a call that it does not survive.

use std::sync::Arc;

use serde_json::Value;

use super::event;
use super::host::TestHost;
use crate::boundary::Exported;
use crate::host::{Descriptor, Failed, Fault, Instance, Stopper, exported};

/// An instance, and another one in its place where the engine would make one.
pub(super) struct Running {
    descriptor: Descriptor,
    settings: String,
    /// None after a call that it did not survive.
    instance: Option<Instance>,
    /// Whether another instance goes on then; else the run has failed.
    is_renewed: bool,
    pub(super) host: Arc<TestHost>,
}

impl Running {
    /// Creates an instance, restores what another one remembered, and starts it.
    pub(super) fn new(
        plugin: Exported,
        settings: Value,
        state: Option<&Value>,
        is_renewed: bool,
    ) -> Result<Self, Failed> {
        let descriptor =
            exported(plugin).map_err(|refused| failed(Fault::Config, refused.to_string()))?;
        let text = settings.to_string();
        let host = Arc::new(TestHost::new(settings));
        let mut running = Self { descriptor, settings: text, instance: None, is_renewed, host };
        running.make(state)?;
        Ok(running)
    }

    fn make(&mut self, state: Option<&Value>) -> Result<&mut Instance, Failed> {
        let mut instance = self.descriptor.create(self.host.clone(), &self.settings)?;
        if let Some(state) = state {
            if !instance.remembers() {
                return Err(failed(Fault::Config, "`REMEMBERS` is false: there is no `restore`"));
            }
            instance.restore(&state.to_string())?;
        }
        instance.start()?;
        Ok(self.instance.insert(instance))
    }

    /// A call of the instance. One that it does not survive destroys it.
    pub(super) fn call<R>(
        &mut self,
        call: impl FnOnce(&mut Instance) -> Result<R, Failed>,
    ) -> Result<R, Failed> {
        let instance = match self.instance.as_mut() {
            Some(instance) => instance,
            None if self.is_renewed => self.make(None)?,
            None => return Err(failed(Fault::Fatal, "the run has failed already")),
        };
        let result = call(instance);
        if result.as_ref().is_err_and(|failed| failed.fault.is_final()) {
            self.instance = None;
        }
        result
    }

    /// What it remembers.
    pub(super) fn save(&mut self) -> Result<Value, Failed> {
        let saved = self.call(|instance| instance.save())?;
        let json = saved
            .ok_or_else(|| failed(Fault::Config, "`REMEMBERS` is false: there is no `save`"))?;
        serde_json::from_str(&json).map_err(|error| failed(Fault::Panic, error.to_string()))
    }

    /// Asks it to stop, from any thread; does nothing once it is destroyed.
    pub(super) fn stopper(&mut self) -> Result<Stopper, Failed> {
        self.call(|instance| Ok(instance.stopper()))
    }

    /// How many writes it may leave unanswered.
    pub(super) fn max_in_flight(&self) -> usize {
        self.descriptor.max_in_flight as usize
    }

    /// Events with whole envelopes, the first at the earliest at `time_ms` where they have no time.
    pub(super) fn complete(
        &self,
        events: impl IntoIterator<Item = Value>,
        time_ms: i64,
    ) -> Result<Vec<Value>, Failed> {
        let complete = |event| {
            event::complete(event, time_ms, &self.host).map_err(|why| failed(Fault::Config, why))
        };
        events.into_iter().map(complete).collect()
    }
}

pub(super) fn failed(fault: Fault, reason: impl Into<String>) -> Failed {
    Failed { fault, reason: reason.into() }
}

/// What every plugin under test has.
macro_rules! common {
    ($test:ident) => {
        impl $test {
            /// What stands in for the engine: the log, and what was recorded.
            pub fn host(&self) -> std::sync::Arc<$crate::testing::TestHost> {
                std::sync::Arc::clone(&self.0.host)
            }

            /// Asks the plugin to stop, from any thread and beside any call, as the engine does.
            pub fn stopper(&mut self) -> Result<$crate::host::Stopper, $crate::host::Failed> {
                self.0.stopper()
            }
        }
    };
}
pub(super) use common;
