{{/* Labels by which the pods are selected. */}}
{{- define "sluice.selector" -}}
app.kubernetes.io/name: {{ .Release.Name }}
{{- end }}

{{- define "sluice.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "sluice.configMap" -}}
{{ .Values.existingConfigMap | default .Release.Name }}
{{- end }}

{{/* The container's resources, huge pages among them where they are enabled. */}}
{{- define "sluice.resources" -}}
{{- $resources := deepCopy .Values.resources }}
{{- if .Values.hugepages.enabled }}
{{- $key := printf "hugepages-%s" .Values.hugepages.size }}
{{- range list "requests" "limits" }}
{{- $_ := set (index $resources .) $key $.Values.hugepages.amount }}
{{- end }}
{{- end }}
{{- toYaml $resources }}
{{- end }}
