{{- define "bindery.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "bindery.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "bindery.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "bindery.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "bindery.component" -}}
{{- get (dict "standalone" "decisions" "hub" "hub" "sidecar-example" "application") .Values.mode -}}
{{- end -}}

{{- define "bindery.selector" -}}
app.kubernetes.io/name: {{ include "bindery.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ include "bindery.component" . }}
{{- end -}}

{{- define "bindery.labels" -}}
{{ include "bindery.selector" . }}
app.kubernetes.io/part-of: bindery
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "bindery.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "bindery.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "bindery.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The name of the ConfigMap with bundles; empty where none is mounted. */ -}}
{{- define "bindery.bundleMap" -}}
{{- if .Values.configuration.bundleConfigMap -}}
{{- .Values.configuration.bundleConfigMap -}}
{{- else if or .Values.configuration.bundle (eq .Values.mode "sidecar-example") -}}
{{- printf "%s-bundle" (include "bindery.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- /* Whether publishers or followers are served. */ -}}
{{- define "bindery.serves" -}}
{{- if or (eq .Values.mode "hub") .Values.configuration.push -}}yes{{- end -}}
{{- end -}}

{{- /* What is wrong with the values taken together. */ -}}
{{- define "bindery.check" -}}
{{- $c := .Values.configuration -}}
{{- $sources := 0 -}}
{{- if or $c.bundle $c.bundleConfigMap -}}{{- $sources = add $sources 1 -}}{{- end -}}
{{- if $c.follow -}}{{- $sources = add $sources 1 -}}{{- end -}}
{{- if $c.push -}}{{- $sources = add $sources 1 -}}{{- end -}}
{{- if and $c.bundle $c.bundleConfigMap -}}
{{- fail "configuration.bundle, configuration.bundleConfigMap: both are set; choose one" -}}
{{- end -}}
{{- if eq .Values.mode "sidecar-example" -}}
{{- if or $c.follow $c.push -}}
{{- fail "configuration: the example takes a bundle only; leave follow and push out" -}}
{{- end -}}
{{- if not .Values.keys.secretName -}}
{{- fail "keys.secretName: the example needs the keys of whoever issues tokens; make a Secret with jwks.json" -}}
{{- end -}}
{{- if or .Values.access .Values.tls.enabled -}}
{{- fail "tls, access: the example listens on sockets only; leave them out" -}}
{{- end -}}
{{- else if ne (int $sources) 1 -}}
{{- fail (printf "configuration: %d sources are set; choose one of bundle, bundleConfigMap, follow and push" (int $sources)) -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (ne .Values.mode "standalone") -}}
{{- fail "autoscaling.enabled: only bindery as a service is scaled; set mode: standalone" -}}
{{- end -}}
{{- end -}}
