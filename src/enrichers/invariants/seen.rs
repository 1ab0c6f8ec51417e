//! One event as the rules see it: its links as hashes, its fields by type.

use std::hash::Hasher;

use rustc_hash::FxHasher;

use crate::event::{DC_ID, Event, Key, STORE_ID, Text, Timestamp, Value, mix};

/// A text that is only compared, as a hash of 64 bits: of ten million ids, two are taken for one
/// with a probability of three in a million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Id(u64);

impl Id {
    /// No text.
    pub(super) const NONE: Self = Self(0);

    /// Texts that read the same have the same.
    pub(super) fn of(text: &Text) -> Self {
        if let Some((prefix, second, sequence)) = text.as_stamped() {
            let hash = mix(u64::from(prefix.number()) << 32 | u64::from(second));
            return Self(mix(hash ^ sequence).max(1));
        }
        text.with_str(|text| {
            let mut hasher = FxHasher::default();
            hasher.write(text.as_bytes());
            Self(mix(hasher.finish()).max(1))
        })
    }

    fn of_link(text: Option<&Text>) -> Self {
        text.map_or(Self::NONE, Self::of)
    }

    /// Its bits, well mixed.
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// A store or a distribution centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) is_dc: bool,
    pub(super) id: i64,
}

/// An amount of money.
#[derive(Clone, Copy, Debug)]
pub(super) struct Money {
    /// The amount, to the nearest cent.
    pub(super) cents: i64,
    /// Whether it has no more than two decimals.
    pub(super) is_whole: bool,
}

/// An event with its links. A field that is missing, or holds what it must not, reads as none.
pub(super) struct Seen<'a> {
    pub(super) event: &'a Event,
    pub(super) trace: Id,
    pub(super) parent: Id,
    pub(super) session: Id,
    pub(super) correlation: Id,
    /// Milliseconds since 1970.
    pub(super) time: i64,
}

impl<'a> Seen<'a> {
    pub(super) fn new(event: &'a Event) -> Self {
        Self {
            event,
            trace: Id::of(&event.trace_id),
            parent: Id::of_link(event.parent_event_id.as_ref()),
            session: Id::of_link(event.session_id.as_ref()),
            correlation: Id::of_link(event.correlation_id.as_ref()),
            time: event.time.as_millis(),
        }
    }

    pub(super) fn integer(&self, key: Key) -> Option<i64> {
        self.event.payload.get(key)?.as_i64()
    }

    /// A number that may be null.
    #[expect(clippy::option_option, reason = "none is a field that cannot be read")]
    pub(super) fn nullable_integer(&self, key: Key) -> Option<Option<i64>> {
        match self.event.payload.get(key)? {
            Value::Null => Some(None),
            value => value.as_i64().map(Some),
        }
    }

    pub(super) fn text(&self, key: Key) -> Option<&'a Text> {
        self.event.payload.get(key)?.as_text()
    }

    pub(super) fn id(&self, key: Key) -> Option<Id> {
        self.text(key).map(Id::of)
    }

    /// A text that may be null.
    pub(super) fn nullable_id(&self, key: Key) -> Option<Id> {
        match self.event.payload.get(key)? {
            Value::Null => Some(Id::NONE),
            value => value.as_text().map(Id::of),
        }
    }

    /// The place of a text in the contract's list of what it may be.
    pub(super) fn code(&self, key: Key, list: &[&str]) -> Option<usize> {
        self.text(key)?.with_str(|text| list.iter().position(|known| *known == text))
    }

    /// An instant in milliseconds; events that were read have it as text.
    pub(super) fn time(&self, key: Key) -> Option<i64> {
        match self.event.payload.get(key)? {
            Value::Time(time) => Some(time.as_millis()),
            Value::Text(text) => {
                text.with_str(str::parse::<Timestamp>).ok().map(Timestamp::as_millis)
            }
            _ => None,
        }
    }

    pub(super) fn money(&self, key: Key) -> Option<Money> {
        let amount = self.event.payload.get(key)?.as_f64()?;
        let cents = (amount * 100.0).round();
        // A number of two decimals is the one nearest to its cents divided by 100.
        #[expect(clippy::float_cmp, reason = "any other number has more decimals")]
        let is_whole = cents / 100.0 == amount;
        amount.is_finite().then_some(Money { cents: cents as i64, is_whole })
    }

    /// The one place that the payload names.
    pub(super) fn place(&self) -> Option<Place> {
        let [store, dc] = [STORE_ID, DC_ID].map(|key| self.nullable_integer(key));
        match (store?, dc?) {
            (Some(id), None) => Some(Place { is_dc: false, id }),
            (None, Some(id)) => Some(Place { is_dc: true, id }),
            _ => None,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", if self.is_dc { "DC" } else { "store" }, self.id)
    }
}
