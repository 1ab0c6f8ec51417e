//! Where reading goes on: a few numbers for each batch, whatever the source holds at the time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Timestamp;

/// A line: the place of its file in the list of files, and its number in the file.
pub(super) type LineNumber = (usize, u64);

/// A place between two lines, and what was counted up to there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Place {
    /// Empty before the first file was opened.
    pub(super) file: Arc<str>,
    /// The place of the file in the list of files.
    pub(super) index: usize,
    /// How many lines of the file stand before it.
    pub(super) line: u64,
    /// How many bytes of the unpacked file do.
    pub(super) offset: u64,
    /// How many events were read.
    pub(super) events: u64,
    /// How many of them got a trace id.
    pub(super) trace_ids: u64,
    /// The latest event time.
    pub(super) latest: Timestamp,
    /// How many events were late.
    pub(super) late: u64,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            file: Arc::default(),
            index: 0,
            line: 0,
            offset: 0,
            events: 0,
            trace_ids: 0,
            latest: Timestamp::MIN,
            late: 0,
        }
    }
}

/// What is needed to go on behind an event. What leaves the reorder buffer, and in which order,
/// depends on the lines from the earliest one on whose event was still in it: reading those again
/// with an empty buffer gives the same events, and the first of them were handed on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResumePoint {
    pub(super) place: Place,
    /// How many events from that place on were handed on.
    pub(super) skip: u64,
    /// By how many milliseconds event times are moved.
    pub(super) shift: Option<i64>,
    /// Where all that was held was taken for complete, if that is behind the place.
    pub(super) flush: Option<LineNumber>,
    /// The last line of which it was reported if it was malformed.
    pub(super) reported: LineNumber,
}
