//! The only writers of the store: reading configuration from its sources, validating it as a whole, applying it.
//!
//! Must not know: the decision API.

pub mod apply;
mod aside;
pub mod blueprint;
pub mod bundle;
mod convert;
pub mod demand;
pub mod diff;
pub mod feed;
pub mod follow;
pub mod last_good;
pub mod ledger;
pub mod origin;
pub mod partial;
pub mod protocol;
pub mod publish;
pub mod receive;
#[cfg(test)]
mod sample;
pub mod service;
pub mod sink;
pub mod source;
pub mod suite;
pub mod watch;
pub mod yaml;
