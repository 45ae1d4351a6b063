{{- define "amfj-sync.labels" -}}
app.kubernetes.io/name: amfj-sync
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "amfj-sync.selector" -}}
app.kubernetes.io/name: amfj-sync
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{/* The port of each worker's health, metrics and status. */}}
{{- define "amfj-sync.port" -}}
{{- get (dict "fetcher" "9464" "reconciler" "9465" "writer" "9466") . -}}
{{- end -}}

{{/* More workers than partitions have nothing to do, and look as if they had. */}}
{{- define "amfj-sync.check" -}}
{{- $partitions := int .Values.partitions -}}
{{- range $role := list "reconciler" "writer" -}}
{{- $replicas := int (get $.Values $role).replicas -}}
{{- if gt $replicas $partitions -}}
{{- fail (printf "%s.replicas is %d, and only %d partitions can be served: lower it, or set partitions before the queues exist" $role $replicas $partitions) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.maxReplicas) $partitions) -}}
{{- fail (printf "autoscaling.maxReplicas is %d, and only %d partitions can be served" (int .Values.autoscaling.maxReplicas) $partitions) -}}
{{- end -}}
{{- if not (trim .Values.config) -}}
{{- fail "config is empty: give the file that `amfj-sync init` wrote, with --set-file config=amfj-sync.toml" -}}
{{- end -}}
{{- end -}}
