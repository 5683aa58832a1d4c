{{- define "type" -}}
{{- $type := . -}}
{{- if markdownShouldRenderType $type -}}
### {{ $type.Name }}

{{ $type.Doc }}
{{ with index $type.Markers "kubebuilder:validation:XValidation" }}
The API server's rules:

{{ range . -}}
- {{ template "rule" . }}
{{ end -}}
{{- end }}
{{- if $type.SortedReferences }}
In: {{ range $i, $reference := $type.SortedReferences }}{{ if $i }}, {{ end }}{{ markdownRenderTypeLink $reference }}{{ end }}
{{ end }}
{{- if $type.Members }}
| Field | Default | Limits | What it is |
|---|---|---|---|
{{ if $type.GVK -}}
| `apiVersion` string | | | `{{ $type.GVK.Group }}/{{ $type.GVK.Version }}` |
| `kind` string | | | `{{ $type.GVK.Kind }}` |
{{ end -}}
{{ range $type.Members -}}
| `{{ .Name }}` {{ markdownRenderType .Type }} | {{ with .Default }}`{{ . }}`{{ end }} | {{ template "limits" . }} | {{ template "words" . }} |
{{ end -}}
{{ end -}}
{{ if $type.EnumValues }}
| Value | What it means |
|---|---|
{{ range $type.EnumValues -}}
| `{{ .Name }}` | {{ .Doc | markdownRenderFieldDoc | replace "<br />" " " | trim }} |
{{ end -}}
{{ end }}
{{ end -}}
{{- end -}}

{{- define "limits" -}}
{{- $first := true -}}
{{- range .Validation -}}
{{- if hasPrefix "Required" . -}}required<br />{{- end -}}
{{- if not (or (hasPrefix "Optional" .) (hasPrefix "Required" .) (hasPrefix "XIntOrString" .)) -}}
{{- . | replace "1e+06" "1000000" | replace "1e+09" "1000000000" -}}<br />
{{- end -}}
{{- end -}}
{{- if not .Type.Members -}}
{{- range index .Markers "kubebuilder:validation:XValidation" -}}
{{ template "rule" . }}<br />
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "rule" -}}
{{ .Message | replace "|" "\\|" | replace "*" "\\*" | replace "<" "&lt;" }}
{{- end -}}
