//! Asks for checkpoints, gathers what stages note, and writes the snapshot when it holds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::snapshot::{Snapshot, SnapshotFile, StageSnapshot};
use crate::dead_letter::DeadLetters;
use crate::event::{Ledger, Timestamp};
use crate::file_lock::FileLock;
use crate::state::State;

/// The checkpoints of a run; copies act on the same ones.
#[derive(Clone, Debug)]
pub struct Checkpoints(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    file: SnapshotFile,
    interval: Duration,
    /// The snapshot that this run goes on from.
    before: Snapshot,
    /// The checkpoint that sources have to send a barrier of.
    wanted: watch::Sender<u64>,
    stages: Mutex<BTreeMap<String, Entry>>,
    /// Held for as long as this run may write the snapshot.
    _lock: FileLock,
    /// Dead letters that have to be on the disk before a snapshot that lies behind them is.
    letters: Mutex<Vec<DeadLetters>>,
    /// Wakes the coordinator when a stage noted something.
    noted: Notify,
    /// The checkpoint whose snapshot is in the file. A write that nobody waits for any more still
    /// ends, and must not take the place of a later one.
    written: Arc<Mutex<u64>>,
    /// Whether nothing will go on from here, so that a stop is an end.
    is_last: AtomicBool,
}

/// What a stage has noted.
#[derive(Debug)]
struct Entry {
    spec: String,
    /// At the barrier of a checkpoint.
    at_barrier: Option<(u64, Note)>,
    /// At the end of its stream: for this checkpoint and all that follow.
    at_end: Option<Note>,
}

#[derive(Clone, Debug)]
struct Note {
    state: State,
    /// The tokens before this mark have to be resolved before the state may be gone on from.
    ledger: Ledger,
    mark: u64,
}

/// A stage's part in the checkpoints.
#[derive(Debug)]
pub struct StageCheckpoint {
    name: String,
    shared: Option<Arc<Shared>>,
    wanted: Option<watch::Receiver<u64>>,
    ledger: Ledger,
}

impl Checkpoints {
    /// None are taken, and nothing is gone on from.
    pub fn off() -> Self {
        Self(None)
    }

    /// Snapshots go to a file, an interval of wall time after each other; the run goes on from
    /// `before`, which is written at once: if it crashes, the next run is the same one again.
    /// The lock is one of the file's, taken before `before` was read from it.
    pub fn new(
        file: SnapshotFile,
        lock: FileLock,
        interval: Duration,
        mut before: Snapshot,
    ) -> Result<Self, String> {
        before.starts += 1;
        file.write(&before)?;
        let wanted = watch::Sender::new(before.checkpoint);
        let written = Arc::new(Mutex::new(before.checkpoint));
        let (stages, noted) = (Mutex::default(), Notify::new());
        Ok(Self(Some(Arc::new(Shared {
            file,
            interval,
            before,
            wanted,
            stages,
            _lock: lock,
            letters: Mutex::default(),
            noted,
            written,
            is_last: AtomicBool::new(false),
        }))))
    }

