{{/*
What the pods of both programs have in common.
Each of these takes (list root component), where component is controller or scaler.
*/}}

{{/* podLabels can't displace the labels that selectors use. */}}
{{- define "pubsub-operator.podMetadata" -}}
{{- $root := first . }}
{{- $values := index $root.Values (last .) }}
{{- $annotations := dict }}
{{- if and (eq (last .) "scaler") (include "pubsub-operator.tls" $root) }}
{{- with include "pubsub-operator.peopleSecret" $root }}
{{- /* By it kubectl pubsub finds the certificate that people ask with. */}}
{{- $_ := set $annotations "pubsub.jawaracloud.io/people-secret" . }}
{{- end }}
{{- end }}
{{- with merge (dict) $values.podAnnotations $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
labels:
  {{- $selected := include "pubsub-operator.selectorLabels" . | fromYaml }}
  {{- merge $selected $values.podLabels $root.Values.commonLabels | toYaml | nindent 2 }}
{{- end }}

{{- define "pubsub-operator.podSettings" -}}
{{- $root := first . }}
{{- $component := last . }}
{{- $values := index $root.Values $component }}
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- $selector := dict "matchLabels" (include "pubsub-operator.selectorLabels" (list $root $component) | fromYaml) }}
  {{- range . }}
  - {{ hasKey . "labelSelector" | ternary . (merge (dict "labelSelector" $selector) .) | toYaml | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "pubsub-operator.containerSettings" -}}
{{- $root := first . }}
{{- $values := index $root.Values (last .) }}
image: {{ include "pubsub-operator.image" $root | quote }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
{{- with $root.Values.containerSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $limited := dig "limits" "memory" "" ($values.resources | default dict) }}
{{- if or $limited $values.extraEnv }}
env:
  {{- if $limited }}
  {{- /* Near the limit the garbage collector works harder, where the kernel would else end the process. */}}
  - name: GOMEMLIMIT
    valueFrom:
      resourceFieldRef:
        resource: limits.memory
  {{- end }}
  {{- with $values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
livenessProbe:
  httpGet:
    path: /healthz
    port: health
  periodSeconds: 10
  timeoutSeconds: 2
readinessProbe:
  httpGet:
    path: /readyz
    port: health
  periodSeconds: 5
  timeoutSeconds: 2
{{- end }}
