//! Plugins that come with the engine, as a user has them: libraries, and the program that loads them.

pub(crate) mod build;
mod nats;
mod parquet;