    /// Whether there are any, for a run to go on from.
    pub fn are_on(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| !shared.is_last.load(Relaxed))
    }

    /// No run goes on from this one after all: it ends as if nothing had been kept. Has to be said
    /// before the run is stopped.
    pub fn end_for_good(&self) {
        if let Some(shared) = &self.0 {
            shared.is_last.store(true, Relaxed);
        }
    }

    /// Has these dead letters brought to the disk before each snapshot.
    pub fn sync_before(&self, letters: DeadLetters) {
        if let Some(shared) = &self.0 {
            shared.letters.lock().unwrap_or_else(PoisonError::into_inner).push(letters);
        }
    }

    /// The part of a stage, or of something in front of it that has a name of its own. `spec` tells
    /// what is written about it from another version.
    pub fn stage(&self, name: &str, spec: &str) -> StageCheckpoint {
        let name = name.to_owned();
        let Some(shared) = self.0.clone() else {
            return StageCheckpoint { name, shared: None, wanted: None, ledger: Ledger::new() };
        };
        let entry = Entry { spec: spec.to_owned(), at_barrier: None, at_end: None };
        let other = shared.stages().insert(name.clone(), entry);
        debug_assert!(other.is_none(), "`{name}` has two parts in the checkpoints");
        let wanted = Some(shared.wanted.subscribe());
        StageCheckpoint { name, shared: Some(shared), wanted, ledger: Ledger::new() }
    }

    /// What does not fit: stages that remember something and are others now, or gone, or new.
    pub fn misfits(&self) -> Vec<String> {
        let Some(shared) = self.0.as_ref().filter(|shared| shared.before.checkpoint > 0) else {
            return Vec::new();
        };
        let (stages, before) = (shared.stages(), &shared.before.stages);
        let mut misfits = Vec::new();
        for (name, stage) in before.iter().filter(|(_, stage)| !stage.begins_anew()) {
            match stages.get(name) {
                None => misfits.push(format!("`{name}` is not there any more")),
                Some(entry) if entry.spec != stage.spec => {
                    misfits.push(format!("`{name}` was changed"));
                }
                Some(_) => {}
            }
        }
        // What is no stage of the spec, such as a bound on events, comes and goes with the run.
        let is_stage = |name: &&String| !name.starts_with('/');
        let new = stages.keys().filter(is_stage).filter(|name| !before.contains_key(*name));
        misfits.extend(new.map(|name| format!("`{name}` is new")));
        misfits
    }

    /// How often the pipeline was gone on with since its beginning.
    pub fn restarts(&self) -> u64 {
        self.0.as_ref().map_or(0, |shared| shared.before.starts - 1)
    }

    /// Whether the run that this one goes on from had ended by itself.
    pub fn is_new_leg(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.before.ended)
    }

    /// Whether something of this name is gone on from.
    pub fn restores(&self, name: &str) -> bool {
        let before = self.0.as_ref().and_then(|shared| shared.before.stages.get(name));
        before.is_some_and(|stage| !stage.begins_anew())
    }

    /// Whether a stage begins anew, where others go on from a snapshot.
    pub fn begins_anew(&self, name: &str) -> bool {
        let before = self.0.as_ref().and_then(|shared| shared.before.stages.get(name));
        before.is_some_and(StageSnapshot::begins_anew)
    }

    /// Takes checkpoints for as long as it is polled. `time` tells how far event time is. A
    /// snapshot that cannot be written is warned of; the one before it stays.
    pub async fn keep(&self, time: impl Fn() -> Timestamp) {
        let Some(shared) = &self.0 else { return std::future::pending().await };
        for checkpoint in shared.before.checkpoint + 1.. {
            tokio::time::sleep(shared.interval).await;
            match shared.take(checkpoint, time()).await {
                Ok(()) => tracing::debug!(checkpoint, "the stages' state was saved"),
                Err(error) => tracing::warn!("{error}; the snapshot before it stays"),
            }
        }
    }

    /// Writes the last snapshot, after all streams have ended. Where the fate of an event is not
    /// known, the snapshot before it stays: the next run sends again what may be missing.
    pub async fn finish(&self, time: Timestamp, ended: bool) -> Result<(), String> {
        let Some(shared) = self.0.as_ref().filter(|_| self.are_on()) else { return Ok(()) };
        let checkpoint = *shared.wanted.borrow() + 1;
        let Some(notes) = shared.notes(checkpoint) else { return Ok(()) };
        if !notes.values().all(|(_, note)| note.ledger.is_settled(note.mark)) {
            return Ok(());
        }
        shared.write(checkpoint, time, ended, notes).await
    }
}

type Notes = BTreeMap<String, (String, Note)>;

