//! Who reads a partition: epochs, and how many there may be.

use std::sync::{Mutex, PoisonError};

use fe2o3_amqp_types::definitions::Error;
use tokio::sync::mpsc::UnboundedSender;

use crate::condition::Condition;

/// How many receivers without an epoch a consumer group may have on a partition.
const WITHOUT_EPOCH_MAX: usize = 5;

/// The receivers of a partition.
#[derive(Default)]
pub(crate) struct Readers(Mutex<Vec<Reader>>);

/// A receiver.
pub(crate) struct Reader {
    /// The number of its link.
    pub(crate) link: u64,
    pub(crate) group: String,
    /// Its epoch, or owner level.
    pub(crate) epoch: Option<i64>,
    /// Ends its link.
    pub(crate) end: UnboundedSender<Error>,
}

impl Readers {
    /// Lets a receiver in, and ends the links of those that have to make room for it; or says why it
    /// has to stay outside.
    pub(crate) fn enter(&self, reader: Reader) -> Result<(), Error> {
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let group = |other: &&Reader| other.group.eq_ignore_ascii_case(&reader.group);
        let highest = readers.iter().filter(group).filter_map(|other| other.epoch).max();
        match (highest, reader.epoch) {
            (Some(highest), None) => {
                return Err(Condition::LINK_STOLEN.error(format!(
                    "At least one receiver for the endpoint is created with epoch of '{highest}', \
                     and so non-epoch receiver is not allowed."
                )));
            }
            (Some(highest), Some(epoch)) if highest > epoch => {
                return Err(Condition::LINK_STOLEN.error(format!(
                    "Receiver with epoch '{epoch}' is refused, as a receiver with a higher epoch \
                     '{highest}' exists."
                )));
            }
            (None, None) if readers.iter().filter(group).count() >= WITHOUT_EPOCH_MAX => {
                return Err(Condition::QUOTA_EXCEEDED.error(
                    "Exceeded the maximum number of allowed receivers per partition in a consumer \
                     group, which is 5.",
                ));
            }
            _ => {}
        }
        if let Some(epoch) = reader.epoch {
            for other in
                readers.extract_if(.., |other| other.group.eq_ignore_ascii_case(&reader.group))
            {
                // It may have gone already.
                let _ = other.end.send(Condition::LINK_STOLEN.error(format!(
                    "New receiver with epoch of '{epoch}' is created, hence current receiver is \
                     getting disconnected."
                )));
            }
        }
        readers.push(reader);
        Ok(())
    }

    /// Forgets a receiver.
    pub(crate) fn leave(&self, link: u64) {
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|reader| reader.link != link);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::{Error, Reader, Readers, WITHOUT_EPOCH_MAX};

    fn enter(
        readers: &Readers,
        link: u64,
        epoch: Option<i64>,
    ) -> Result<UnboundedReceiver<Error>, Error> {
        let (end, ended) = unbounded_channel();
        readers.enter(Reader { link, group: "$Default".into(), epoch, end }).map(|()| ended)
    }

    #[test]
    fn higher_or_equal_epoch_ends_those_before() {
        let readers = Readers::default();
        let mut first = enter(&readers, 1, Some(1)).unwrap();
        let mut second = enter(&readers, 2, Some(1)).unwrap();
        assert!(first.try_recv().is_ok());
        assert!(second.try_recv().is_err());
        enter(&readers, 3, Some(2)).unwrap();
        assert!(second.try_recv().is_ok());
    }

    #[test]
    fn lower_epoch_and_none_are_refused_until_the_higher_has_left() {
        let readers = Readers::default();
        let _highest = enter(&readers, 1, Some(7)).unwrap();
        assert!(enter(&readers, 2, Some(6)).is_err());
        assert!(enter(&readers, 3, None).is_err());
        readers.leave(1);
        assert!(enter(&readers, 3, None).is_ok());
    }

    #[test]
    fn sixth_receiver_without_an_epoch_is_refused() {
        let readers = Readers::default();
        for link in 0..WITHOUT_EPOCH_MAX as u64 {
            enter(&readers, link, None).unwrap();
        }
        assert!(enter(&readers, 9, None).is_err());
    }
}
