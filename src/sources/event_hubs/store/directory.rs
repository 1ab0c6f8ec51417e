//! A directory that engines on one machine share, or on one volume: a file for each consumer group,
//! behind a lock, and replaced as a whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Entry, Listing, Store};
use crate::clock::Clock;
use crate::event::Timestamp;
use crate::sources::event_hubs::place::Position;

/// The file of a consumer group.
pub(in crate::sources::event_hubs) struct DirectoryStore {
    file: PathBuf,
    clock: Clock,
}

/// What is in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Book {
    partitions: BTreeMap<Arc<str>, Row>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    owner: Option<Arc<str>>,
    version: u64,
    modified: Timestamp,
    checkpoint: Option<Position>,
}

impl DirectoryStore {
    /// The file of a hub's consumer group, which need not be there yet.
    pub(in crate::sources::event_hubs) fn new(
        directory: &str,
        [namespace, hub, group]: [&str; 3],
        clock: Clock,
    ) -> Self {
        let folder = Path::new(directory).join(namespace.to_lowercase()).join(hub.to_lowercase());
        Self { file: folder.join(format!("{}.json", group.to_lowercase())), clock }
    }

    /// Does something with what is in the file while nobody else does, and writes it back where it
    /// says so.
    async fn with_book<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Book) -> (T, bool) + Send + 'static,
    ) -> Result<T, String> {
        let file = self.file.clone();
        let failed = format!("cannot use the checkpoint store `{}`", file.display());
        let done = tokio::task::spawn_blocking(move || with_file(&file, work)).await;
        match done {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(format!("{failed}: {error}")),
            Err(error) => Err(format!("{failed}: {error}")),
        }
    }
}

fn with_file<T>(file: &Path, work: impl FnOnce(&mut Book) -> (T, bool)) -> io::Result<T> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let lock = file.with_added_extension("lock");
    let lock = File::options().create(true).append(true).open(lock)?;
    lock.lock()?;
    let mut book = match std::fs::read(file) {
        Ok(text) => serde_json::from_slice(&text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Book::default(),
        Err(error) => return Err(error),
    };
    let (done, is_changed) = work(&mut book);
    if is_changed {
        let part = file.with_added_extension("part");
        let mut written = File::create(&part)?;
        written.write_all(&serde_json::to_vec(&book)?)?;
        written.sync_all()?;
        std::fs::rename(&part, file)?;
        File::open(folder)?.sync_all()?;
    }
    Ok(done)
}

#[async_trait]
impl Store for DirectoryStore {
    async fn list(&self) -> Result<Listing, String> {
        let entry = |(partition, row): (&Arc<str>, &Row)| Entry {
            partition: partition.clone(),
            owner: row.owner.clone(),
            modified: row.modified,
            version: Some(row.version.to_string()),
            checkpoint: row.checkpoint.clone(),
        };
        let listed =
            self.with_book(move |book| (book.partitions.iter().map(entry).collect(), false));
        Ok(Listing { entries: listed.await?, now: self.clock.wall() })
    }

    async fn claim(&self, entry: &Entry, owner: Option<&Arc<str>>) -> Result<bool, String> {
        let (partition, listed, owner) =
            (entry.partition.clone(), entry.version.clone(), owner.cloned());
        let modified = self.clock.wall();
        self.with_book(move |book| {
            let there = book.partitions.get(&partition).map(|row| row.version.to_string());
            if there != listed {
                return (false, false);
            }
            let row = book.partitions.entry(partition).or_default();
            (row.owner, row.modified, row.version) = (owner, modified, row.version + 1);
            (true, true)
        })
        .await
    }

    async fn note(
        &self,
        partition: &Arc<str>,
        owner: &Arc<str>,
        position: &Position,
    ) -> Result<(), String> {
        let (partition, owner, position) = (partition.clone(), owner.clone(), position.clone());
        self.with_book(move |book| match book.partitions.get_mut(&partition) {
            Some(row) if row.owner.as_ref() == Some(&owner) => {
                row.checkpoint = Some(position);
                ((), true)
            }
            _ => ((), false),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Speed;

    fn store(folder: &tempfile::TempDir) -> DirectoryStore {
        let directory = folder.path().display().to_string();
        let names = ["h.example", "retail-events", "$Default"];
        DirectoryStore::new(&directory, names, Clock::new(None, Speed::Max, false))
    }

    fn unknown(partition: &str) -> Entry {
        Entry::unknown(partition.into())
    }

    async fn first(store: &DirectoryStore) -> Entry {
        store.list().await.unwrap().entries.remove(0)
    }

    #[tokio::test]
    async fn a_partition_is_claimed_once_from_each_version() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = [store(&folder), store(&folder)];
        let [a, b]: [Arc<str>; 2] = ["a".into(), "b".into()];
        assert!(one.list().await.unwrap().entries.is_empty());
        assert_eq!(one.claim(&unknown("0"), Some(&a)).await, Ok(true));
        assert_eq!(other.claim(&unknown("0"), Some(&b)).await, Ok(false));
        let listed = first(&other).await;
        assert_eq!(listed.owner, Some(a.clone()));
        assert_eq!(other.claim(&listed, Some(&b)).await, Ok(true));
        assert_eq!(one.claim(&listed, None).await, Ok(false), "it was taken meanwhile");
    }

    #[tokio::test]
    async fn a_checkpoint_is_its_owners_and_stays_when_the_owner_changes() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let [a, b]: [Arc<str>; 2] = ["a".into(), "b".into()];
        let partition: Arc<str> = "0".into();
        let position = |next| Position { next, offset: None };
        store.claim(&unknown("0"), Some(&a)).await.unwrap();
        store.note(&partition, &a, &position(7)).await.unwrap();
        store.note(&partition, &b, &position(3)).await.unwrap();
        let listed = first(&store).await;
        assert_eq!(listed.checkpoint, Some(position(7)));
        store.claim(&listed, None).await.unwrap();
        let listed = first(&store).await;
        assert_eq!((listed.owner, listed.checkpoint), (None, Some(position(7))));
    }

    #[tokio::test]
    async fn a_damaged_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        store.claim(&unknown("0"), None).await.unwrap();
        std::fs::write(&store.file, "{").unwrap();
        let error = store.list().await.err().unwrap();
        assert!(error.contains("$default.json"), "{error}");
    }
}
