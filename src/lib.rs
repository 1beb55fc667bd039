//! bindery
pub mod model;
pub mod proto;
pub mod sync;
