//! The last few of something, for later events to refer to.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::retail::random::Random;

/// How many are remembered.
const CAPACITY: usize = 64;

/// At most `CAPACITY` of something; a new one takes the place of the oldest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "VecDeque<T>")]
pub(super) struct Recent<T>(VecDeque<T>);

impl<T> TryFrom<VecDeque<T>> for Recent<T> {
    type Error = String;
    fn try_from(items: VecDeque<T>) -> Result<Self, String> {
        if items.len() > CAPACITY {
            return Err(format!("{} are remembered, and at most {CAPACITY} may be", items.len()));
        }
        Ok(Self(items))
    }
}

impl<T> Recent<T> {
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Remembers one, and says where it stands.
    pub(super) fn push(&mut self, item: T) -> usize {
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(item);
        self.0.len() - 1
    }

    /// The place of one that is wanted, looked for from a random place on.
    pub(super) fn find(&self, random: &mut Random, wanted: impl Fn(&T) -> bool) -> Option<usize> {
        let len = self.0.len();
        if len == 0 {
            return None;
        }
        let start = random.below(len as u32) as usize;
        (start..len).chain(0..start).find(|place| wanted(&self.0[*place]))
    }

    /// Takes one out that is wanted.
    pub(super) fn take(&mut self, random: &mut Random, wanted: impl Fn(&T) -> bool) -> Option<T> {
        let place = self.find(random, wanted)?;
        self.0.remove(place)
    }

    /// Takes the oldest out.
    pub(super) fn take_oldest(&mut self) -> Option<T> {
        self.0.pop_front()
    }

    pub(super) fn remove(&mut self, place: usize) {
        self.0.remove(place);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T> std::ops::Index<usize> for Recent<T> {
    type Output = T;
    fn index(&self, place: usize) -> &T {
        &self.0[place]
    }
}

impl<T> std::ops::IndexMut<usize> for Recent<T> {
    fn index_mut(&mut self, place: usize) -> &mut T {
        &mut self.0[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_one_takes_the_place_of_the_oldest() {
        let mut recent = Recent::new();
        (0..1000).for_each(|number| {
            recent.push(number);
        });
        assert_eq!((recent.len(), recent.take_oldest()), (CAPACITY, Some(1000 - CAPACITY)));
    }

    #[test]
    fn one_that_is_wanted_is_found_wherever_it_stands() {
        let mut random = Random::new(1, 0);
        let mut recent = Recent::new();
        assert_eq!(recent.find(&mut random, |_: &usize| true), None);
        (0..10).for_each(|number| {
            recent.push(number);
        });
        for wanted in 0..10 {
            assert_eq!(recent.find(&mut random, |item| *item == wanted), Some(wanted));
        }
        assert_eq!(recent.find(&mut random, |item| *item == 10), None);
    }
}
