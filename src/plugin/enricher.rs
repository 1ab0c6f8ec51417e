//! A plugin's enricher as a stage: a call that fails leaves no trace in the events.

use engine_plugin::host::Descriptor;

use super::loan::{Room, RowsLoan};
use super::made::Working;
use crate::monitor::StageMetrics;
use crate::stage::{Enricher, Rows, StageError};

pub(super) struct PluginEnricher {
    working: Working,
    room: Room,
    is_blocking: bool,
}

impl PluginEnricher {
    pub(super) fn new(working: Working, descriptor: &Descriptor) -> Self {
        Self { working, room: Room::default(), is_blocking: descriptor.is_blocking }
    }
}

impl Enricher for PluginEnricher {
    fn open(&mut self) -> Result<(), StageError> {
        self.working.start()
    }

    fn enrich(&mut self, rows: &mut Rows<'_>) {
        if rows.is_empty() {
            return;
        }
        let mut loan = RowsLoan::new(rows, &mut self.room);
        let processed = self.working.instance().and_then(|instance| instance.process(&mut loan));
        match processed {
            Ok(()) => loan.keep(|reason| self.working.maker.row_failure(reason)),
            Err(failed) => {
                loan.take_back(&self.working.maker.failure(&failed));
                self.working.lose_if_final(&failed);
            }
        }
    }

    fn close(&mut self) -> Result<(), StageError> {
        self.working.flush_and_end()
    }

    fn blocks(&self) -> bool {
        self.is_blocking
    }

    fn metrics(&self) -> Option<StageMetrics> {
        Some(self.working.maker.metrics.clone())
    }
}
