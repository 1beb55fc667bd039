//! bindery
pub mod model;
pub mod proto;
