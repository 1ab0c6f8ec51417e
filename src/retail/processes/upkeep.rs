//! Upkeep: at night a store counts some of its stock, and finds what is broken, spoilt or gone.

use super::stock::{Cause, Movement, Place, Reason};
use crate::retail::cell::Cell;
use crate::retail::random::Random;
use crate::retail::schedule::Millis;
use crate::retail::world::Department;

/// How many products the mean store finds miscounted, broken or spoilt, and gone, in a night.
const MISCOUNTED: f64 = 4.0;
const DAMAGED: f64 = 3.0;
const LOST: f64 = 2.0;
/// How much of what is thrown away is fresh.
const FRESH: f64 = 0.5;

impl Cell {
    pub(in crate::retail) fn keep_up(&mut self, store: u32, now: Millis) {
        let it = &self.scene.world.stores[self.ground.stores[store as usize]];
        let volume = it.volume;
        let mut random = self.shops[store as usize].upkeep.clone();
        for _ in 0..random.poisson(MISCOUNTED * volume) {
            let pieces = random.between(1, 3);
            let delta = if random.chance(0.4) { pieces } else { -pieces };
            let source = Some("CYCLE_COUNT");
            let movement = Movement { delta, reason: Reason::Adjustment, source };
            self.find(store, None, movement, &mut random, now);
        }
        for _ in 0..random.poisson(DAMAGED * volume) {
            let department = random.chance(FRESH).then_some(Department::Fresh);
            let delta = -random.between(1, 4);
            let movement = Movement { delta, reason: Reason::Damaged, source: None };
            self.find(store, department, movement, &mut random, now);
        }
        for _ in 0..random.poisson(LOST * volume) {
            let delta = -random.between(1, 2);
            let movement = Movement { delta, reason: Reason::Lost, source: None };
            self.find(store, None, movement, &mut random, now);
        }
        self.shops[store as usize].upkeep = random;
    }

    /// Books what was found of some product, of a department or of any.
    fn find(
        &mut self,
        store: u32,
        department: Option<Department>,
        movement: Movement,
        random: &mut Random,
        now: Millis,
    ) {
        let it = &self.scene.world.stores[self.ground.stores[store as usize]];
        let assortment = self.scene.assortment(it.format);
        let departments = &self.shops[store as usize].today.departments;
        let department =
            department.unwrap_or_else(|| assortment.draw_department(departments, random));
        let Some(product) = assortment.draw(department, random) else { return };
        self.book(Place::Store(store), product, movement, Cause::default(), now);
    }
}
