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

{{/* Values of a release that is older than tls.mode have none ("helm upgrade --reuse-values"). */}}
{{- define "pubsub-operator.tlsMode" -}}
{{ .Values.tls.mode | default "managed" }}
{{- end }}

{{/* "true" unless TLS is off. */}}
{{- define "pubsub-operator.tls" -}}
{{- if ne (include "pubsub-operator.tlsMode" .) "disabled" }}true{{ end }}
{{- end }}

{{- define "pubsub-operator.managed" -}}
{{- if eq (include "pubsub-operator.tlsMode" .) "managed" }}true{{ end }}
{{- end }}

{{/*
The name of a Secret with certificates. Takes (list root owner existing). The managed ones have names of their own: those of
cert-manager, and of the chart before tls.mode, have another type, which can't be changed.
*/}}
{{- define "pubsub-operator.certificateSecret" -}}
{{- $root := first . }}
{{- $mode := include "pubsub-operator.tlsMode" $root }}
{{- if eq $mode "provided" }}
{{- last . }}
{{- else }}
{{- printf "%s-%s-%s" (include "pubsub-operator.fullname" $root) (index . 1) (ternary "cert" "tls" (eq $mode "managed")) }}
{{- end }}
{{- end }}

{{- define "pubsub-operator.serverSecret" -}}
{{ include "pubsub-operator.certificateSecret" (list . "server" .Values.tls.existingServerSecret) }}
{{- end }}

{{- define "pubsub-operator.controllerSecret" -}}
{{ include "pubsub-operator.certificateSecret" (list . "controller" .Values.tls.existingControllerSecret) }}
{{- end }}

{{- define "pubsub-operator.kedaSecret" -}}
{{ include "pubsub-operator.certificateSecret" (list . "keda" .Values.tls.existingKEDASecret) }}
{{- end }}

{{/* Those of a chart before tls.mode, which the controller takes over. Takes (list root owner). */}}
{{- define "pubsub-operator.formerSecret" -}}
{{ include "pubsub-operator.fullname" (first .) }}-{{ last . }}-tls
{{- end }}

{{/*
The Secret that KEDA reads. As long as the controller has not filled the new one it is the older chart's, which the controller keeps
the same: KEDA must find a certificate even if the new controller does not start.
*/}}
{{- define "pubsub-operator.kedaReads" -}}
{{- $new := include "pubsub-operator.kedaSecret" . }}
{{- $old := include "pubsub-operator.formerSecret" (list . "keda") }}
{{- $stays := "" }}
{{- if include "pubsub-operator.managed" . }}
{{- $stays = include "pubsub-operator.formerStays" (dict "root" . "namespace" .Values.keda.namespace "name" $new "old" $old) }}
{{- end }}
{{- ternary $old $new (eq $stays "true") }}
{{- end }}

{{/* Empty where the certificates are one's own and there is none for people. */}}
{{- define "pubsub-operator.peopleSecret" -}}
{{ include "pubsub-operator.certificateSecret" (list . "people" .Values.tls.existingPeopleSecret) }}
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
{{- if and (eq $tag "latest") (not .Values.worker.image.tag) (not .Values.worker.image.digest) }}
{{- fail "image.tag is latest, and worker.image.tag is empty, so workers would have that tag, too, but all workers must run the same version: set worker.image.tag to a version" }}
{{- end }}
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
