{{- define "pubsub-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app: pubsub-operator
app.kubernetes.io/name: {{ include "pubsub-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: pubsub-operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Takes (list root component). */}}
{{- define "pubsub-operator.componentLabels" -}}
{{ include "pubsub-operator.labels" (first .) }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{/* What selectors use; it never changes during a release's life. Takes (list root component). */}}
{{- define "pubsub-operator.selectorLabels" -}}
app: pubsub-operator
app.kubernetes.io/name: {{ include "pubsub-operator.name" (first .) }}
app.kubernetes.io/instance: {{ (first .).Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end }}
