//! `bindery status`: what a server's sync listener says of itself.
//!
//! Must not know: what health means.

use super::address::ReachArgs;
use super::diff::Format;
use super::output::{Align, Screen, columns, one_line};
use super::{Exit, address, push};
use crate::app::CURRENT;
use crate::model::ResourceKind;
use crate::proto::v1::decision_service_server::SERVICE_NAME;
use crate::sync::publish::{self, Introduction, Trouble};
use clap::Args;
use serde_json::{Value, json};
use std::time::Duration;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// How long a server may take to tell its health.
const DEADLINE: Duration = Duration::from_secs(5);

/// What `bindery status` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
ADDRESS is a server's sync listener (--sync-listen, --sync-socket).

Examples:
  bindery status 127.0.0.1:9192
  bindery status unix:/run/bindery/sync.sock --output json

Exit code: 0 ready and current, 1 ready but not known to be current, 2 not ready, or nobody is there.")]
pub(super) struct StatusArgs {
    /// Server to ask: http(s)://ADDRESS:PORT, or unix:PATH
    address: String,

    #[command(flatten)]
    reach: ReachArgs,

    /// How to show the result
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Output", default_value_t = Format::Text)]
    output: Format,
}

/// What a server says.
struct Status {
    introduction: Introduction,
    /// Whether there is a configuration to answer from.
    ready: bool,
    /// Whether that is known to be the newest.
    current: bool,
    /// Whether questions are answered; nothing: not at this server.
    decisions: Option<bool>,
}

/// Runs the command.
pub(super) fn run(args: &StatusArgs, screen: &mut Screen<'_>) -> Exit {
    let json = args.output == Format::Json;
    match ask(&args.address, &args.reach) {
        Ok(status) => {
            if json {
                screen.line(format_args!("{:#}", as_json(&status)));
            } else {
                show(&status, screen);
            }
            match (status.ready, status.current) {
                (true, true) => Exit::Good,
                (true, false) => Exit::Bad,
                (false, _) => Exit::Undecided,
            }
        }
        Err(error) => {
            if json {
                screen.line(format_args!("{:#}", json!({ "error": error })));
            }
            screen.note(format_args!("no status: {}", one_line(&error)));
            Exit::Undecided
        }
    }
}

fn ask(text: &str, reach: &ReachArgs) -> Result<Status, String> {
    let server = address::server(text, reach)?;
    let runtime = push::runtime()?;
    runtime.block_on(async {
        let watching = publish::watch(&server, &push::node("status"), None).await;
        let introduction = watching.map_err(|error| error.to_string())?.introduction;
        let channel = publish::connect(&server).await.map_err(|error: Trouble| error.to_string())?;
        let mut client = HealthClient::new(channel);
        let mut healths = [None; 3];
        for (service, health) in ["", CURRENT, SERVICE_NAME].into_iter().zip(&mut healths) {
            let asked = client.check(HealthCheckRequest { service: service.to_owned() });
            *health = match tokio::time::timeout(DEADLINE, asked).await {
                Ok(Ok(answer)) => Some(answer.into_inner().status() == ServingStatus::Serving),
                Ok(Err(status)) if matches!(status.code(), Code::NotFound | Code::Unimplemented) => None,
                Ok(Err(status)) => return Err(format!("`{text}`: health: {}", status.message())),
                Err(_) => return Err(format!("`{text}` did not tell its health within {DEADLINE:?}")),
            };
        }
        let [ready, current, decisions] = healths;
        Ok(Status { introduction, ready: ready == Some(true), current: current.unwrap_or(true), decisions })
    })
}

const fn state(status: &Status) -> &'static str {
    match (status.ready, status.current) {
        (true, true) => "ready, current",
        (true, false) => "degraded: not known to be current",
        (false, _) => "not ready",
    }
}

fn show(status: &Status, screen: &mut Screen<'_>) {
    let paint = screen.paint();
    let Introduction { node, version, digest } = &status.introduction;
    let state = state(status);
    let state = if status.ready && status.current { paint.good(state) } else { paint.bad(state) };
    let held = if version.revision == 0 { "no configuration".to_owned() } else { version.to_string() };
    let decisions = match status.decisions {
        None => "none are answered at this server",
        Some(true) => "answered",
        Some(false) => "not answered yet",
    };
    let pair = |name: &str, value: &str| vec![name.to_owned(), value.to_owned()];
    let rows = [
        pair("node", &one_line(&format!("{} ({})", node.id, node.software))),
        pair("health", &state),
        pair("version", &held),
        pair("digest", &format!("{:032x}", digest.total())),
        pair("questions", decisions),
    ];
    columns(&[Align::Left, Align::Left], &rows).iter().for_each(|line| screen.line(line));
    let rows: Vec<_> = counts(&status.introduction)
        .map(|(kind, count)| vec![kind.noun().to_owned(), count.to_string()])
        .collect();
    if !rows.is_empty() {
        screen.line("");
        columns(&[Align::Left, Align::Right], &rows).iter().for_each(|line| screen.line(line));
    }
}

fn counts(introduction: &Introduction) -> impl Iterator<Item = (ResourceKind, u64)> {
    let counts = ResourceKind::ALL.into_iter().map(|kind| (kind, introduction.digest.of(kind).count));
    counts.filter(|(_, count)| *count > 0)
}

fn as_json(status: &Status) -> Value {
    let Introduction { node, version, digest } = &status.introduction;
    let resources: serde_json::Map<_, _> = counts(&status.introduction)
        .map(|(kind, count)| (kind.noun().replace([' ', '-'], "_").to_lowercase(), json!(count)))
        .collect();
    json!({
        "node": node.id,
        "software": node.software,
        "ready": status.ready,
        "current": status.current,
        "decisions": status.decisions,
        // As text, since not every reader of JSON has whole numbers of 64 bits.
        "epoch": version.epoch.to_string(),
        "revision": version.revision,
        "digest": format!("{:032x}", digest.total()),
        "resources": resources,
    })
}
