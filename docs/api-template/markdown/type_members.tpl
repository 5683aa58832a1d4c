{{- define "words" -}}
{{- if hasSuffix "ObjectMeta" .Type.Name -}}
Kubernetes' own.
{{- else -}}
{{- $parts := splitn "Example: " 2 .Doc -}}
{{- $parts._0 | trim | markdownRenderFieldDoc | replace "<br />" " " | replace "*" "\\*" -}}
{{- with $parts._1 }}<br />Example: `{{ . | trim }}`{{ end -}}
{{- end -}}
{{- end -}}
