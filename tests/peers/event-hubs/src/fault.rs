//! What goes wrong on purpose, where, and how often.

use std::time::Duration;

use crate::condition::Condition;

/// How often a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Until the peer is healed.
    Always,
    /// So many times, then no more.
    N(u64),
    /// Once, after so many times without it.
    OnceAfter(u64),
}

/// What becomes of a connection that is made. To refuse connections, [stop](crate::Peer::stop) the peer.
#[derive(Clone, Debug)]
pub enum ConnectFault {
    /// It is taken, and reset at once.
    Reset,
    /// It is taken, and nothing is ever said.
    Silence,
}

/// What is answered to a token.
#[derive(Clone, Debug)]
pub enum TokenFault {
    /// A status, such as 401 or 503.
    Status(i32),
    /// Nothing.
    NoAnswer,
}

/// What is answered to a question about a hub or a partition.
#[derive(Clone, Debug)]
pub enum ManagementFault {
    /// A status, such as 404 or 503.
    Status(i32),
    /// Nothing.
    NoAnswer,
}

/// What is answered to the attach of a sender or receiver.
#[derive(Clone, Debug)]
pub enum AttachFault {
    /// It is refused, as the service does it: attached without a terminus, then detached.
    Refuse(Condition),
    /// Nothing.
    NoAnswer,
}

/// What becomes of a message, be it a batch or a single event.
#[derive(Clone, Debug)]
pub enum SendFault {
    /// The connection is cut.
    Cut {
        /// Whether the message is stored before.
        stored: bool,
    },
    /// From now on the connection swallows everything, and nothing comes from it.
    Stall {
        /// Whether the message is stored before.
        stored: bool,
    },
    /// The message is never settled; the connection goes on.
    NeverSettle {
        /// Whether the message is stored.
        stored: bool,
    },
    /// It is rejected.
    Reject(Condition),
    /// It is released: not stored, and the sender may try again.
    Released,
    /// It is given back as modified, with a failed delivery.
    Modified,
    /// The link is detached, and the message not settled.
    Detach {
        /// Why.
        condition: Condition,
        /// Whether the message is stored before.
        stored: bool,
    },
    /// The connection is closed with an error, and the message not settled.
    Close {
        /// Why.
        condition: Condition,
        /// Whether the message is stored before.
        stored: bool,
    },
    /// It is stored twice, and accepted once.
    Duplicate,
    /// It is stored, and accepted after so long.
    Slow(Duration),
}

/// What happens instead of the next event to a receiver. What was sent to it just before may be lost on
/// the way where the connection is cut or stalled.
#[derive(Clone, Debug)]
pub enum ReceiveFault {
    /// The connection is cut.
    Cut,
    /// From now on the connection swallows everything, and nothing comes from it.
    Stall,
    /// The link is detached; with [`Condition::LINK_STOLEN`], as if another receiver had taken over.
    Detach(Condition),
    /// The connection is closed with an error.
    Close(Condition),
}

/// The faults that are set, a place for each kind.
#[derive(Default)]
pub(crate) struct Faults {
    pub(crate) connect: Slot<ConnectFault>,
    pub(crate) token: Slot<TokenFault>,
    pub(crate) management: Slot<ManagementFault>,
    pub(crate) attach: Slot<AttachFault>,
    pub(crate) send: Slot<SendFault>,
    pub(crate) receive: Slot<ReceiveFault>,
}

/// A fault with what is left of its times.
pub(crate) struct Slot<F>(Option<(F, Times)>);

impl<F> Default for Slot<F> {
    fn default() -> Self {
        Self(None)
    }
}

impl<F: Clone> Slot<F> {
    /// Sets a fault in place of the one before.
    pub(crate) fn set(&mut self, fault: F, times: Times) {
        self.0 = Some((fault, times));
    }

    /// What goes wrong this time.
    pub(crate) fn strike(&mut self) -> Option<F> {
        let (fault, times) = self.0.as_mut()?;
        match times {
            Times::Always => return Some(fault.clone()),
            Times::N(0) => {}
            Times::N(left) => {
                *left -= 1;
                return Some(fault.clone());
            }
            Times::OnceAfter(0) => {
                let fault = fault.clone();
                self.0 = None;
                return Some(fault);
            }
            Times::OnceAfter(left) => *left -= 1,
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Slot, Times};

    fn strikes(times: Times) -> Vec<bool> {
        let mut slot = Slot::default();
        slot.set((), times);
        (0..4).map(|_| slot.strike().is_some()).collect()
    }

    #[test]
    fn fault_strikes_as_often_as_it_is_told() {
        assert_eq!(strikes(Times::Always), [true; 4]);
        assert_eq!(strikes(Times::N(2)), [true, true, false, false]);
        assert_eq!(strikes(Times::OnceAfter(2)), [false, false, true, false]);
        assert!(Slot::<()>::default().strike().is_none());
    }
}
