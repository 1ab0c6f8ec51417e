//! What a source still has to do after its last batch, such as answering senders: the run waits.

use std::sync::{Arc, Weak};

use tokio::sync::watch;

/// Keeps a run from ending while it lives; copies are one hold.
#[derive(Clone, Debug)]
pub struct Hold(Arc<watch::Receiver<()>>);

/// Gives out holds as long as the source is open.
#[derive(Clone, Debug, Default)]
pub struct Holds(Weak<watch::Receiver<()>>);

impl Hold {
    /// A hold, and what waits until it and all its copies are gone.
    pub fn new() -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = watch::channel(());
        (Self(Arc::new(receiver)), async move { sender.closed().await })
    }

    /// For others to take copies of it while it lives.
    pub fn holds(&self) -> Holds {
        Holds(Arc::downgrade(&self.0))
    }
}

impl Holds {
    /// A copy of the hold; none where nobody waits.
    pub fn take(&self) -> Option<Hold> {
        self.0.upgrade().map(Hold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_wait_is_over_with_the_last_copy_and_none_can_be_taken_then() {
        let (hold, over) = Hold::new();
        tokio::pin!(over);
        let holds = hold.holds();
        let copy = holds.take().unwrap();
        drop(hold);
        assert!(futures::poll!(&mut over).is_pending());
        drop(copy);
        over.await;
        assert!(holds.take().is_none());
    }
}
