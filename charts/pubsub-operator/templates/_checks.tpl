{{/* "true" where a cluster answers: not under "helm template", "helm lint" and "--dry-run=client". */}}
{{- define "pubsub-operator.online" -}}
{{- if lookup "v1" "Namespace" "" "default" }}true{{ end }}
{{- end }}

{{/* "true" where KEDA's API is there; without a cluster to ask, it is taken to be. */}}
{{- define "pubsub-operator.kedaPresent" -}}
{{- if or (not (include "pubsub-operator.online" .)) (.Capabilities.APIVersions.Has "keda.sh/v1alpha1/ClusterTriggerAuthentication") }}true{{ end }}
{{- end }}

{{/* Refuses what the schema can't see: values that don't go together, and a cluster that lacks something. */}}
{{- define "pubsub-operator.check" -}}
{{- include "pubsub-operator.checkTLS" . }}
{{- include "pubsub-operator.checkKEDA" . }}
{{- include "pubsub-operator.checkNamespaces" . }}
{{- range $value, $kind := dict "serviceMonitor" "ServiceMonitor" "podMonitor" "PodMonitor" }}
{{- if (index $.Values.metrics $value).enabled }}
{{- if and (include "pubsub-operator.online" $) (not ($.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" $kind))) }}
{{- fail (printf "metrics.%s.enabled is true, but this cluster has no %s (monitoring.coreos.com/v1): install the Prometheus Operator first, or set metrics.%s.enabled=false" $value $kind $value) }}
{{- end }}
{{- if and $.Values.networkPolicy.enabled (not $.Values.networkPolicy.metricsFrom) }}
{{- fail (printf "metrics.%s.enabled and networkPolicy.enabled are true, but networkPolicy.metricsFrom is empty, so Prometheus could not scrape: name its pods or its namespace in networkPolicy.metricsFrom" $value) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled }}
{{- fail "metrics.serviceMonitor.enabled and metrics.podMonitor.enabled are both true, so Prometheus would scrape each pod twice: set one of them to false" }}
{{- end }}
{{- if and .Values.networkPolicy.egress.enabled (not .Values.networkPolicy.enabled) }}
{{- fail "networkPolicy.egress.enabled is true, but networkPolicy.enabled is not: set networkPolicy.enabled=true" }}
{{- end }}
{{- if and .Values.networkPolicy.egress.enabled (not .Values.networkPolicy.egress.brokers) }}
{{- fail "networkPolicy.egress.enabled is true, but networkPolicy.egress.brokers is empty, so the scaler could read no queue: add a rule to your DragonFly and Redis servers" }}
{{- end }}
{{- if and .Values.metrics.prometheusRule.enabled (include "pubsub-operator.online" .) (not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1/PrometheusRule")) }}
{{- fail "metrics.prometheusRule.enabled is true, but this cluster has no PrometheusRule (monitoring.coreos.com/v1): install the Prometheus Operator first, or set metrics.prometheusRule.enabled=false" }}
{{- end }}
{{- end }}

{{- define "pubsub-operator.checkTLS" -}}
{{- $tls := .Values.tls }}
{{- if or $tls.existingServerSecret $tls.existingControllerSecret $tls.existingKEDASecret $tls.existingPeopleSecret }}
{{- if not $tls.enabled }}
{{- fail "tls.enabled is false, but a tls.existing…Secret is set: set tls.enabled=true, or leave tls.existingServerSecret, tls.existingControllerSecret, tls.existingKEDASecret and tls.existingPeopleSecret empty" }}
{{- end }}
{{- if not (and $tls.existingServerSecret $tls.existingControllerSecret $tls.existingKEDASecret) }}
{{- fail "only some of tls.existingServerSecret, tls.existingControllerSecret and tls.existingKEDASecret are set: set all three (one CA must have signed them all), or none, and the chart makes the certificates" }}
{{- end }}
{{- end }}
{{- $seen := dict }}
{{- range $client := list "keda" "controller" "people" }}
{{- range $name := splitList "," (include "pubsub-operator.clientNames" (list $ $client)) }}
{{- if hasKey $seen $name }}
{{- fail (printf "tls.names.%s and tls.names.%s both have %q: give each client's certificate a name of its own, because the name says what it may do" (get $seen $name) $client $name) }}
{{- end }}
{{- $_ := set $seen $name $client }}
{{- end }}
{{- end }}
{{- end }}

{{- define "pubsub-operator.checkKEDA" -}}
{{- if and .Values.keda.required (not (include "pubsub-operator.kedaPresent" .)) }}
{{- fail "KEDA is not installed in this cluster: it has no ClusterTriggerAuthentication (keda.sh/v1alpha1). Install KEDA 2.21 or later first; or set keda.required=false to install the operator first, and run helm upgrade once KEDA is there" }}
{{- end }}
{{- if and .Values.keda.required (include "pubsub-operator.online" .) }}
{{- $crd := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "scaledobjects.keda.sh" | default dict }}
{{- $version := dig "metadata" "labels" "app.kubernetes.io/version" "" $crd }}
{{- if and (regexMatch "^v?[0-9]+[.][0-9]+" $version) (semverCompare "<2.21.0-0" $version) }}
{{- fail (printf "KEDA %s is installed, by the label of its CRD scaledobjects.keda.sh, but 2.21 or later is needed: upgrade KEDA first, or set keda.required=false to install the operator all the same" $version) }}
{{- end }}
{{- end }}
{{- if and .Values.tls.enabled (include "pubsub-operator.online" .) (include "pubsub-operator.kedaPresent" .) }}
{{- if not (lookup "v1" "Namespace" "" .Values.keda.namespace) }}
{{- fail (printf "keda.namespace is %q, but this cluster has no such namespace: set keda.namespace to the namespace that KEDA runs in (kubectl get deployments --all-namespaces | grep keda-operator)" .Values.keda.namespace) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "pubsub-operator.checkNamespaces" -}}
{{- range .Values.scaler.secrets.namespaces }}
{{- if and $.Values.watchNamespaces (not (has . $.Values.watchNamespaces)) }}
{{- fail (printf "scaler.secrets.namespaces has %q, but watchNamespaces has not: the scaler reads no Secrets for ScaledObjects that it does not answer about; add %q to watchNamespaces, or remove it here" . .) }}
{{- end }}
{{- end }}
{{- range .Values.watchNamespaces }}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" .) }}
{{- fail (printf "watchNamespaces has %q, which is no namespace's name: name each one, because the operator gets a role in each" .) }}
{{- end }}
{{- if and (include "pubsub-operator.online" $) (not (lookup "v1" "Namespace" "" .)) }}
{{- fail (printf "watchNamespaces has %q, but this cluster has no such namespace: create it first (kubectl create namespace %s), because the operator gets a role in it" . .) }}
{{- end }}
{{- end }}
{{- end }}
