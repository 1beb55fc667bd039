//! What goes out over OTLP: one connection to a collector for traces, metrics and the decision log. Whether anybody is
//! there never matters to a question.
//!
//! Must not know: what is sent.

pub mod metrics;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

/// How long one batch may take.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// A collector, and what this process says of itself to it. A copy shares the connection.
#[derive(Clone, Debug)]
pub struct Otlp {
    channel: Channel,
    headers: MetadataMap,
    service: String,
    instance: String,
}

impl Otlp {
    /// The collector at this address, `http://…` or `https://…`. `authorities`: PEM of who may vouch for it; absent: whom
    /// the system trusts. `headers`: lines `name: value` to send along. Connects when there is something to send; needs a
    /// runtime.
    ///
    /// # Errors
    /// When the address or a header is none.
    pub fn new(
        address: &str,
        authorities: Option<&[u8]>,
        headers: &str,
        service: &str,
    ) -> Result<Self, String> {
        let wrong = |error: tonic::transport::Error| {
            format!(
                "otlp-endpoint: `{address}` is no address ({error}); write http://HOST:PORT or https://HOST:PORT"
            )
        };
        let mut endpoint = Endpoint::from_shared(address.to_owned())
            .and_then(|it| it.user_agent(concat!("bindery/", env!("CARGO_PKG_VERSION"))))
            .map_err(wrong)?
            .connect_timeout(CONNECT)
            .timeout(TIMEOUT)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(TIMEOUT);
        if address.starts_with("https://") {
            let tls = match authorities {
                Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
                None => ClientTlsConfig::new().with_native_roots(),
            };
            endpoint = endpoint.tls_config(tls).map_err(|error| {
                format!("otlp-authorities: they cannot be used ({error}); give certificates in PEM")
            })?;
        }
        let instance = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        let (channel, headers) = (endpoint.connect_lazy(), read(headers)?);
        Ok(Self { channel, headers, service: service.to_owned(), instance })
    }

    /// The connection.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The headers to send along.
    pub fn headers(&self) -> MetadataMap {
        self.headers.clone()
    }

    /// What this process says of itself, by name and value.
    pub fn about(&self) -> [(&'static str, String); 3] {
        [
            ("service.name", self.service.clone()),
            ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("service.instance.id", self.instance.clone()),
        ]
    }

    fn resource(&self) -> Resource {
        let attributes = self.about().into_iter().map(|(name, value)| attribute(name, value)).collect();
        Resource { attributes, ..Default::default() }
    }

    /// Adds the headers to a call.
    fn interceptor(&self) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone + use<> {
        let headers = self.headers.clone();
        move |mut request: Request<()>| {
            for entry in headers.iter() {
                if let tonic::metadata::KeyAndValueRef::Ascii(name, value) = entry {
                    request.metadata_mut().insert(name.clone(), value.clone());
                }
            }
            Ok(request)
        }
    }
}

/// Headers as they stand in a file: lines `name: value`; empty ones and those behind `#` do not count.
fn read(text: &str) -> Result<MetadataMap, String> {
    let mut headers = MetadataMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The value is a secret, most likely.
        let wrong = || format!("otlp-headers-file: line {number} is no header; write name: value");
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name: MetadataKey<Ascii> = name.trim().to_ascii_lowercase().parse().map_err(|_| wrong())?;
        let mut value: MetadataValue<Ascii> = value.trim().parse().map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Who made what is sent.
fn scope() -> InstrumentationScope {
    let (name, version) = ("bindery".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    InstrumentationScope { name, version, ..Default::default() }
}

/// A text as an attribute.
fn attribute(name: &str, value: impl Into<String>) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.into())) });
    KeyValue { key: name.to_owned(), value, ..Default::default() }
}

/// The form of a log record of the decision log, to be sent.
pub(super) mod logs {
    use super::{AnyValue, Otlp, Value, scope};
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
    use std::time::SystemTime;
    use tonic::Status;

    /// Sends lines as records.
    pub(in crate::telemetry) async fn send(otlp: &Otlp, lines: Vec<String>) -> Result<(), Status> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let record = |line: String| LogRecord {
            observed_time_unix_nano: now,
            time_unix_nano: now,
            severity_number: SeverityNumber::Info.into(),
            event_name: "bindery.decision".to_owned(),
            body: Some(AnyValue { value: Some(Value::StringValue(line)) }),
            ..Default::default()
        };
        let log_records = lines.into_iter().map(record).collect();
        let scope_logs = vec![ScopeLogs { scope: Some(scope()), log_records, ..Default::default() }];
        let resource = Some(otlp.resource());
        let resource_logs = vec![ResourceLogs { resource, scope_logs, ..Default::default() }];
        let mut client = LogsServiceClient::with_interceptor(otlp.channel(), otlp.interceptor());
        client.export(ExportLogsServiceRequest { resource_logs }).await.map(drop)
    }
}
