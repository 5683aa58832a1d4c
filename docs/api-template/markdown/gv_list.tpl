{{- define "gvList" -}}
# The API

Generated from the types in `api/v1` ("make generate"). [channels.md](channels.md) says how the parts work together.

{{ range . -}}
{{ template "gvDetails" . }}
{{- end }}
{{- end -}}
