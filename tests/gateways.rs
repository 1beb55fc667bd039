//! Real gateways in front of an application, with the real server beside them: what gets through, what does not, and what
//! arrives at the application.
//!
//! `.ci/gateways` brings the gateways and runs this. Tests of a gateway that is not there say that they were skipped.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod sidecar;
}

#[cfg(test)]
mod gateways {
    pub(crate) use crate::support::sidecar;
    mod attacks;
    pub(crate) mod bindery;
    pub(crate) mod client;
    mod configurations;
    mod documentation;
    pub(crate) mod envoy;
    pub(crate) mod envoy_load;
    mod envoy_requests;
    pub(crate) mod nothing;
    mod order;
    pub(crate) mod other;
    mod other_requests;
    mod seen;
    mod tls;
    pub(crate) mod tokens;
    pub(crate) mod tools;
    pub(crate) mod upstream;
}
