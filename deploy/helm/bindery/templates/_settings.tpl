{{- /* bindery.toml. */ -}}
{{- define "bindery.settings" -}}
{{- if eq .Values.mode "sidecar-example" -}}
{{- .Files.Get "files/bindery.toml" | replace "/etc/bindery/company.yaml" "/etc/bindery-bundle" | trim }}
{{- else -}}
{{- $v := .Values -}}
{{- if include "bindery.bundleMap" . }}
bundle = ["/etc/bindery-bundle"]
{{- end }}
{{- if eq $v.mode "standalone" }}
listen = "0.0.0.0:9191"
{{- if $v.settings.http }}
http_listen = "0.0.0.0:9194"
{{- end }}
{{- end }}
admin_listen = "0.0.0.0:9193"
allow_remote = true
log_format = {{ $v.settings.logFormat | quote }}
log_level = {{ $v.settings.logLevel | quote }}
shutdown_delay_seconds = {{ int $v.settings.shutdownDelaySeconds }}
drain_seconds = {{ int $v.settings.drainSeconds }}
{{- if $v.tls.enabled }}

[tls]
certificate = "/etc/bindery/tls/tls.crt"
key = "/etc/bindery/tls/tls.key"
{{- if $v.tls.clientCertificates }}
client_authorities = "/etc/bindery/tls/ca.crt"
{{- end }}

# Probes of the kubelet know no TLS.
[tls.admin]
off = true
{{- end }}
{{- $names := dict "decisions" "decisions" "extAuthz" "ext_authz" "forwardAuth" "forward_auth" "authzen" "authzen" "publish" "publish" "follow" "follow" "admin" "admin" }}
{{- range $service, $list := $v.access }}

[access.{{ get $names $service }}]
{{- with $list.spiffe }}
spiffe = {{ toJson . }}
{{- end }}
{{- with $list.names }}
names = {{ toJson . }}
{{- end }}
{{- with $list.tokens }}
token_file = {{ printf "/etc/bindery-tokens/%s" . | quote }}
{{- end }}
{{- end }}

[sync]
{{- if include "bindery.serves" . }}
sync_listen = "0.0.0.0:9192"
{{- end }}
{{- with $v.configuration.follow }}
follow = {{ toJson . }}
{{- if $v.tls.enabled }}
follow_authorities = "/etc/bindery/tls/ca.crt"
follow_certificate = "/etc/bindery/tls/tls.crt"
follow_key = "/etc/bindery/tls/tls.key"
{{- end }}
{{- with $v.configuration.followServerName }}
follow_server_name = {{ quote . }}
{{- end }}
{{- end }}
{{- /* Files that nobody follows are there at every start. */ -}}
{{- if and $v.configuration.lastGood.enabled (or $v.configuration.follow (include "bindery.serves" .)) }}
last_good = "/var/lib/bindery/last-good"
{{- end }}
{{- end }}

[load]
max_in_flight = {{ int .Values.load.maxInFlight }}
max_queue_ms = {{ int .Values.load.maxQueueMs }}
max_connections = {{ int .Values.load.maxConnections }}
max_connection_age_seconds = {{ int .Values.load.maxConnectionAgeSeconds }}

[telemetry]
{{- with .Values.telemetry }}
{{- if .otlpEndpoint }}
otlp_endpoint = {{ .otlpEndpoint | quote }}
trace_ratio = {{ .traceRatio }}
otlp_metrics_seconds = {{ int .otlpMetricsSeconds }}
{{- end }}
service_name = {{ .serviceName | quote }}
personal_data = {{ .personalData }}
{{- end }}

[decision_log]
{{- with .Values.decisionLog }}
to = {{ .to | quote }}
sample_allows = {{ .sampleAllows }}
when_full = {{ .whenFull | quote }}
{{- with .include }}
include = {{ toJson . }}
{{- end }}
{{- with .mask }}
mask = {{ toJson . }}
{{- end }}
{{- end }}
{{- with .Values.extraSettings }}

{{ . | trim }}
{{- end }}
{{- end -}}
