//! `monitoring.audit:`: a line for each attempt to deliver.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// Keeps a file with a line of JSON for each attempt of a sink to deliver: which events, to which
/// partitions, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditSettings {
    /// The file; its folder is made. Relative to the working directory.
    #[schemars(extend("examples" = ["state/audit.ndjson"]))]
    pub path: PathBuf,
    /// How large it gets, in bytes, before the next one is begun. It is called `PATH.1` then, the
    /// one before it `PATH.2`.
    #[serde(default = "default_max_bytes")]
    #[schemars(range(min = 65_536))]
    pub max_bytes: NonZeroU64,
    /// How many files are kept, the one that is written among them; what is older is removed.
    #[serde(default = "default_keep_files")]
    #[schemars(range(max = 1000))]
    pub keep_files: NonZeroU32,
}

fn default_max_bytes() -> NonZeroU64 {
    const BYTES: NonZeroU64 = NonZeroU64::new(100 << 20).unwrap();
    BYTES
}

fn default_keep_files() -> NonZeroU32 {
    const FILES: NonZeroU32 = NonZeroU32::new(5).unwrap();
    FILES
}
