//! How real a stream looks: every band that the design asks for, measured from the events alone.

mod band;
mod meter;

mod ads;
mod arrivals;
mod baskets;
mod footfall;
mod hours;
mod lift;
mod payments;
mod products;
mod season;
mod stock;

mod days;
mod places;
mod sample;
mod traffic;

mod chain;
mod measured;
mod simulated;

use band::{Verdict, table};
use meter::Meter;

/// Prints what was measured of a stream, and says whether nothing of it is out of its bounds.
fn report(name: &str, meter: &Meter) -> bool {
    let bands = meter.bands();
    let out = bands.iter().filter(|band| band.verdict() == Verdict::Out).count();
    println!("{name}: {} bands, {out} out\n{}", bands.len(), table(&bands));
    out == 0
}
