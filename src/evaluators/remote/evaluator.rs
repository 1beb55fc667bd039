//! The evaluator at one address: its connection, its places, its circuit.
//!
//! Must not know: other addresses.

use super::circuit::Circuit;
use super::fault::Fault;
use super::{RemoteOptions, convert};
use crate::model::Value;
use crate::policy::remote::Call;
use crate::policy::{Verdict, keep_in_plan};
use crate::proto::v1::policy_evaluator_client::PolicyEvaluatorClient;
use crate::telemetry::trace::inject;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

/// The largest question, in bytes: what servers take unless they are told otherwise.
const MAX_QUESTION: usize = 4 << 20;
/// The most that an answer may have in headers, in bytes.
const MAX_HEADERS: u32 = 16 << 10;

pub(super) struct Evaluator {
    client: PolicyEvaluatorClient<Channel>,
    circuit: Circuit,
    /// Calls under way. Whoever has none waits here, in order.
    places: Semaphore,
    max_calls: usize,
    max_answer: usize,
}

impl Evaluator {
    /// Connects when it is first asked, and again whenever the connection is gone.
    pub(super) fn new(address: &str, options: &RemoteOptions) -> Result<Self, String> {
        let endpoint = Endpoint::from_shared(address.to_owned())
            .and_then(|endpoint| endpoint.user_agent(concat!("bindery/", env!("CARGO_PKG_VERSION"))))
            .map_err(|error| format!("`{address}` cannot be used as an address: {error}; correct it"))?
            .connect_timeout(options.connect_timeout)
            .tcp_keepalive(Some(options.keepalive))
            .http2_keep_alive_interval(options.keepalive)
            .keep_alive_timeout(options.keepalive_timeout)
            .http2_max_header_list_size(MAX_HEADERS);
        let client = PolicyEvaluatorClient::new(endpoint.connect_lazy())
            .max_encoding_message_size(MAX_QUESTION)
            .max_decoding_message_size(options.max_answer);
        let max_calls = options.max_calls.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            client,
            circuit: Circuit::new(address, options)?,
            places: Semaphore::new(max_calls),
            max_calls,
            max_answer: options.max_answer,
        })
    }

    /// Whether its circuit is open.
    pub(super) fn is_open(&self) -> bool {
        self.circuit.is_open()
    }

    pub(super) async fn ask(&self, call: Call, deadline: Instant) -> Verdict {
        // Before a place is waited for: what comes to nothing should do so at once.
        if let Some(text) = self.circuit.refusal().await {
            return Verdict::error(text);
        }
        let Ok(place) = timeout_at(deadline, self.places.acquire()).await else {
            return Verdict::error(format!(
                "`{}` has too many calls under way, {} of them; make its policies faster, run more of it, or raise the \
                 binding's timeout",
                call.address, self.max_calls
            ));
        };
        let asked = self.circuit.through(attempt(self.client.clone(), call, deadline, self.max_answer)).await;
        drop(place);
        asked.unwrap_or_else(Verdict::error)
    }
}

async fn attempt(
    mut client: PolicyEvaluatorClient<Channel>,
    call: Call,
    deadline: Instant,
    max_answer: usize,
) -> Result<Verdict, Fault> {
    let Call { address, policy, may_change_context, scene } = call;
    let before = if may_change_context { scene.context.values.clone() } else { Value::Null };
    let start = Instant::now();
    let late = || Fault::late(&address, &policy, start.elapsed());
    let mut request = Request::new(convert::request(&policy, scene));
    // What the evaluator is told. What is enforced is here.
    request.set_timeout(deadline.saturating_duration_since(start));
    inject(|name, value| {
        if let Ok(value) = value.parse() {
            request.metadata_mut().insert(name, value);
        }
    });
    match timeout_at(deadline, client.evaluate(request)).await {
        Err(_) => Err(late()),
        Ok(Err(status)) => match Fault::is_late(&status, deadline) {
            true => Err(late()),
            false => Err(Fault::of(&status, &address, &policy, max_answer)),
        },
        Ok(Ok(response)) => {
            let verdict = convert::verdict(response.into_inner(), &address, &policy, may_change_context);
            let mut verdict = verdict.map_err(|what| Fault::answer(&address, &policy, &what))?;
            if let Some(after) = verdict.changes.as_mut().and_then(|changes| changes.values.as_mut()) {
                keep_in_plan(&before, after);
            }
            Ok(verdict)
        }
    }
}
