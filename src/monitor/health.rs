//! Whether a run is well, stage by stage, and why not.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Account, BreakerState, Connection, Tally, Window};
use crate::kind::Kind;

/// The share of failed events from which on a stage is unwell.
pub const ERROR_RATE_MAX: f64 = 0.05;

/// The component that sends to Azure Event Hubs, and what it is called among the components of a
/// run.
const EVENT_HUBS: (&str, &str) = ("event_hubs", "azure_event_hub");

/// Whether a run is well.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Health {
    /// Whether every component is.
    pub overall_healthy: bool,
    /// Each stage by its name, and the process as `resources`. A sink of type `event_hubs` is
    /// `azure_event_hub`; where there are several, `azure_event_hub.<stage>`.
    pub components: BTreeMap<String, ComponentHealth>,
}

/// Whether one component is well.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
pub struct ComponentHealth {
    /// The stage's name; none for the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// `source`, `enricher`, `correlator`, `batcher`, `sink` or `process`.
    pub kind: &'static str,
    /// A stage: no error ended it, its share of failed events over the last minute is below 5 %,
    /// its circuit breaker is closed, and it is connected if it is a sink. The process: within its
    /// limits.
    pub healthy: bool,
    /// Why it is not.
    pub reason: Option<String>,
    /// Failed events in all events of the stage whose fate became known in the last minute, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<f64>,
    /// Why the stage could not go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether a sink has its receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// Whether a sink's delivery sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<BreakerState>,
    /// How full a sink's buffer is, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer_utilisation: Option<f64>,
    /// What the process uses.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// What the process uses, and what it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, JsonSchema, Serialize)]
pub struct Resources {
    /// Memory that is resident, in bytes; none where the system does not say.
    pub memory_bytes: Option<u64>,
    /// How much of it is well.
    pub max_memory_bytes: Option<u64>,
    /// How many processors are busy with it, over the last ten seconds.
    pub cpu: f64,
    /// How many are well.
    pub max_cpu: Option<f64>,
}

impl Health {
    /// Looks at the accounts of a run; `minute` is what happened in the last minute.
    pub fn of(
        accounts: &[Arc<Account>],
        tallies: &[Tally],
        minute: &Window,
        resources: Resources,
    ) -> Self {
        let is_hub = |account: &&Arc<Account>| {
            account.kind == Kind::Sink && account.component == EVENT_HUBS.0
        };
        let hubs = accounts.iter().filter(is_hub).count();
        let name = |account: &Arc<Account>| match (is_hub(&account), hubs) {
            (false, _) => account.stage.clone(),
            (true, 1) => EVENT_HUBS.1.to_owned(),
            (true, _) => format!("{}.{}", EVENT_HUBS.1, account.stage),
        };
        let stages = accounts.iter().zip(tallies).enumerate();
        let mut components: BTreeMap<String, ComponentHealth> = stages
            .map(|(place, (account, tally))| {
                (name(account), stage(account, tally, minute.error_rate(place)))
            })
            .collect();
        components.insert("resources".to_owned(), process(resources));
        Self { overall_healthy: components.values().all(|component| component.healthy), components }
    }

    /// What is not well, and why, as in `hub: its circuit breaker is open`.
    pub fn reasons(&self) -> Vec<String> {
        let unwell = self.components.iter().filter_map(|(name, component)| {
            component.reason.as_ref().map(|reason| format!("{name}: {reason}"))
        });
        unwell.collect()
    }

