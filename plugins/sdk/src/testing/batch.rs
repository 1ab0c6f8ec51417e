//! Batches of events as they are lent to a plugin, with the rights of its kind.

use std::any::Any;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::enricher::Fate;
use super::event::{INHERITED, START_MS, Tree, complete, path_of};
use super::host::TestHost;
use crate::abi;
use crate::host::{BadArgument, Lent};
use crate::value::Value;

/// What may be done with a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// An enricher reads, changes, drops and fails.
    Rows,
    /// A correlator reads, drops and fails.
    Observed,
    /// A correlator derives events, at this time where they have no cause.
    Derived(i64),
    /// A source makes events, up to so many.
    Made(usize),
    /// A sink reads and keeps.
    Written,
}

/// A batch of events, as it is lent to a plugin.
pub(super) struct Batch {
    access: Access,
    host: Arc<TestHost>,
    rows: Vec<(Tree, Fate<()>)>,
    pub(super) watermark_ms: Option<i64>,
}

impl Batch {
    /// A batch of complete events.
    pub(super) fn new(access: Access, host: &Arc<TestHost>, events: Vec<Json>) -> Self {
        let rows = events.into_iter().map(|event| (Tree::new(event), Fate::Kept(()))).collect();
        Self { access, host: Arc::clone(host), rows, watermark_ms: None }
    }

    /// What became of each event.
    pub(super) fn fates(self) -> Vec<Fate<Json>> {
        let fates = self.rows.into_iter().map(|(tree, fate)| match fate {
            Fate::Kept(()) => Fate::Kept(tree.json),
            Fate::Dropped => Fate::Dropped,
            Fate::Failed(reason) => Fate::Failed(reason),
        });
        fates.collect()
    }

    pub(super) fn events(self) -> Vec<Json> {
        self.rows.into_iter().map(|(tree, _)| tree.json).collect()
    }

    /// Says what becomes of a row; the last word counts, but what failed stays failed for a
    /// correlator.
    fn judge(&mut self, row: usize, verdict: Fate<()>) -> Result<(), BadArgument> {
        let (_, fate) = self.rows.get_mut(row).ok_or(BadArgument)?;
        match self.access {
            Access::Observed if matches!(fate, Fate::Failed(_)) && verdict == Fate::Dropped => {}
            Access::Rows | Access::Observed => *fate = verdict,
            _ => return Err(BadArgument),
        }
        Ok(())
    }
}

impl Lent for Batch {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn get(&self, row: usize, key: abi::Key) -> Value<'_> {
        let place = self.rows.get(row).zip(path_of(key));
        place.map_or(Value::Absent, |((tree, _), path)| path.get(tree))
    }

    fn write_json(&self, row: usize, to: &mut Vec<u8>) -> Result<(), BadArgument> {
        let (tree, _) = self.rows.get(row).ok_or(BadArgument)?;
        serde_json::to_writer(to, &tree.json).map_err(|_| BadArgument)
    }

    fn set(&mut self, row: usize, key: abi::Key, value: Value<'_>) -> Result<(), BadArgument> {
        if matches!(self.access, Access::Observed | Access::Written) {
            return Err(BadArgument);
        }
        let (tree, _) = self.rows.get_mut(row).ok_or(BadArgument)?;
        path_of(key).ok_or(BadArgument)?.set(tree, value)
    }

    fn drop_row(&mut self, row: usize) -> Result<(), BadArgument> {
        self.judge(row, Fate::Dropped)
    }

    fn fail_row(&mut self, row: usize, reason: &str) -> Result<(), BadArgument> {
        self.judge(row, Fate::Failed(reason.to_owned()))
    }

    fn push_row(&mut self, parent: Option<&dyn Any>) -> Option<usize> {
        let parent = parent.and_then(|parent| parent.downcast_ref::<Json>());
        let time_ms = match (self.access, parent) {
            (Access::Derived(now_ms), _) => now_ms,
            (Access::Made(most), None) if self.rows.len() < most => START_MS,
            _ => return None,
        };
        let mut event = complete(Map::new().into(), time_ms, &self.host).ok()?;
        if let Some(parent) = parent {
            for key in INHERITED {
                event[key] = parent[key].clone();
            }
            event["parent_event_id"] = parent["trace_id"].clone();
        }
        self.rows.push((Tree::new(event), Fate::Kept(())));
        Some(self.rows.len() - 1)
    }

    fn push_json(&mut self, json: &str) -> Result<(), BadArgument> {
        let event: Json = serde_json::from_str(json).map_err(|_| BadArgument)?;
        let has_room = matches!(self.access, Access::Made(most) if self.rows.len() < most);
        if !has_room || event.get("event_type").is_none() {
            return Err(BadArgument);
        }
        let event = complete(event, START_MS, &self.host).map_err(|_| BadArgument)?;
        self.rows.push((Tree::new(event), Fate::Kept(())));
        Ok(())
    }

    fn watermark(&mut self, ms: i64) -> Result<(), BadArgument> {
        if !matches!(self.access, Access::Made(_)) {
            return Err(BadArgument);
        }
        self.watermark_ms = self.watermark_ms.max(Some(ms));
        Ok(())
    }

    fn event(&self, row: usize) -> Option<&dyn Any> {
        self.rows.get(row).map(|(tree, _)| &tree.json as &dyn Any)
    }

    fn retain(&self) -> Option<Arc<dyn Lent + Send + Sync>> {
        if self.access != Access::Written {
            return None;
        }
        let events = self.rows.iter().map(|(tree, _)| tree.json.clone()).collect();
        Some(Arc::new(Self::new(self.access, &self.host, events)))
    }
}
