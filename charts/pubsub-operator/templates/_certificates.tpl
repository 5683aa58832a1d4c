{{/*
The certificates as YAML: ca, and server, controller, keda and people {cert, key}, expires (a date), each PEM in base64.
What the cluster's Secrets hold is kept while it is whole, of one CA and valid for 30 more days; otherwise all of it is
made anew. The CA's key is not kept, so nobody can sign a further client.
*/}}
{{- define "pubsub-operator.certificates" -}}
{{- $found := dict
      "server" (lookup "v1" "Secret" .Release.Namespace (include "pubsub-operator.serverSecret" .) | default dict)
      "controller" (lookup "v1" "Secret" .Release.Namespace (include "pubsub-operator.controllerSecret" .) | default dict)
      "people" (lookup "v1" "Secret" .Release.Namespace (include "pubsub-operator.peopleSecret" .) | default dict) }}
{{- if include "pubsub-operator.kedaPresent" . }}
{{- $_ := set $found "keda" (lookup "v1" "Secret" .Values.keda.namespace (include "pubsub-operator.kedaSecret" .) | default dict) }}
{{- end }}
{{- if include "pubsub-operator.certificatesKept" $found }}
{{- $kept := dict
      "expires" (dig "metadata" "annotations" "pubsub.jawaracloud.io/expires" "" $found.server)
      "ca" (index $found.server.data "ca.crt") }}
{{- range $name, $secret := $found }}
{{- $_ := set $kept $name (dict "cert" (index $secret.data "tls.crt") "key" (index $secret.data "tls.key")) }}
{{- end }}
{{- toYaml $kept }}
{{- else }}
{{- include "pubsub-operator.newCertificates" . }}
{{- end }}
{{- end }}

{{/* Takes a dict of Secrets, server among them. */}}
{{- define "pubsub-operator.certificatesKept" -}}
{{- $ca := get (.server.data | default dict) "ca.crt" }}
{{- $kept := true }}
{{- range . }}
{{- $data := .data | default dict }}
{{- $kept = and $kept (get $data "tls.crt") (get $data "tls.key") (get $data "ca.crt") (eq (get $data "ca.crt") $ca) }}
{{- end }}
{{- $expires := dig "metadata" "annotations" "pubsub.jawaracloud.io/expires" "" .server }}
{{- $valid := false }}
{{- if $expires }}
{{- $days := div (sub (toDate "2006-01-02" $expires | unixEpoch | int64) (now | unixEpoch | int64)) 86400 }}
{{- $valid = ge (int $days) 30 }}
{{- end }}
{{- if and $kept $valid }}true{{ end }}
{{- end }}

{{- define "pubsub-operator.newCertificates" -}}
{{- $root := . }}
{{- $name := include "pubsub-operator.fullname" . }}
{{- $service := include "pubsub-operator.scalerName" . }}
{{- $host := include "pubsub-operator.scalerHost" . }}
{{- /* localhost is for kubectl port-forward. */}}
{{- $hosts := list $host (printf "%s.cluster.local" $host) (printf "%s.%s" $service .Release.Namespace) $service "localhost" }}
{{- $days := int .Values.tls.validityDays }}
{{- $ca := genCAWithKey (printf "%s-ca" $name) $days (genPrivateKey "ecdsa") }}
{{- $server := genSignedCertWithKey $service (list "127.0.0.1") $hosts $days $ca (genPrivateKey "ecdsa") }}
{{- $made := dict
      "expires" (now | dateModify (printf "+%dh" (mul $days 24)) | date "2006-01-02")
      "ca" ($ca.Cert | b64enc)
      "server" (dict "cert" ($server.Cert | b64enc) "key" ($server.Key | b64enc)) }}
{{- range list "controller" "keda" "people" }}
{{- $common := include "pubsub-operator.clientNames" (list $root .) | splitList "," | first }}
{{- $client := genSignedCertWithKey $common nil nil $days $ca (genPrivateKey "ecdsa") }}
{{- $_ := set $made . (dict "cert" ($client.Cert | b64enc) "key" ($client.Key | b64enc)) }}
{{- end }}
{{- toYaml $made }}
{{- end }}

{{/* One Secret. Takes a dict of root, name, namespace, component, expires, ca and pair {cert, key}. */}}
{{- define "pubsub-operator.certificateSecret" -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "pubsub-operator.componentLabels" (list .root .component) | nindent 4 }}
  annotations:
    pubsub.jawaracloud.io/expires: {{ .expires | quote }}
type: kubernetes.io/tls
data:
  ca.crt: {{ .ca }}
  tls.crt: {{ .pair.cert }}
  tls.key: {{ .pair.key }}
{{- end }}
