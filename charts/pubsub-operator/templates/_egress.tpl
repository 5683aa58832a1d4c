{{/* What both programs must reach: DNS and the API server. */}}
{{- define "pubsub-operator.commonEgress" -}}
{{- $egress := .Values.networkPolicy.egress -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
  {{- with $egress.dnsTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
- ports:
    {{- range $egress.apiServerPorts }}
    - port: {{ . }}
    {{- end }}
  {{- with $egress.apiServerTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
