{{- define "pubsub-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* At most 40 characters, so that every suffix below still fits into a label's 63. */}}
{{- define "pubsub-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- $name := include "pubsub-operator.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "pubsub-operator.controllerName" -}}
{{ include "pubsub-operator.fullname" . }}-controller
{{- end }}

{{- define "pubsub-operator.scalerName" -}}
{{ include "pubsub-operator.fullname" . }}-scaler
{{- end }}

{{/* A name that resolves from KEDA's namespace as well. */}}
{{- define "pubsub-operator.scalerHost" -}}
{{ include "pubsub-operator.scalerName" . }}.{{ .Release.Namespace }}.svc
{{- end }}

{{- define "pubsub-operator.serverSecret" -}}
{{ .Values.tls.existingServerSecret | default (printf "%s-server-tls" (include "pubsub-operator.fullname" .)) }}
{{- end }}

{{- define "pubsub-operator.controllerSecret" -}}
{{ .Values.tls.existingControllerSecret | default (printf "%s-controller-tls" (include "pubsub-operator.fullname" .)) }}
{{- end }}

{{- define "pubsub-operator.kedaSecret" -}}
{{ .Values.tls.existingKEDASecret | default (printf "%s-keda-tls" (include "pubsub-operator.fullname" .)) }}
{{- end }}

{{/* Empty where the certificates are one's own and there is none for people. */}}
{{- define "pubsub-operator.peopleSecret" -}}
{{- if .Values.tls.existingServerSecret }}
{{- .Values.tls.existingPeopleSecret }}
{{- else }}
{{- printf "%s-people-tls" (include "pubsub-operator.fullname" .) }}
{{- end }}
{{- end }}

{{/* The names on a client's certificates. Takes (list root client), where client is keda, controller or people. */}}
{{- define "pubsub-operator.clientNames" -}}
{{- $root := first . }}
{{- $names := index $root.Values.tls.names (last .) }}
{{- if $names }}
{{- join "," $names }}
{{- else }}
{{- printf "%s-%s" (include "pubsub-operator.fullname" $root) (last .) }}
{{- end }}
{{- end }}

{{- define "pubsub-operator.controllerServiceAccount" -}}
{{- with .Values.controller.serviceAccount }}
{{- .name | default (ternary (include "pubsub-operator.controllerName" $) "default" .create) }}
{{- end }}
{{- end }}

{{- define "pubsub-operator.scalerServiceAccount" -}}
{{- with .Values.scaler.serviceAccount }}
{{- .name | default (ternary (include "pubsub-operator.scalerName" $) "default" .create) }}
{{- end }}
{{- end }}

{{- define "pubsub-operator.image" -}}
{{- include "pubsub-operator.reference" (dict "root" . "path" "image" "image" .Values.image "tag" .Chart.AppVersion) }}
{{- end }}

{{/* The workers' default image: that of the operator's own version. */}}
{{- define "pubsub-operator.workerImage" -}}
{{- if and (eq .Values.worker.image.tag "latest") (not .Values.worker.image.digest) }}
{{- fail "worker.image.tag is latest, but all workers must run the same version: set a version, or leave it empty for the operator's own" }}
{{- end }}
{{- $tag := .Values.image.tag | default .Chart.AppVersion }}
{{- include "pubsub-operator.reference" (dict "root" . "path" "worker.image" "image" .Values.worker.image "tag" $tag) }}
{{- end }}

{{/*
A whole reference. Takes a dict of root, path (of the values), image (those values) and tag (if they have none). A
repository with a registry in it takes no other.
*/}}
{{- define "pubsub-operator.reference" -}}
{{- $name := .image.repository }}
{{- with .root.Values.global.imageRegistry | default .image.registry }}
{{- $first := splitList "/" $name | first }}
{{- if and (contains "/" $name) (or (contains "." $first) (contains ":" $first) (eq $first "localhost")) }}
{{- fail (printf "%s.repository is %q, which has a registry already, but a registry is set, too (global.imageRegistry or %s.registry): leave it out of the repository" $.path $name $.path) }}
{{- end }}
{{- $name = printf "%s/%s" . $name }}
{{- end }}
{{- if .image.digest }}
{{- $name }}@{{ .image.digest }}
{{- else }}
{{- $name }}:{{ .image.tag | default .tag }}
{{- end }}
{{- end }}
