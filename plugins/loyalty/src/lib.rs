//! Loyalty of customers: `loyalty_tier` looks tiers up, `loyalty_upgrades` tells when they change.
//! A plugin to copy: one file for each, one line that exports them.

mod tier;
mod upgrades;

pub use tier::LoyaltyTier;
pub use upgrades::LoyaltyUpgrades;

engine_plugin::export_plugins!(enricher LoyaltyTier, correlator LoyaltyUpgrades);
