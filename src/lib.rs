//! bindery
pub mod model;
pub mod policy;
pub mod proto;
pub mod sync;
