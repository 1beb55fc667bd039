//! Who plans and steps: a server, or files.
//!
//! Must not know: what is asked, how an answer is shown.

use crate::api::ask::now;
use crate::api::flow::{LIFETIME, Tokens, next_on, plan_on};
use crate::cli::check::Trouble;
use crate::cli::check::ask::{asked, loaded};
use crate::config::PolicySettings;
use crate::evaluators::Evaluators;
use crate::proto::v1;
use crate::proto::v1::flow_service_client::FlowServiceClient;
use crate::store::{Settings, Snapshot};
use crate::sync::source::SourceSpec;
use crate::tls::client::Server;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Who plans and steps.
pub(super) struct Desk {
    runtime: Runtime,
    whom: Whom,
}

enum Whom {
    Server(Server),
    Files(Box<Files>),
}

struct Files {
    snapshot: Arc<Snapshot>,
    evaluators: Evaluators,
    tokens: Tokens,
}

impl Desk {
    /// Asks a server.
    pub(super) fn server(server: Server) -> Result<Self, Trouble> {
        Ok(Self { runtime: runtime()?, whom: Whom::Server(server) })
    }

    /// Asks files.
    pub(super) fn files(
        spec: &SourceSpec,
        settings: Settings,
        policies: &PolicySettings,
    ) -> Result<Self, Trouble> {
        let runtime = runtime()?;
        // Workers of policies are started within it.
        let entered = runtime.enter();
        let (store, evaluators) = loaded(spec, settings, policies)?;
        drop(entered);
        let tokens = Tokens::random(LIFETIME).map_err(|what| Trouble::new(tonic::Code::Internal, what))?;
        let whom = Whom::Files(Box::new(Files { snapshot: store.load(), evaluators, tokens }));
        Ok(Self { runtime, whom })
    }

    pub(super) fn plan(&self, request: v1::PlanFlowRequest) -> Result<v1::PlanFlowResponse, Trouble> {
        self.runtime.block_on(async {
            match &self.whom {
                Whom::Server(address) => {
                    asked(address, async |to| FlowServiceClient::new(to).plan_flow(request).await).await
                }
                Whom::Files(files) => {
                    let Files { snapshot, evaluators, tokens } = &**files;
                    Ok(plan_on(snapshot, evaluators, tokens, request, now()).await?)
                }
            }
        })
    }

    pub(super) fn next(&self, request: v1::NextStageRequest) -> Result<v1::NextStageResponse, Trouble> {
        self.runtime.block_on(async {
            match &self.whom {
                Whom::Server(address) => {
                    asked(address, async |to| FlowServiceClient::new(to).next_stage(request).await).await
                }
                Whom::Files(files) => {
                    let Files { snapshot, evaluators, tokens } = &**files;
                    Ok(next_on(snapshot, evaluators, tokens, request, now()).await?)
                }
            }
        })
    }
}

fn runtime() -> Result<Runtime, Trouble> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Trouble::new(tonic::Code::Internal, format!("the runtime cannot be started: {error}"))
    })
}
