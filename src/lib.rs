//! bindery: a policy decision point for authentik's bindings.
//!
//! It runs beside a gateway and answers over gRPC, from memory, whether a subject may reach an application, a RAC
//! endpoint, a device or any other of authentik's nine kinds of binding target, and why.
//!
//! ```text
//!  bundle, blueprints ─┐
//!  a publisher, Push  ─┼─► sync ─► store ◄─ decision ◄─ api ◄─ a gateway asks, over gRPC or HTTP
//!  a hub, Watch       ─┘    │ (the only   (one snapshot,   (pure)   (messages to questions,
//!                           │  writer)     hot sets)                 answers to messages)
//!                           └─► followers, Watch; the disk
//! ```
//!
//! Read it from the right: a question comes in at `api`, becomes plain values of `model`, and goes to `decision`, which
//! reads one immutable snapshot of the `store`. `sync` is the only one that writes the store: whatever brings a change,
//! it goes through `sync::ledger`, which puts it into force whole, and remembers it for followers and the disk. Nothing
//! flows backwards.
//!
//! # Modules
//!
//! A module uses only what stands to its left:
//! `model < policy < (places | decision) < store < evaluators < (sync | api) < app < cli < main`, with `proto` between `model` and
//! the users of messages, `identity` between `model` and `api`, `telemetry` between `model` and `store`, and `config` between
//! `api` and `app`. `tests/architecture.rs` holds this.
//!
//! | module | knows | must not know |
//! | --- | --- | --- |
//! | [`model`] | targets, bindings, policies, users, groups, routes, questions and answers as plain types | protobuf, gRPC, async, files, clocks |
//! | [`policy`] | how each kind of policy is compiled once and evaluated many times | where a policy came from, the network |
//! | [`places`] | where addresses are, from GeoIP databases that may be replaced while in use | who asks, policies |
//! | [`decision`] | any and all, negation, failure results, leaning targets, flow plans, explanations | protobuf, gRPC, async, clocks (time is an argument) |
//! | [`proto`] | the generated messages, their JSON mapping, free data | what a message means |
//! | [`store`] | the snapshot in force with its packed bindings, deriving the next one, the hot set of what is compiled, which route a request fits | who writes, who asks |
//! | [`evaluators`] | what policies need that is not in memory: waits, other processes and servers, under timeouts | who asks |
//! | [`sync`] | reading, validating and applying configuration: bundles, blueprints, watched files, streams in both directions; all of it through one ledger | the decision API |
//! | [`identity`] | who is asking, from tokens, certificates and headers, and what of it may be trusted | gateways and their protocols, the directory, decisions |
//! | [`tls`] | TLS on both sides: fetching over https, reaching other servers, listening, the names in a caller's certificate | what is fetched or served, who may do what |
//! | [`api`] | the front doors and the conversions to and from the model | evaluation rules |
//! | [`telemetry`] | logs, metrics, traces and the decision log: how the server is seen from outside | what is decided, and by whom |
//! | [`config`] | settings, from a file, the environment and flags | what they are used for |
//! | [`app`] | the server put together: connections, who may call, how much is taken on, what operators see | where settings come from |
//! | `cli` | the command line | |
//!
//! # Asking from Rust
//!
//! ```
//! use bindery::proto::v1;
//! use bindery::store::{Settings, Store};
//! use bindery::sync::apply::{Update, apply};
//!
//! let wiki = v1::Application { slug: "wiki".into(), ..Default::default() };
//! let wiki = v1::Resource { resource: Some(v1::resource::Resource::Application(wiki)) };
//! let store = Store::new(Settings::default());
//! let applied = apply(&store, Update::Replace(vec![wiki])).expect("a valid configuration");
//! assert_eq!(applied.revision, 1);
//! ```

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod decision;
pub mod evaluators;
pub mod identity;
pub mod model;
pub mod places;
pub mod policy;
pub mod proto;
pub mod store;
pub mod sync;
pub mod telemetry;
pub mod tls;
