{{/*
The certificates as YAML: ca, and server, controller, keda and people {cert, key}, expires (a date), each PEM in base64.
What the cluster's Secrets hold is kept while it is whole, of one CA, by names that the scaler knows, and valid for 30 more
days; otherwise all of it is made anew. The CA's key is not kept, so nobody can sign a further client.
*/}}
{{- define "pubsub-operator.certificates" -}}
{{- $found := dict
      "server" (lookup "v1" "Secret" .Release.Namespace (include "pubsub-operator.serverSecret" .) | default dict)
      "controller" (lookup "v1" "Secret" .Release.Namespace (include "pubsub-operator.controllerSecret" .) | default dict)
      "people" (lookup "v1" "Secret" .Release.Namespace (include "pubsub-operator.peopleSecret" .) | default dict) }}
{{- if include "pubsub-operator.kedaPresent" . }}
{{- $_ := set $found "keda" (lookup "v1" "Secret" .Values.keda.namespace (include "pubsub-operator.kedaSecret" .) | default dict) }}
{{- end }}
{{- if include "pubsub-operator.certificatesKept" (list . $found) }}
{{- $kept := dict
      "expires" (dig "metadata" "annotations" "pubsub.jawaracloud.io/expires" "" $found.server)
      "ca" (index $found.server.data "ca.crt") }}
{{- range $name, $secret := $found }}
{{- $_ := set $kept $name (dict "cert" (index $secret.data "tls.crt") "key" (index $secret.data "tls.key")
      "name" (include "pubsub-operator.certifiedName" (list $ $name $secret))) }}
{{- end }}
{{- toYaml $kept }}
{{- else }}
{{- include "pubsub-operator.newCertificates" . }}
{{- end }}
{{- end }}

{{/*
The name on a client's certificate that a Secret holds; empty for the server's. Secrets that are older than the annotation
have the name by default. Takes (list root client secret).
*/}}
{{- define "pubsub-operator.certifiedName" -}}
{{- $client := index . 1 }}
{{- if ne $client "server" }}
{{- $byDefault := printf "%s-%s" (include "pubsub-operator.fullname" (first .)) $client }}
{{- dig "metadata" "annotations" "pubsub.jawaracloud.io/client-name" $byDefault (last .) }}
{{- end }}
{{- end }}

{{/* Takes (list root secrets), a dict with server among them. */}}
{{- define "pubsub-operator.certificatesKept" -}}
{{- $root := first . }}
{{- $found := last . }}
{{- $ca := get ($found.server.data | default dict) "ca.crt" }}
{{- $kept := true }}
{{- range $client, $secret := $found }}
{{- $data := $secret.data | default dict }}
{{- $kept = and $kept (get $data "tls.crt") (get $data "tls.key") (get $data "ca.crt") (eq (get $data "ca.crt") $ca) }}
{{- if ne $client "server" }}
{{- $known := include "pubsub-operator.clientNames" (list $root $client) | splitList "," }}
{{- $kept = and $kept (has (include "pubsub-operator.certifiedName" (list $root $client $secret)) $known) }}
{{- end }}
{{- end }}
{{- $expires := dig "metadata" "annotations" "pubsub.jawaracloud.io/expires" "" $found.server }}
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
{{- $_ := set $made . (dict "cert" ($client.Cert | b64enc) "key" ($client.Key | b64enc) "name" $common) }}
{{- end }}
{{- toYaml $made }}
{{- end }}

{{/* One Secret. Takes a dict of root, name, namespace, component, expires, ca and pair {cert, key, name}. */}}
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
    {{- with .pair.name }}
    pubsub.jawaracloud.io/client-name: {{ . | quote }}
    {{- end }}
type: kubernetes.io/tls
data:
  ca.crt: {{ .ca }}
  tls.crt: {{ .pair.cert }}
  tls.key: {{ .pair.key }}
{{- end }}
