{{/* Labels of every object. */}}
{{- define "portreeve.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: portreeve
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels that select the pods of a component; the controller finds agents by them. */}}
{{- define "portreeve.selector" -}}
app.kubernetes.io/name: portreeve
app.kubernetes.io/component: {{ . }}
{{- end }}

{{/* The image of a component: (dict "root" $ "of" .Values.agent.image). */}}
{{- define "portreeve.image" -}}
{{- $shared := .root.Values.image }}
{{- with $shared.registry }}{{ . }}/{{ end }}{{ .of.repository }}
{{- if .of.digest }}@{{ .of.digest }}{{ else }}:{{ .of.tag | default $shared.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Scheduling of a component's pods: (dict "root" $ "of" .Values.agent), with "os" if it is not linux. */}}
{{- define "portreeve.placement" -}}
nodeSelector:
  kubernetes.io/os: {{ .os | default "linux" }}
  {{- with .of.nodeSelector }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .of.tolerations }}
tolerations:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .of.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.priorityClassName }}
priorityClassName: {{ quote . }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{/*
Objects that make generate-chart copies from config/: (dict "root" $ "files" "files/crd/*").
They are rendered with the namespace and labels of this release and optional "labels" and
"annotations". The file "without" is skipped.
*/}}
{{- define "portreeve.copied" -}}
{{- $root := .root }}
{{- $annotations := .annotations }}
{{- $more := default dict .labels }}
{{- $found := $root.Files.Glob .files }}
{{- if not $found }}{{ fail (printf "%s is not in this chart: run make generate-chart" .files) }}{{ end }}
{{- $without := default "" .without }}
{{- range $path, $data := $found }}
{{- if ne $path $without }}
{{- range regexSplit "(?m)^---\n" (toString $data) -1 }}
{{- $object := fromYaml (replace "portreeve-system" $root.Release.Namespace .) }}
{{- if hasKey $object "kind" }}
{{- $labels := mergeOverwrite (include "portreeve.labels" $root | fromYaml) (default dict $object.metadata.labels) $more }}
{{- $_ := set $object.metadata "labels" $labels }}
{{- if $annotations }}
{{- $_ := set $object.metadata "annotations" (merge (default dict $object.metadata.annotations) $annotations) }}
{{- end }}
---
{{ toYaml $object }}
{{- else if $object }}
{{- fail (printf "%s: %s" $path (toJson $object)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
