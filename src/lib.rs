//! bindery
pub mod api;
pub mod decision;
pub mod model;
pub mod policy;
pub mod proto;
pub mod store;
pub mod sync;
