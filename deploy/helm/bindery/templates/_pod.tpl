{{- /* What every pod has around its containers. */ -}}
{{- define "bindery.pod" -}}
serviceAccountName: {{ include "bindery.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "bindery.selector" $ | nindent 6 }}
{{- end }}
{{- end -}}

{{- define "bindery.metadata" -}}
labels:
  {{- include "bindery.labels" . | nindent 2 }}
  {{- with .Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  # Settings count from the start of a process; a changed bundle is seen by itself.
  checksum/settings: {{ include "bindery.settings" . | sha256sum }}
  {{- if .Values.monitoring.annotations }}
  prometheus.io/scrape: "true"
  prometheus.io/port: "9193"
  prometheus.io/path: /metrics
  {{- end }}
  {{- with .Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "bindery.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* bindery's container. */ -}}
{{- define "bindery.container" -}}
{{- $service := ternary "bindery.v1.SyncService" "bindery.v1.DecisionService" (eq .Values.mode "hub") -}}
name: bindery
image: {{ include "bindery.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- if eq .Values.mode "sidecar-example" }}
restartPolicy: Always
{{- end }}
args: [{{ ternary "hub" "serve" (eq .Values.mode "hub") }}, --config, /etc/bindery/bindery.toml]
env:
- name: BINDERY_NODE
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- if eq .Values.mode "sidecar-example" }}
- {name: BINDERY_ADMIN_LISTEN, value: "0.0.0.0:9193"}
- {name: BINDERY_ALLOW_REMOTE, value: "true"}
- {name: BINDERY_LOG_FORMAT, value: {{ .Values.settings.logFormat | quote }}}
- {name: BINDERY_LOG_LEVEL, value: {{ .Values.settings.logLevel | quote }}}
{{- end }}
{{- with .Values.extraEnv }}
{{- toYaml . | nindent 0 }}
{{- end }}
ports:
{{- if eq .Values.mode "standalone" }}
- {name: grpc, containerPort: 9191}
{{- if .Values.settings.http }}
- {name: http, containerPort: 9194}
{{- end }}
{{- end }}
{{- if include "bindery.serves" . }}
- {name: sync, containerPort: 9192}
{{- end }}
- {name: admin, containerPort: 9193}
startupProbe:
  grpc: {port: 9193, service: {{ $service }}}
  periodSeconds: 1
  failureThreshold: 300
readinessProbe:
  grpc: {port: 9193, service: {{ $service }}}
  periodSeconds: 5
  failureThreshold: 1
# Only whether the process is alive: without a configuration it is not ready, and a restart would bring none.
livenessProbe:
  httpGet: {port: admin, path: /livez}
  periodSeconds: 10
  timeoutSeconds: 2
  failureThreshold: 3
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- include "bindery.restricted" . | nindent 2 }}
volumeMounts:
- {name: settings, mountPath: /etc/bindery, readOnly: true}
{{- if include "bindery.bundleMap" . }}
- {name: bundle, mountPath: /etc/bindery-bundle, readOnly: true}
{{- end }}
{{- if .Values.tokens.secretName }}
- {name: tokens, mountPath: /etc/bindery-tokens, readOnly: true}
{{- end }}
{{- if eq .Values.mode "sidecar-example" }}
- {name: sockets, mountPath: /run/bindery}
{{- else }}
- {name: state, mountPath: /var/lib/bindery}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}

{{- /* Its volumes, but for the state. */ -}}
{{- define "bindery.volumes" -}}
- name: settings
  projected:
    sources:
    - configMap: {name: {{ include "bindery.fullname" . }}}
    {{- if .Values.tls.enabled }}
    - secret:
        name: {{ .Values.tls.secretName }}
        items:
        - {key: tls.crt, path: tls/tls.crt}
        - {key: tls.key, path: tls/tls.key}
        {{- if or .Values.tls.clientCertificates .Values.configuration.follow }}
        - {key: ca.crt, path: tls/ca.crt}
        {{- end }}
    {{- end }}
    {{- with .Values.keys.secretName }}
    - secret: {name: {{ . }}, items: [{key: jwks.json, path: jwks.json}]}
    {{- end }}
{{- with include "bindery.bundleMap" . }}
- name: bundle
  configMap: {name: {{ . }}}
{{- end }}
{{- with .Values.tokens.secretName }}
- name: tokens
  secret: {secretName: {{ . }}}
{{- end }}
{{- with .Values.extraVolumes }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}
