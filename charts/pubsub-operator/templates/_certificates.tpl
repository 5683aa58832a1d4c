{{/* The scaler's DNS names and addresses, separated by commas. localhost is for kubectl port-forward. */}}
{{- define "pubsub-operator.scalerHosts" -}}
{{- $service := include "pubsub-operator.scalerName" . }}
{{- $host := include "pubsub-operator.scalerHost" . }}
{{- list $host (printf "%s.cluster.local" $host) (printf "%s.%s" $service .Release.Namespace) $service "localhost" "127.0.0.1" | join "," }}
{{- end }}

{{/*
A Secret that the controller fills (tls.mode=managed). Rendering no keys keeps Helm and GitOps tools from changing it.
Where the Secret of an older chart is found, which is about to be deleted, its certificate is handed over. The next upgrade
no longer renders those keys: with no data at all Helm would then delete all of the Secret's, with an empty one only them.
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
{{- $old := dict }}
{{- if .old }}
{{- $old = (lookup "v1" "Secret" .namespace .old | default dict).data | default dict }}
{{- end }}
{{- if and (get $old "ca.crt") (get $old "tls.crt") (get $old "tls.key") }}
data:
  taken-over-ca.crt: {{ get $old "ca.crt" }}
  taken-over-tls.crt: {{ get $old "tls.crt" }}
  taken-over-tls.key: {{ get $old "tls.key" }}
{{- else }}
data: {}
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
