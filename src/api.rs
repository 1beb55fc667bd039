//! The front doors: one module for each way to ask, and the conversions between messages and the model.
//!
//! Must not know: evaluation rules, where the configuration comes from.

pub mod ask;
pub mod authzen;
pub mod convert;
pub mod deadline;
pub mod decision;
pub mod ext_authz;
pub mod flow;
pub mod forward_auth;
pub mod gateway;
mod ids;
pub mod list;
mod note;
mod status;
