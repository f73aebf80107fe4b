{{/* Names and labels, and the rights that Role and ClusterRole share. */}}

{{- define "mai-operator.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "mai-operator.fullname" -}}
{{- $name := include "mai-operator.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "mai-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "mai-operator.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "mai-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mai-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "mai-operator.labels" -}}
{{ include "mai-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mai
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "mai-operator.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* The image with the program that jobs run. */}}
{{- define "mai-operator.helperImage" -}}
{{- .Values.helperImage | default (include "mai-operator.image" .) -}}
{{- end -}}

{{/* Who the rights are bound to. */}}
{{- define "mai-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "mai-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* What looking after instances takes, in one namespace or in all. */}}
{{- define "mai-operator.instanceRules" -}}
- apiGroups: [mai.dev]
  resources: [maiinstances]
  verbs: [get, list, watch, patch]
- apiGroups: [mai.dev]
  resources: [maiinstances/status]
  verbs: [get, patch]
- apiGroups: [mai.dev]
  resources: [maiinstances/finalizers]
  verbs: [update]
- apiGroups: [mai.dev]
  resources: [maibackups, mairestores]
  verbs: [get, list, watch]
- apiGroups: [mai.dev]
  resources: [maibackups/status, mairestores/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [get, list, watch]
# Whether the Service of an instance leads to its pod.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
# Backups and restores: done by pods of their own, next to the server.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [services, serviceaccounts, persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
# Secrets are read by the names that instances give, and those of the operator's own are written.
- apiGroups: [""]
  resources: [secrets]
  {{- if and .Values.watchNamespaces .Values.rbac.watchSecrets }}
  verbs: [get, list, watch, create, patch, delete]
  {{- else }}
  verbs: [get, create, patch, delete]
  {{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [list, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies, ingresses]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
{{- if .Values.gatewayApi.enabled }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- end -}}
