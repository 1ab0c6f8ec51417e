//! The peer under the official clients, and under one that says what it wants frame by frame.

mod credit;
mod faults;
mod links;
mod outages;
mod python;
mod raw;
mod receiving;
mod sdk;
mod sending;
mod tls;
mod tokens;
