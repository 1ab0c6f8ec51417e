//! What a chain remembers: enough to go on as if it was never cut, and nothing that can harm.

use super::*;

/// A chain that was cut after a while, with what it remembers.
fn cut(seed: u64, after: Duration) -> (Vec<Event>, Vec<u8>) {
    let mut first = chain(SMALL, options(seed, NOON), WHOLE, 1);
    let told = run(&mut first, at(NOON) + after);
    (told, first.memory())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn a_chain_that_is_cut_again_and_again_goes_on_as_if_it_was_not(
        seed in 0_u64..1000,
        cuts in prop::collection::vec(0_u64..20_000_000, 1..4),
    ) {
        let end = at(NOON) + Duration::from_hours(6);
        let mut uncut = chain(SMALL, options(seed, NOON), WHOLE, 1);
        let expected = lines(&run(&mut uncut, end));
        let mut events = Vec::new();
        let mut cuts = cuts;
        cuts.sort_unstable();
        let mut simulation = chain(SMALL, options(seed, NOON), WHOLE, 1);
        for cut in cuts {
            events.extend(run(&mut simulation, at(NOON) + Duration::from_millis(cut)));
            let memory = simulation.memory();
            simulation = chain(SMALL, options(seed, NOON), WHOLE, 2);
            simulation.restore(&memory).unwrap();
            prop_assert_eq!(simulation.memory(), memory, "restored, it remembers the same");
        }
        events.extend(run(&mut simulation, end));
        prop_assert!(lines(&events) == expected);
        prop_assert_eq!(simulation.memory().len(), uncut.memory().len());
    }

    #[test]
    fn a_damaged_memory_is_refused(
        place: prop::sample::Index, bit in 0_u8..8, length: prop::sample::Index, more: Vec<u8>,
    ) {
        let (_, memory) = cut(1, Duration::from_mins(20));
        let mut other = chain(SMALL, options(1, NOON), WHOLE, 1);
        let mut damaged = memory.clone();
        damaged[place.index(memory.len())] ^= 1 << bit;
        prop_assert!(other.restore(&damaged).is_err());
        prop_assert!(other.restore(&memory[..length.index(memory.len())]).is_err());
        prop_assert!(other.restore(&more).is_err());
        prop_assert!(other.restore(&memory).is_ok());
    }
}

#[test]
fn a_memory_of_another_world_is_refused() {
    let (_, memory) = cut(1, Duration::from_hours(1));
    let restored =
        |seed, volume, shard| chain(volume, options(seed, NOON), shard, 1).restore(&memory);
    assert_eq!(restored(1, SMALL, WHOLE), Ok(()));
    let half = CellShard { index: 0, count: 2 };
    let volumes = [
        Volume { stores: 6, ..SMALL },
        Volume { dcs: 2, ..SMALL },
        Volume { customers: 301, ..SMALL },
        Volume { products: 121, ..SMALL },
    ];
    let others = volumes.map(|volume| (1, volume, WHOLE));
    for (seed, volume, shard) in others.into_iter().chain([(2, SMALL, WHOLE), (1, SMALL, half)]) {
        let refused = restored(seed, volume, shard).unwrap_err();
        assert_eq!(
            refused, "the chain's master data are others now",
            "{seed} {volume:?} {shard:?}"
        );
    }
}

#[test]
fn a_memory_of_a_smaller_fleet_or_other_homes_is_refused() {
    let (_, memory) = cut(1, Duration::from_hours(1));
    let world = World::generate(1, SMALL);
    let (mut fewer, mut moved) = (world.clone(), world.clone());
    fewer.trucks.pop();
    moved.customers[7].home = (moved.customers[7].home + 1) % 5;
    for (world, fits) in [(world, true), (fewer, false), (moved, false)] {
        let ids = TraceIds::new(1, 0);
        let mut other = Simulation::new(world, options(1, NOON), WHOLE, 1, &ids, || None);
        assert_eq!(other.restore(&memory).is_ok(), fits);
    }
}
