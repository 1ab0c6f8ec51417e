//! A source that ends at once, in the place of one from which nothing is to come: in a test, in a
//! rehearsal. It has no row in the registry.

use async_trait::async_trait;

use crate::event::Batch;
use crate::stage::{Feed, Source, SourceContext, StageError, State};

/// Ends at once.
pub(crate) struct Silent;

#[async_trait]
impl Source for Silent {
    async fn open(
        self: Box<Self>,
        _: SourceContext,
        _: Option<&State>,
    ) -> Result<Box<dyn Feed>, StageError> {
        Ok(self)
    }
}

#[async_trait]
impl Feed for Silent {
    async fn next(&mut self) -> Result<Option<Batch>, StageError> {
        Ok(None)
    }

    fn state(&self) -> State {
        State::none()
    }
}
