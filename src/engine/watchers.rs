//! Who looks at a run: taps and observers that were given, the scripts of hooks, the audit log, and
//! the server.

use std::sync::{Arc, PoisonError};

use super::Engine;
use crate::audit::AuditLog;
use crate::clock::Clock;
use crate::graph::Taps;
use crate::hooks::{self, ScriptHooks};
use crate::monitor::Observers;
use crate::problem::{Problem, Problems};
use crate::server::{Listener, Server};

/// All of them, for one run.
pub(super) struct Watchers {
    pub(super) taps: Taps,
    pub(super) observers: Observers,
    /// None where the spec has no address.
    pub(super) server: Option<Server>,
}

impl Engine {
    /// Opens what they need, before anything runs.
    pub(super) fn watchers(&self, clock: &Clock) -> Result<Watchers, Problems> {
        let (mut taps, mut observers) = (self.taps.clone(), self.audited(clock)?);
        if let Some(scripts) = self.script_hooks(&observers)? {
            observers.push(Arc::new(scripts));
        }
        let taken = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        let listener = taken.map_or_else(|| Listener::bind(&self.plan), |taken| Ok(Some(taken)))?;
        let server = listener.map(|listener| Server::new(listener, &self.plan, self.token.clone()));
        if let Some(server) = &server {
            server.watch(&mut taps, &mut observers);
        }
        Ok(Watchers { taps, observers, server })
    }

    /// The observers that were given, and the audit log, which sees what is sent however it came here.
    pub(super) fn audited(&self, clock: &Clock) -> Result<Observers, Problems> {
        let mut observers = self.observers.clone();
        if let Some(audit) = self.audit_log(clock)? {
            observers.push(Arc::new(audit));
        }
        Ok(observers)
    }

    fn script_hooks(&self, observers: &Observers) -> Result<Option<ScriptHooks>, Problems> {
        let (document, settings) = (&self.plan.document, &self.plan.spec.hooks);
        ScriptHooks::start(document, settings, &observers.hooks, hooks::DRAIN_TIMEOUT)
    }

    fn audit_log(&self, clock: &Clock) -> Result<Option<AuditLog>, Problems> {
        let Some(settings) = &self.plan.spec.monitoring.audit else { return Ok(None) };
        let document = self.plan.document.clone();
        let mask = move |text: &str| document.masked(text);
        let log = AuditLog::open(settings, self.plan.name(), clock.clone(), mask);
        log.map(Some).map_err(|reason| {
            let path = settings.path.display();
            Problem::error(format!("the audit log `{path}` cannot be written: {reason}"))
                .at(self.plan.document.place("/monitoring/audit/path"))
                .help("name another `path`, or leave `audit` out")
                .into()
        })
    }
}
