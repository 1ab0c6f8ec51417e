//! Refused links, frame by frame. The service writes the attach without a terminus and the detach with
//! the reason in one go; the library would answer the client's own detach in between, without a reason.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use fe2o3_amqp_types::definitions::{Error, Handle};
use fe2o3_amqp_types::performatives::{Attach, Detach, Flow};
use serde_amqp::{from_slice, to_vec};

const ATTACH: [u8; 3] = [0x00, 0x53, 0x12];
const FLOW: [u8; 3] = [0x00, 0x53, 0x13];
const DETACH: [u8; 3] = [0x00, 0x53, 0x16];

/// Why links are refused, by their names, until their attach is answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reasons(Arc<Mutex<HashMap<String, Error>>>);

impl Reasons {
    pub(crate) fn add(&self, link: String, reason: Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(link, reason);
    }

    fn take(&self, link: &str) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(link)
    }
}

/// The links of a connection that have been refused.
#[derive(Debug)]
pub(crate) struct Refusals {
    reasons: Reasons,
    /// Channel and handle of those of which the library does not know yet that they are detached.
    detached: HashSet<(u16, u32)>,
}

/// What becomes of an outgoing frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It goes out.
    Free,
    /// It goes out, and this performative after it on the same channel.
    Followed(Vec<u8>),
    /// It does not go out.
    Held,
}

impl Refusals {
    pub(crate) fn new(reasons: Reasons) -> Self {
        Self { reasons, detached: HashSet::new() }
    }

    /// Looks at the body of a frame.
    pub(crate) fn pass(&mut self, channel: u16, body: &[u8]) -> Passage {
        if body.starts_with(&ATTACH) {
            return self.pass_attach(channel, body).unwrap_or(Passage::Free);
        }
        if self.detached.is_empty() {
            return Passage::Free;
        }
        if body.starts_with(&DETACH)
            && let Ok(detach) = from_slice::<Detach>(body)
            && self.detached.remove(&(channel, detach.handle.0))
        {
            return Passage::Held;
        }
        if body.starts_with(&FLOW)
            && let Ok(flow) = from_slice::<Flow>(body)
            && flow.handle.is_some_and(|handle| self.detached.contains(&(channel, handle.0)))
        {
            return Passage::Held;
        }
        Passage::Free
    }

    fn pass_attach(&mut self, channel: u16, body: &[u8]) -> Option<Passage> {
        let attach = from_slice::<Attach>(body).ok()?;
        let reason = self.reasons.take(&attach.name)?;
        let handle = attach.handle.0;
        let detach = Detach { handle: Handle(handle), closed: true, error: Some(reason) };
        let detach = to_vec(&detach).ok()?;
        self.detached.insert((channel, handle));
        Some(Passage::Followed(detach))
    }
}

#[cfg(test)]
mod tests {
    use fe2o3_amqp_types::definitions::{ReceiverSettleMode, Role, SenderSettleMode};
    use fe2o3_amqp_types::performatives::{Attach, Detach};
    use serde_amqp::{from_slice, to_vec};

    use super::{Handle, Passage, Reasons, Refusals};
    use crate::condition::Condition;

    fn attach(name: &str) -> Vec<u8> {
        let attach = Attach {
            name: name.into(),
            handle: Handle(3),
            role: Role::Receiver,
            snd_settle_mode: SenderSettleMode::Mixed,
            rcv_settle_mode: ReceiverSettleMode::First,
            source: None,
            target: None,
            unsettled: None,
            incomplete_unsettled: false,
            initial_delivery_count: None,
            max_message_size: None,
            offered_capabilities: None,
            desired_capabilities: None,
            properties: None,
        };
        to_vec(&attach).unwrap()
    }

    #[test]
    fn attach_of_a_refused_link_is_followed_by_the_only_detach() {
        let reasons = Reasons::default();
        reasons.add("refused".into(), Condition::NOT_FOUND.error("no"));
        let mut refusals = Refusals::new(reasons);
        assert_eq!(refusals.pass(1, &attach("welcome")), Passage::Free);
        let Passage::Followed(detach) = refusals.pass(1, &attach("refused")) else {
            panic!("nothing follows")
        };
        let detach: Detach = from_slice(&detach).unwrap();
        assert_eq!((detach.handle.0, detach.closed), (3, true));
        assert!(detach.error.is_some_and(|error| format!("{error:?}").contains("NotFound")));
        let own = to_vec(&Detach { handle: Handle(3), closed: true, error: None }).unwrap();
        assert_eq!(refusals.pass(2, &own), Passage::Free);
        assert_eq!(refusals.pass(1, &own), Passage::Held);
        assert_eq!(refusals.pass(1, &own), Passage::Free);
    }
}
