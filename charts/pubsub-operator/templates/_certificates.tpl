{{/*
The certificates as YAML: ca, server and client {cert, key}, expires (a date), each PEM in base64.
What the cluster's Secrets hold is kept while it is whole, of one CA and valid for 30 more days; otherwise all of it is
made anew. The CA's key is not kept, so nobody can sign a further client.
*/}}
{{- define "pubsub-operator.certificates" -}}
{{- $server := lookup "v1" "Secret" .Release.Namespace (include "pubsub-operator.serverSecret" .) | default dict }}
{{- $client := lookup "v1" "Secret" .Release.Namespace (include "pubsub-operator.clientSecret" .) | default dict }}
{{- if include "pubsub-operator.certificatesKept" (list $server $client) }}
{{- dict
      "expires" (dig "metadata" "annotations" "pubsub.jawaracloud.io/expires" "" $server)
      "ca" (index $server.data "ca.crt")
      "server" (dict "cert" (index $server.data "tls.crt") "key" (index $server.data "tls.key"))
      "client" (dict "cert" (index $client.data "tls.crt") "key" (index $client.data "tls.key"))
    | toYaml }}
{{- else }}
{{- include "pubsub-operator.newCertificates" . }}
{{- end }}
{{- end }}

{{/* Takes (list serverSecret clientSecret). */}}
{{- define "pubsub-operator.certificatesKept" -}}
{{- $server := (first .).data | default dict }}
{{- $client := (last .).data | default dict }}
{{- $whole := true }}
{{- range $key := list "ca.crt" "tls.crt" "tls.key" }}
{{- $whole = and $whole (get $server $key) (get $client $key) }}
{{- end }}
{{- $sameCA := eq (get $server "ca.crt") (get $client "ca.crt") }}
{{- $expires := dig "metadata" "annotations" "pubsub.jawaracloud.io/expires" "" (first .) }}
{{- $valid := false }}
{{- if $expires }}
{{- $days := div (sub (toDate "2006-01-02" $expires | unixEpoch | int64) (now | unixEpoch | int64)) 86400 }}
{{- $valid = ge (int $days) 30 }}
{{- end }}
{{- if and $whole $sameCA $valid }}true{{ end }}
{{- end }}

{{- define "pubsub-operator.newCertificates" -}}
{{- $name := include "pubsub-operator.fullname" . }}
{{- $service := include "pubsub-operator.scalerName" . }}
{{- $host := include "pubsub-operator.scalerHost" . }}
{{- /* localhost is for kubectl port-forward. */}}
{{- $names := list $host (printf "%s.cluster.local" $host) (printf "%s.%s" $service .Release.Namespace) $service "localhost" }}
{{- $days := int .Values.tls.validityDays }}
{{- $ca := genCAWithKey (printf "%s-ca" $name) $days (genPrivateKey "ecdsa") }}
{{- $server := genSignedCertWithKey $service (list "127.0.0.1") $names $days $ca (genPrivateKey "ecdsa") }}
{{- $client := genSignedCertWithKey (printf "%s-client" $name) nil nil $days $ca (genPrivateKey "ecdsa") }}
{{- dict
      "expires" (now | dateModify (printf "+%dh" (mul $days 24)) | date "2006-01-02")
      "ca" ($ca.Cert | b64enc)
      "server" (dict "cert" ($server.Cert | b64enc) "key" ($server.Key | b64enc))
      "client" (dict "cert" ($client.Cert | b64enc) "key" ($client.Key | b64enc))
    | toYaml }}
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
