{{- define "khronicle.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "khronicle.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "khronicle.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "khronicle.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels by which selectors find the pods of a role: call with (list . "worker"). */}}
{{- define "khronicle.selector" -}}
{{- $top := index . 0 -}}
app.kubernetes.io/name: {{ include "khronicle.name" $top }}
app.kubernetes.io/instance: {{ $top.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* All labels of an object of a role. */}}
{{- define "khronicle.labels" -}}
{{- $top := index . 0 -}}
{{ include "khronicle.selector" . }}
app.kubernetes.io/version: {{ $top.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $top.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $top.Chart.Name $top.Chart.Version | replace "+" "_" }}
{{- with $top.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The name of an image: call with (list . .Values.image). */}}
{{- define "khronicle.image" -}}
{{- $top := index . 0 -}}{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default $top.Values.image.tag | default $top.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* bundled is "true" if Temporal runs in the pod. */}}
{{- define "khronicle.bundled" -}}
{{- if and (eq .Values.mode "standalone") (not .Values.temporal.address) -}}true{{- end -}}
{{- end -}}

{{- define "khronicle.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "khronicle.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* What a pod needs to be scheduled: call with (list . "worker"). */}}
{{- define "khronicle.scheduling" -}}
{{- $top := index . 0 -}}
nodeSelector:
  kubernetes.io/os: linux
  {{- with $top.Values.nodeSelector }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $top.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $top.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $top.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $top.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if and $top.Values.topologySpread.enabled (eq $top.Values.mode "ha") }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "khronicle.selector" . | nindent 8 }}
{{- end }}
{{- end -}}

{{/* Labels and annotations of a pod: call with (list . "worker" 8081). */}}
{{- define "khronicle.podMetadata" -}}
{{- $top := index . 0 -}}
labels:
  {{- include "khronicle.selector" (list $top (index . 1)) | nindent 2 }}
  {{- with $top.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  prometheus.io/scrape: "true"
  prometheus.io/port: {{ index . 2 | quote }}
  prometheus.io/path: /metrics
  {{- with $top.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Where a container of Khronicle has its settings from: call with (list . true), true if it uses the ledger. */}}
{{- define "khronicle.environment" -}}
{{- $top := index . 0 -}}
envFrom:
  - configMapRef: {name: {{ include "khronicle.fullname" $top }}}
  {{- if not (include "khronicle.bundled" $top) }}
  - secretRef: {name: {{ $top.Values.temporal.existingSecret }}, optional: true}
  {{- end }}
  {{- if and (index . 1) (eq $top.Values.mode "ha") }}
  - secretRef: {name: {{ $top.Values.ledger.existingSecret }}, optional: true} # KHRONICLE_LEDGER: a PostgreSQL database
  {{- end }}
env:
  - name: POD_NAME
    valueFrom: {fieldRef: {fieldPath: metadata.name}}
  - name: POD_NAMESPACE
    valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
  {{- with $top.Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* ServiceAccount, and the binding of a role's rights: call with (list . "worker" ACCOUNT). */}}
{{- define "khronicle.binding" -}}
{{- $top := index . 0 -}}{{- $role := printf "%s-%s" (include "khronicle.fullname" $top) (index . 1) -}}
{{- $account := index . 2 -}}{{- $component := index . 1 -}}
{{- range $namespace := $top.Values.namespaces | default (list "") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ if $namespace }}RoleBinding{{ else }}ClusterRoleBinding{{ end }}
metadata:
  name: {{ $role }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "khronicle.labels" (list $top $component) | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ $role }}
subjects:
  - {kind: ServiceAccount, name: {{ $account }}, namespace: {{ $top.Release.Namespace }}}
{{- end }}
{{- end -}}

{{- define "khronicle.account" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "khronicle.fullname" (index . 0) }}{{ with index . 2 }}-{{ . }}{{ end }}
  namespace: {{ (index . 0).Release.Namespace }}
  labels:
    {{- include "khronicle.labels" (list (index . 0) (index . 1)) | nindent 4 }}
{{- end -}}

{{/* Stops the rendering of values that do not fit together. */}}
{{- define "khronicle.validate" -}}
{{- if and (eq .Values.mode "ha") (not .Values.temporal.address) -}}
{{- fail "temporal.address: is empty; the mode ha needs the address of your Temporal, such as temporal-frontend.temporal.svc.cluster.local:7233" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.host: is empty; name the host of the pages, such as checks.example.com" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs: is empty; name the Gateway, such as [{name: public, namespace: gateways}]" -}}
{{- end -}}
{{- end -}}
