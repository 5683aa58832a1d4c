{{/* The scaler's DNS names and addresses, separated by commas. localhost is for kubectl port-forward. */}}
{{- define "pubsub-operator.scalerHosts" -}}
{{- $service := include "pubsub-operator.scalerName" . }}
{{- $host := include "pubsub-operator.scalerHost" . }}
{{- list $host (printf "%s.cluster.local" $host) (printf "%s.%s" $service .Release.Namespace) $service "localhost" "127.0.0.1" | join "," }}
{{- end }}

{{/*
A Secret that the controller fills (tls.mode=managed). Rendering no keys keeps Helm and GitOps tools from changing it; with no
data at all, Helm would delete it all where a version between rendered some.
What an older chart has is taken over by the controller, from the Secret that it made. So this stays until that is done: old pods
still mount it, and KEDA reads it.
Takes a dict of root, name, namespace, component and old, the older Secret's name.
*/}}
{{- define "pubsub-operator.managedSecret" -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "pubsub-operator.componentLabels" (list .root .component) | nindent 4 }}
type: Opaque
data: {}
{{- if include "pubsub-operator.formerStays" . }}
{{- $old := lookup "v1" "Secret" .namespace .old }}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ .old }}
  namespace: {{ .namespace }}
  labels:
    {{- include "pubsub-operator.componentLabels" (list .root .component) | nindent 4 }}
type: {{ $old.type }}
data:
  {{- toYaml $old.data | nindent 2 }}
{{- end }}
{{- end }}

{{/*
"true" as long as Helm must not delete the Secret of an older chart: it is this release's and has a certificate, and when this is
rendered the controller has not filled the new one yet. Takes a dict of root, name, namespace and old.
*/}}
{{- define "pubsub-operator.formerStays" -}}
{{- if .old }}
{{- $old := lookup "v1" "Secret" .namespace .old | default dict }}
{{- $new := lookup "v1" "Secret" .namespace .name | default dict }}
{{- $owner := dig "metadata" "annotations" "meta.helm.sh/release-name" "" $old }}
{{- $home := dig "metadata" "annotations" "meta.helm.sh/release-namespace" "" $old }}
{{- $data := $old.data | default dict }}
{{- $whole := and (get $data "ca.crt") (get $data "tls.crt") (get $data "tls.key") }}
{{- $filled := get ($new.data | default dict) "tls.crt" }}
{{- if and $whole (eq $owner .root.Release.Name) (eq $home .root.Release.Namespace) (not $filled) }}true{{ end }}
{{- end }}
{{- end }}

{{/* A cert-manager Certificate. Takes a dict of root, name (also of its Secret), namespace, component, spec and issuer. */}}
{{- define "pubsub-operator.certificate" -}}
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "pubsub-operator.componentLabels" (list .root .component) | nindent 4 }}
spec:
  secretName: {{ .name }}
  duration: {{ .duration | default "720h" }}
  renewBefore: {{ .renewBefore | default "240h" }}
  privateKey:
    algorithm: ECDSA
    size: 256
    rotationPolicy: {{ .rotationPolicy | default "Always" }}
  {{- toYaml .spec | nindent 2 }}
  issuerRef:
    {{- toYaml .issuer | nindent 4 }}
{{- end }}

{{/* An Issuer. Takes (list root name namespace spec). */}}
{{- define "pubsub-operator.issuer" -}}
apiVersion: cert-manager.io/v1
kind: Issuer
metadata:
  name: {{ index . 1 }}
  namespace: {{ index . 2 }}
  labels:
    {{- include "pubsub-operator.componentLabels" (list (first .) "certificates") | nindent 4 }}
spec:
  {{- toYaml (last .) | nindent 2 }}
{{- end }}
