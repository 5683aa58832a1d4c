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
Takes a dict of root, name, namespace, component, old, the older Secret's name, and deployment, whose pods may use it.
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
rendered the controller has not filled the new one yet, or there may be pods that use the older one, because their rollout is
stuck. Takes a dict of root, name, namespace, old and, if pods may use that, deployment.
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
{{- if and $whole (eq $owner .root.Release.Name) (eq $home .root.Release.Namespace) }}
{{- if or (not $filled) (include "pubsub-operator.mayBeUsed" .) }}true{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
"true" if pods of a Deployment may use the Secret of an older chart: it says so itself, or has pods from before it was last changed.
They mount it, or name it for kubectl pubsub, which asks those that are ready. Pods can't be asked: who upgrades may not be allowed to
list them. Takes a dict of namespace, old and deployment.
*/}}
{{- define "pubsub-operator.mayBeUsed" -}}
{{- if .deployment }}
{{- $deployment := lookup "apps/v1" "Deployment" .namespace .deployment | default dict }}
{{- $seen := ge (dig "status" "observedGeneration" 0 $deployment | int) (dig "metadata" "generation" 0 $deployment | int) }}
{{- $pods := dig "status" "replicas" 0 $deployment | int }}
{{- $uses := eq (dig "spec" "template" "metadata" "annotations" "pubsub.jawaracloud.io/people-secret" "" $deployment) .old }}
{{- range dig "spec" "template" "spec" "volumes" list $deployment }}
{{- if eq (dig "secret" "secretName" "" .) $.old }}{{ $uses = true }}{{ end }}
{{- end }}
{{- if or $uses (not $seen) (lt (dig "status" "updatedReplicas" 0 $deployment | int) $pods) }}true{{ end }}
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