impl Shared {
    fn stages(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a checkpoint: sends the barrier, waits for the stages and for the fate of the events
    /// before it, and writes the snapshot.
    async fn take(&self, checkpoint: u64, time: Timestamp) -> Result<(), String> {
        self.wanted.send_replace(checkpoint);
        let notes = self.gather(checkpoint).await;
        for (_, note) in notes.values() {
            note.ledger.settled(note.mark).await;
        }
        self.write(checkpoint, time, false, notes).await
    }

    /// Waits until every stage has noted its state at a checkpoint, or ended.
    async fn gather(&self, checkpoint: u64) -> Notes {
        loop {
            let noted = self.noted.notified();
            tokio::pin!(noted);
            noted.as_mut().enable();
            if let Some(notes) = self.notes(checkpoint) {
                return notes;
            }
            noted.await;
        }
    }

    /// What all stages have noted for a checkpoint, once all have.
    fn notes(&self, checkpoint: u64) -> Option<Notes> {
        let note = |(name, entry): (&String, &Entry)| {
            let at_barrier = entry.at_barrier.as_ref();
            let at_barrier = at_barrier.filter(|(at, _)| *at == checkpoint).map(|(_, note)| note);
            let note = at_barrier.or(entry.at_end.as_ref())?.clone();
            Some((name.clone(), (entry.spec.clone(), note)))
        };
        self.stages().iter().map(note).collect()
    }

    async fn write(
        &self,
        checkpoint: u64,
        time: Timestamp,
        ended: bool,
        notes: Notes,
    ) -> Result<(), String> {
        let stage = |(name, (spec, note)): (String, (String, Note))| {
            (name, StageSnapshot { spec, state: note.state })
        };
        let mut snapshot = Snapshot::new(self.before.start, self.before.identity.clone());
        (snapshot.checkpoint, snapshot.time, snapshot.ended) = (checkpoint, time, ended);
        snapshot.starts = self.before.starts;
        snapshot.leg = self.before.next_leg();
        snapshot.stages = notes.into_iter().map(stage).collect();
        let (file, written) = (self.file.clone(), Arc::clone(&self.written));
        let letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let replace = move || {
            let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
            if *written < checkpoint {
                for letters in &letters {
                    letters.sync().map_err(|error| format!("cannot sync dead letters: {error}"))?;
                }
                file.write(&snapshot)?;
                *written = checkpoint;
            }
            Ok(())
        };
        tokio::task::spawn_blocking(replace)
            .await
            .unwrap_or_else(|error| Err(format!("cannot write the snapshot: {error}")))
    }
}

impl StageCheckpoint {
    /// Whether states are kept at all, for a run to go on from.
    pub fn is_on(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| !shared.is_last.load(Relaxed))
    }

    /// What the stage remembered when the run before this one ended.
    pub fn restored(&self) -> Option<&State> {
        let shared = self.shared.as_ref()?;
        let stage = shared.before.stages.get(&self.name)?;
        // The state of another version of the stage is a misfit, and not looked at.
        let is_same = shared.stages().get(&self.name).is_some_and(|now| now.spec == stage.spec);
        is_same.then_some(&stage.state)
    }

    /// Waits for the next checkpoint; sources send its barrier then. Cancel safe.
    pub async fn due(&mut self) -> u64 {
        if let Some(wanted) = &mut self.wanted
            && wanted.changed().await.is_ok()
        {
            return *wanted.borrow_and_update();
        }
        std::future::pending().await
    }

    /// Issues the tokens of events that the stage itself brings in: the state may be gone on from
    /// only when the fate of those that it gave before is known.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Notes the state at the barrier of a checkpoint.
    pub fn note(&self, checkpoint: u64, state: impl FnOnce() -> State) {
        let Some(shared) = &self.shared else { return };
        let note = Note::new(state(), &self.ledger);
        if let Some(entry) = shared.stages().get_mut(&self.name) {
            entry.at_barrier = Some((checkpoint, note));
        }
        shared.noted.notify_waiters();
    }

