//! Where engines that share a hub write down who reads which partition, and how far.

mod blob;
mod directory;
mod listing;

use std::sync::Arc;

use async_trait::async_trait;

pub(super) use self::blob::BlobStore;
pub(super) use self::directory::DirectoryStore;
use super::place::Position;
use crate::event::Timestamp;

/// What the store knows of a partition.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) partition: Arc<str>,
    /// Who reads it; none if it was let go.
    pub(super) owner: Option<Arc<str>>,
    /// When its owner was written last.
    pub(super) modified: Timestamp,
    /// Which version of the owner this is; none if there was never one.
    pub(super) version: Option<String>,
    /// How far it was read and delivered.
    pub(super) checkpoint: Option<Position>,
}

impl Entry {
    /// Of a partition that nobody has read yet.
    pub(super) fn unknown(partition: Arc<str>) -> Self {
        let modified = Timestamp::MIN;
        Self { partition, owner: None, modified, version: None, checkpoint: None }
    }
}

/// What a store knows.
pub(super) struct Listing {
    pub(super) entries: Vec<Entry>,
    /// The store's own time, by which it says when entries were written.
    pub(super) now: Timestamp,
}

/// A place that several engines reach. Errors are in words, and may pass.
#[async_trait]
pub(super) trait Store: Send + Sync {
    /// What it knows; partitions that nobody has read yet are missing.
    async fn list(&self) -> Result<Listing, String>;

    /// Writes an owner in the place of the one that was listed, or lets the partition go. False if
    /// somebody else was quicker.
    async fn claim(&self, entry: &Entry, owner: Option<&Arc<str>>) -> Result<bool, String>;

    /// Notes how far a partition was read, if it is still this owner's.
    async fn note(
        &self,
        partition: &Arc<str>,
        owner: &Arc<str>,
        position: &Position,
    ) -> Result<(), String>;
}
