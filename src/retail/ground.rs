//! What of the world belongs to a cell, and who of its customers is in a store just now.

use std::collections::HashSet;

use rustc_hash::FxBuildHasher;

use super::random::Random;
use super::world::World;

/// How many of those who come into a store are at home there, of 100; the others live elsewhere in
/// the cell.
const AT_HOME: u32 = 88;
/// How many customers are looked at to find one who is in no store.
const TRIES: usize = 6;

/// A cell's part of the world, by places in the world's lists.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) dc: usize,
    pub(super) stores: Vec<usize>,
    /// The numbers of its trucks.
    pub(super) trucks: Vec<u32>,
    /// Its customers, those of one store beside each other.
    pub(super) customers: Vec<u32>,
    /// Where in `customers` those of each store begin; one more than there are stores.
    begins: Vec<usize>,
    inside: HashSet<u32, FxBuildHasher>,
}

impl Ground {
    /// The parts of all cells, one for each distribution centre.
    pub(super) fn of(world: &World) -> Vec<Self> {
        let mut grounds: Vec<Self> = (0..world.dcs.len())
            .map(|dc| Self {
                dc,
                stores: Vec::new(),
                trucks: Vec::new(),
                customers: Vec::new(),
                begins: Vec::new(),
                inside: HashSet::default(),
            })
            .collect();
        for (place, store) in world.stores.iter().enumerate() {
            grounds[store.dc].stores.push(place);
        }
        for truck in &world.trucks {
            grounds[truck.dc].trucks.push(truck.number);
        }
        let mut homes: Vec<Vec<u32>> = vec![Vec::new(); world.stores.len()];
        for (place, customer) in (0..).zip(&world.customers) {
            homes[customer.home as usize].push(place);
        }
        for ground in &mut grounds {
            for store in &ground.stores {
                ground.begins.push(ground.customers.len());
                ground.customers.append(&mut homes[*store]);
            }
            ground.begins.push(ground.customers.len());
        }
        grounds
    }

    /// A customer who comes into a store and is in none; none where all seem to be in one.
    pub(super) fn draw_visitor(&self, store: u32, random: &mut Random) -> Option<u32> {
        let (first, end) = (self.begins[store as usize], self.begins[store as usize + 1]);
        (0..TRIES).find_map(|_| {
            let (first, end) = if end > first && random.below(100) < AT_HOME {
                (first, end)
            } else {
                (0, self.customers.len())
            };
            let customer = self.draw_among(first, end, random)?;
            (!self.inside.contains(&customer)).then_some(customer)
        })
    }

    /// Any customer of the cell; none where it has none.
    pub(super) fn draw_customer(&self, random: &mut Random) -> Option<u32> {
        self.draw_among(0, self.customers.len(), random)
    }

    fn draw_among(&self, first: usize, end: usize, random: &mut Random) -> Option<u32> {
        (end > first).then(|| self.customers[first + random.below((end - first) as u32) as usize])
    }

    /// The store of the cell that a customer is at home in.
    pub(super) fn home_of(&self, world: &World, customer: u32) -> Option<u32> {
        let home = world.customers[customer as usize].home as usize;
        self.stores.binary_search(&home).ok().map(|store| store as u32)
    }

    pub(super) fn is_inside(&self, customer: u32) -> bool {
        self.inside.contains(&customer)
    }

    pub(super) fn comes_in(&mut self, customer: u32) {
        self.inside.insert(customer);
    }

    pub(super) fn leaves(&mut self, customer: u32) {
        self.inside.remove(&customer);
    }

    /// Remembers who is inside from the visits that are under way.
    pub(super) fn recall_inside(&mut self, customers: impl Iterator<Item = u32>) {
        self.inside = customers.collect();
    }
}
