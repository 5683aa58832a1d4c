{{/*
The rules of a role as controller-gen wrote them from the +kubebuilder:rbac markers in the Go code ("make generate"),
given as (list $ component kind).
*/}}
{{- define "pubsub-operator.rules" -}}
{{- $root := index . 0 -}}
{{- range $document := splitList "\n---\n" ($root.Files.Get (printf "files/rbac/%s/role.yaml" (index . 1))) -}}
{{- $role := fromYaml $document -}}
{{- if eq $role.kind (index $ 2) -}}
{{- toYaml $role.rules -}}
{{- end -}}
{{- end -}}
{{- end -}}
