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

{{/* Labels by which a component's pods are found; the controller knows the agents' so. */}}
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

{{/* How a component's pods are placed: (dict "root" $ "of" .Values.agent), and "os" where it isn't linux. */}}
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
Objects that make generate copied from config/: (dict "root" $ "files" "files/crd/*").
They come out as they are there, with this release's namespace, labels and, where
given, more labels and annotations; without the file "without".
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