    /// Notes the state at the end of the stream.
    pub fn note_end(&self, state: impl FnOnce() -> State) {
        let Some(shared) = &self.shared else { return };
        let note = Note::new(state(), &self.ledger);
        if let Some(entry) = shared.stages().get_mut(&self.name) {
            entry.at_end = Some(note);
        }
        shared.noted.notify_waiters();
    }
}

impl Note {
    fn new(state: State, ledger: &Ledger) -> Self {
        Self { state, ledger: ledger.clone(), mark: ledger.mark() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn checkpoints(folder: &tempfile::TempDir) -> (Checkpoints, SnapshotFile) {
        let file = SnapshotFile::new(folder.path().join("state"));
        let before = Snapshot::new(Timestamp::from_millis(0), "42".to_owned());
        (Checkpoints::new(file.clone(), file.lock().unwrap(), INTERVAL, before).unwrap(), file)
    }

    fn state_of(file: &SnapshotFile, stage: &str) -> Option<u8> {
        let snapshot = file.read().unwrap().unwrap();
        snapshot.stages.get(stage).map(|stage| stage.state.read().unwrap())
    }

    fn take(checkpoints: &Checkpoints) -> impl Future<Output = Result<(), String>> + Unpin {
        let shared = checkpoints.0.clone().unwrap();
        Box::pin(async move { shared.take(1, Timestamp::from_millis(5)).await })
    }

    #[tokio::test]
    async fn a_snapshot_waits_for_every_stage_and_for_every_event_before_the_barrier() {
        let folder = tempfile::tempdir().unwrap();
        let (checkpoints, file) = checkpoints(&folder);
        let (mut source, rule) = (checkpoints.stage("source", "a"), checkpoints.stage("rule", "b"));
        let token = source.ledger().issue(serde_json::Value::Null);
        let mut attempt = take(&checkpoints);
        assert!(futures::poll!(&mut attempt).is_pending());
        assert_eq!(source.due().await, 1);
        source.note(1, || State::of(&1));
        assert!(futures::poll!(&mut attempt).is_pending(), "the rule has not seen the barrier");
        rule.note(1, || State::of(&2));
        assert!(futures::poll!(&mut attempt).is_pending(), "an event is on its way");
        assert_eq!(state_of(&file, "source"), None);
        drop(token);
        attempt.await.unwrap();
        assert_eq!((state_of(&file, "source"), state_of(&file, "rule")), (Some(1), Some(2)));
    }

    #[tokio::test]
    async fn a_stage_that_ends_after_its_barrier_does_not_spoil_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let (checkpoints, file) = checkpoints(&folder);
        let (mut source, rule) = (checkpoints.stage("source", "a"), checkpoints.stage("rule", "b"));
        let mut attempt = take(&checkpoints);
        assert!(futures::poll!(&mut attempt).is_pending());
        let checkpoint = source.due().await;
        source.note(checkpoint, || State::of(&1));
        source.note_end(|| State::of(&9));
        rule.note(checkpoint, || State::of(&1));
        attempt.await.unwrap();
        assert_eq!(state_of(&file, "source"), Some(1));
        rule.note_end(|| State::of(&9));
        checkpoints.finish(Timestamp::from_millis(9), true).await.unwrap();
        assert_eq!((state_of(&file, "source"), state_of(&file, "rule")), (Some(9), Some(9)));
    }

    #[tokio::test]
    async fn the_last_snapshot_is_not_written_while_an_events_fate_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let (checkpoints, file) = checkpoints(&folder);
        let source = checkpoints.stage("source", "a");
        let _lost = source.ledger().issue(serde_json::Value::Null);
        source.note_end(|| State::of(&1));
        checkpoints.finish(Timestamp::from_millis(9), true).await.unwrap();
        assert_eq!(state_of(&file, "source"), None);
    }
}