    /// The component of a stage.
    pub fn of_stage(&self, stage: &str) -> Option<&ComponentHealth> {
        let mut components = self.components.values();
        components.find(|component| component.stage.as_deref() == Some(stage))
    }
}

fn stage(account: &Account, tally: &Tally, error_rate: f64) -> ComponentHealth {
    let delivery = tally.delivery;
    let reason = reason(tally, error_rate);
    ComponentHealth {
        stage: Some(account.stage.clone()),
        kind: account.kind.singular(),
        healthy: reason.is_none(),
        reason,
        error_rate: Some(error_rate),
        error: tally.error.clone(),
        connection: delivery.map(|delivery| delivery.connection),
        circuit_breaker: delivery.map(|delivery| delivery.circuit_breaker),
        buffer_utilisation: delivery.map(|delivery| delivery.buffer_utilisation()),
        resources: None,
    }
}

/// Why a stage is not well; the first of several reasons.
fn reason(tally: &Tally, error_rate: f64) -> Option<String> {
    if let Some(error) = &tally.error {
        return Some(error.clone());
    }
    let breaker = tally.delivery.map(|delivery| delivery.circuit_breaker);
    match breaker {
        Some(BreakerState::Open) => return Some("its circuit breaker is open".to_owned()),
        Some(BreakerState::HalfOpen) => {
            return Some("its circuit breaker is half open: one attempt is on trial".to_owned());
        }
        Some(BreakerState::Closed) | None => {}
    }
    match tally.delivery.map(|delivery| delivery.connection) {
        Some(Connection::Connecting) => return Some("it is connecting".to_owned()),
        Some(Connection::Failed) => {
            let why = tally.missed.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            return Some(format!("it cannot reach its receiver{why}"));
        }
        Some(Connection::Connected) | None => {}
    }
    (error_rate >= ERROR_RATE_MAX)
        .then(|| format!("{:.1} % of its events failed over the last minute", 100.0 * error_rate))
}

fn process(resources: Resources) -> ComponentHealth {
    let Resources { memory_bytes, max_memory_bytes, cpu, max_cpu } = resources;
    let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
    let memory = memory_bytes.zip(max_memory_bytes).filter(|(used, max)| used > max);
    let memory = memory
        .map(|(used, max)| format!("it uses {} of memory, more than {}", mib(used), mib(max)));
    let processors = max_cpu.filter(|max| cpu > *max);
    let processors =
        processors.map(|max| format!("it keeps {cpu:.2} processors busy, more than {max}"));
    let reasons: Vec<String> = memory.into_iter().chain(processors).collect();
    ComponentHealth {
        kind: "process",
        healthy: reasons.is_empty(),
        reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
        resources: Some(resources),
        ..ComponentHealth::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::DeliveryTally;

    fn tally(change: impl FnOnce(&mut DeliveryTally)) -> Tally {
        let connection = Connection::Connected;
        let mut delivery = DeliveryTally { connection, ..DeliveryTally::default() };
        change(&mut delivery);
        Tally { delivery: Some(delivery), ..Tally::default() }
    }

    #[test]
    fn a_stage_is_unwell_for_a_reason_that_is_said() {
        assert_eq!(reason(&tally(|_| {}), 0.049), None);
        let open = tally(|delivery| delivery.circuit_breaker = BreakerState::Open);
        assert_eq!(reason(&open, 0.0).unwrap(), "its circuit breaker is open");
        let away = tally(|delivery| delivery.connection = Connection::Failed);
        assert_eq!(reason(&away, 0.0).unwrap(), "it cannot reach its receiver");
        let refused = Tally { missed: Some("connection refused".to_owned()), ..away };
        let why = "it cannot reach its receiver: connection refused";
        assert_eq!(reason(&refused, 0.0).unwrap(), why);
        let wrong = reason(&tally(|_| {}), 0.123).unwrap();
        assert_eq!(wrong, "12.3 % of its events failed over the last minute");
        let ended = Tally { error: Some("the disk is full".to_owned()), ..tally(|_| {}) };
        assert_eq!(reason(&ended, 0.5).unwrap(), "the disk is full");
    }

    #[test]
    fn the_process_is_unwell_beyond_its_limits_and_has_none_unless_they_are_set() {
        let used = Resources { memory_bytes: Some(300 << 20), cpu: 1.7, ..Resources::default() };
        assert!(process(used).healthy);
        let limited = Resources { max_memory_bytes: Some(200 << 20), max_cpu: Some(1.5), ..used };
        assert_eq!(
            process(limited).reason.unwrap(),
            "it uses 300 MiB of memory, more than 200 MiB; it keeps 1.70 processors busy, more than 1.5"
        );
    }

    #[test]
    fn event_hubs_has_the_name_that_its_users_know() {
        let account = |stage: &str, component| Arc::new(Account::new(stage, Kind::Sink, component));
        let names = |accounts: &[Arc<Account>]| {
            let tallies: Vec<Tally> = accounts.iter().map(|account| account.tally()).collect();
            let minute = Window::default();
            let health = Health::of(accounts, &tallies, &minute, Resources::default());
            health.components.into_keys().collect::<Vec<_>>()
        };
        let (west, north) = (account("west", "event_hubs"), account("north", "event_hubs"));
        let file = account("file", "file");
        assert_eq!(names(&[west.clone(), file]), ["azure_event_hub", "file", "resources"]);
        let both = ["azure_event_hub.north", "azure_event_hub.west", "resources"];
        assert_eq!(names(&[west, north]), both);
    }
}
