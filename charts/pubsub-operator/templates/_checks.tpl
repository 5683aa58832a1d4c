{{/* "true" where a cluster answers: not under "helm template", "helm lint" and "--dry-run=client". */}}
{{- define "pubsub-operator.online" -}}
{{- if lookup "v1" "Namespace" "" "default" }}true{{ end }}
{{- end }}

{{/* "true" where KEDA's API is there; without a cluster to ask, it is taken to be. */}}
{{- define "pubsub-operator.kedaPresent" -}}
{{- if or (not (include "pubsub-operator.online" .)) (.Capabilities.APIVersions.Has "keda.sh/v1alpha1/ClusterTriggerAuthentication") }}true{{ end }}
{{- end }}

{{/*
"helm upgrade --reuse-values" leaves out the values that are new in this chart. It is in the template that Helm renders first,
because the others would tell of a nil pointer.
*/}}
{{- define "pubsub-operator.checkReused" -}}
{{- range list "helmTest" "worker" }}
{{- if not (hasKey $.Values .) }}
{{- fail (printf "there is no value %s, so these are the values of an older chart (helm upgrade --reuse-values): use --reset-then-reuse-values, which has the defaults of new values" .) }}
{{- end }}
{{- end }}
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
{{- $mode := include "pubsub-operator.tlsMode" . }}
{{- if and (kindIs "bool" $tls.enabled) (not $tls.enabled) (ne $mode "disabled") }}
{{- fail "tls.enabled=false is of before tls.mode: leave it out, and set tls.mode=disabled" }}
{{- end }}
{{- if and $tls.validityDays (ne (int $tls.validityDays) 3650) }}
{{- fail (printf "tls.validityDays is %d, but the chart makes no certificates any more: leave it out; the certificates of tls.mode=managed are valid for 30 days and renewed by themselves, and with tls.mode=provided they are valid as long as you like" (int $tls.validityDays)) }}
{{- end }}
{{- $existing := or $tls.existingServerSecret $tls.existingControllerSecret $tls.existingKEDASecret $tls.existingPeopleSecret }}
{{- if and $existing (ne $mode "provided") }}
{{- fail (printf "tls.mode is %s, but a tls.existing…Secret is set: set tls.mode=provided, or leave tls.existingServerSecret, tls.existingControllerSecret, tls.existingKEDASecret and tls.existingPeopleSecret empty" $mode) }}
{{- end }}
{{- if and (eq $mode "provided") (not (and $tls.existingServerSecret $tls.existingControllerSecret $tls.existingKEDASecret)) }}
{{- fail "tls.mode is provided, but not all of tls.existingServerSecret, tls.existingControllerSecret and tls.existingKEDASecret are set: set all three (one CA must have signed them all), or tls.mode=managed, and the controller makes the certificates" }}
{{- end }}
{{- if eq $mode "provided" }}
{{- include "pubsub-operator.checkProvided" (list .Release.Namespace "tls.existingServerSecret" $tls.existingServerSecret) }}
{{- include "pubsub-operator.checkProvided" (list .Release.Namespace "tls.existingControllerSecret" $tls.existingControllerSecret) }}
{{- include "pubsub-operator.checkProvided" (list .Release.Namespace "tls.existingPeopleSecret" $tls.existingPeopleSecret) }}
{{- include "pubsub-operator.checkProvided" (list .Values.keda.namespace "tls.existingKEDASecret" $tls.existingKEDASecret) }}
{{- end }}
{{- $issuerRef := dig "certManager" "issuerRef" dict $tls }}
{{- if and $issuerRef (ne $mode "cert-manager") }}
{{- fail (printf "tls.mode is %s, but tls.certManager.issuerRef is set: set tls.mode=cert-manager, or leave it empty" $mode) }}
{{- end }}
{{- if and $issuerRef (not $issuerRef.name) }}
{{- fail "tls.certManager.issuerRef has no name: set name, kind and group, for example {name: company, kind: ClusterIssuer, group: cert-manager.io}" }}
{{- end }}
{{- if and (eq $mode "cert-manager") (include "pubsub-operator.online" .) (not (.Capabilities.APIVersions.Has "cert-manager.io/v1/Certificate")) }}
{{- fail "tls.mode is cert-manager, but this cluster has no Certificate (cert-manager.io/v1): install cert-manager first, or set tls.mode=managed" }}
{{- end }}
{{- $days := int .Values.metrics.prometheusRule.certificateDays }}
{{- if and .Values.metrics.prometheusRule.enabled (has $mode (list "managed" "cert-manager")) (gt $days 9) }}
{{- fail (printf "metrics.prometheusRule.certificateDays is %d, but certificates of tls.mode=%s are renewed 10 days before their end, so the alert would fire without need: set it to 9 or less" $days $mode) }}
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

{{/* Names what a Secret of one's own lacks, if it is there already. Takes (list namespace value name). */}}
{{- define "pubsub-operator.checkProvided" -}}
{{- $value := index . 1 }}
{{- $name := last . }}
{{- $secret := dict }}
{{- if $name }}
{{- $secret = lookup "v1" "Secret" (first .) $name | default dict }}
{{- end }}
{{- if $secret }}
{{- range list "ca.crt" "tls.crt" "tls.key" }}
{{- if not (get ($secret.data | default dict) .) }}
{{- fail (printf "%s is %q, but Secret %s/%s has no %s: it must have ca.crt (the CA of the other side), tls.crt and tls.key" $value $name (first $) $name .) }}
{{- end }}
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
{{- if and (include "pubsub-operator.tls" .) (include "pubsub-operator.online" .) (include "pubsub-operator.kedaPresent" .) }}
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
