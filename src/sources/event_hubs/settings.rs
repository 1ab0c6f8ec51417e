//! The settings of a hub that several engines share.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::store::{BlobStore, DirectoryStore, Store};
use crate::clock::Clock;
use crate::component::BuildContext;
use crate::event_hubs::Entra;
use crate::problem::Problem;
use crate::spec::{Secret, SpecDuration};
use crate::stage::StageError;

/// Where engines that share the hub write down who reads which partition and how far.
///
/// Partitions are shared out evenly, and go to others when an engine comes or goes. What was read
/// of one and not delivered by then comes again where it goes to, with the same ids. It takes the
/// place of `state:`, which is one engine's own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointStoreSettings {
    /// A container of Azure Blob Storage, such as
    /// `https://ACCOUNT.blob.core.windows.net/CONTAINER`: with a shared access signature behind it
    /// (`?sv=...`, which may read, write, create and list), or with `entra`. It is laid out as by the
    /// service's own clients.
    pub container_url: Option<Secret>,
    /// Microsoft Entra ID for the container; it needs the role `Storage Blob Data Contributor`.
    pub entra: Option<Entra>,
    /// In place of a container, a directory that all of them reach: on one machine, or on a volume
    /// that they share and that has locks. Their clocks have to agree to within half of `expiry`.
    pub directory: Option<String>,
    /// How often it is noted what was delivered.
    #[serde(default = "default_checkpoint_interval")]
    pub checkpoint_interval: SpecDuration,
    /// How often an engine says that it is there, and looks whether it has its fair share.
    #[serde(default = "default_balance_interval")]
    pub balance_interval: SpecDuration,
    /// After how long without a word an engine is taken for gone; several times
    /// `balance_interval`.
    #[serde(default = "default_expiry")]
    pub expiry: SpecDuration,
}

impl CheckpointStoreSettings {
    /// What is wrong with them.
    pub(super) fn problems(&self, cx: &BuildContext<'_>) -> Vec<Problem> {
        let mut problems = Vec::new();
        problems.extend(self.wrong_place(cx));
        for (setting, span) in [
            ("checkpoint_interval", self.checkpoint_interval),
            ("balance_interval", self.balance_interval),
        ] {
            if span.0.is_zero() {
                let message = "the span has to be a millisecond or more";
                problems.push(cx.problem(&format!("/checkpoint_store/{setting}"), message));
            }
        }
        if self.expiry.0 < self.balance_interval.0 * 2 {
            let message = "engines would be taken for gone between two signs of life";
            let help = "set it to twice `balance_interval` or more";
            problems.push(cx.problem("/checkpoint_store/expiry", message).help(help));
        }
        if !cx.document.value("/state").is_null() {
            let message = "`state:` would go on where this engine was, and partitions go from one \
                           engine to another";
            let help = "leave `state:` out: the store remembers what was delivered";
            problems.push(cx.problem("/checkpoint_store", message).help(help));
        }
        problems
    }

    fn wrong_place(&self, cx: &BuildContext<'_>) -> Option<Problem> {
        let problem = |setting: &str, message: &str| {
            Some(cx.problem(&format!("/checkpoint_store{setting}"), message))
        };
        match (&self.container_url, &self.directory) {
            (Some(_), Some(_)) => problem("/directory", "there is a container already"),
            (None, Some(_)) if self.entra.is_some() => {
                problem("/entra", "it is for a container, not for a directory")
            }
            (None, Some(directory)) if directory.is_empty() => {
                problem("/directory", "the path is empty")
            }
            (None, Some(_)) => None,
            (None, None) => problem("", "nothing says where the store is")
                .map(|problem| problem.help("set `container_url`, or `directory`")),
            (Some(url), None) => {
                let wrong = BlobStore::check(url.reveal(), self.entra.is_some()).err()?;
                problem("/container_url", wrong)
            }
        }
    }

    /// The store of a consumer group, by the names of namespace, hub and group.
    pub(super) fn store(
        &self,
        names: [&str; 3],
        clock: Clock,
    ) -> Result<Box<dyn Store>, StageError> {
        match (&self.container_url, &self.directory) {
            (Some(url), _) => {
                let store = BlobStore::new(url.reveal(), self.entra.as_ref(), names);
                Ok(Box::new(store.map_err(StageError)?))
            }
            (None, directory) => {
                let directory = directory.as_deref().unwrap_or_default();
                Ok(Box::new(DirectoryStore::new(directory, names, clock)))
            }
        }
    }
}

fn default_checkpoint_interval() -> SpecDuration {
    SpecDuration(Duration::from_secs(5))
}

fn default_balance_interval() -> SpecDuration {
    SpecDuration(Duration::from_secs(10))
}

fn default_expiry() -> SpecDuration {
    SpecDuration(Duration::from_mins(1))
}
