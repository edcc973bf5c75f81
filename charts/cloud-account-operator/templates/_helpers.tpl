{{- define "cloud-account-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "cloud-account-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "cloud-account-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "cloud-account-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "cloud-account-operator.testName" -}}
{{- printf "%s-test" (include "cloud-account-operator.fullname" . | trunc 58 | trimSuffix "-") -}}
{{- end -}}

{{- /* Not the selector's labels: the Deployment and the Services must not take the test's pod for an operator. */ -}}
{{- define "cloud-account-operator.testLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ printf "%s-test" (default .Chart.Name .Values.nameOverride | trunc 58 | trimSuffix "-") }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: test
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "cloud-account-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "cloud-account-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "cloud-account-operator.subject" -}}
- kind: ServiceAccount
  name: {{ include "cloud-account-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{- define "cloud-account-operator.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- /* "true" or "false". Two operators with the guards of both would warn twice, so a release that watches some
namespaces leaves them to the one that installed the CRDs unless told otherwise. */ -}}
{{- define "cloud-account-operator.admissionPolicies" -}}
{{- if kindIs "bool" .Values.admissionPolicies.enabled -}}
{{- .Values.admissionPolicies.enabled -}}
{{- else -}}
{{- empty .Values.watchNamespaces -}}
{{- end -}}
{{- end -}}

{{- /* Contradictions that a schema cannot put into words a person understands. */ -}}
{{- define "cloud-account-operator.validate" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.leaderElection.enabled) -}}
{{- fail "replicas: more than one replica needs leaderElection.enabled=true, else two operators work on the same accounts." -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.name: needed when serviceAccount.create is false." -}}
{{- end -}}
{{- if eq (int .Values.metrics.port) (int .Values.health.port) -}}
{{- fail (printf "metrics.port and health.port: both are %d; they need different ports." (int .Values.health.port)) -}}
{{- end -}}
{{- end -}}

{{- /* What the operator may do where accounts are. One list for the ClusterRole and for Roles. */ -}}
{{- define "cloud-account-operator.rules" -}}
- apiGroups: [strackt.io]
  resources: [cloudaccounts]
  verbs: [get, list, watch]
- apiGroups: [strackt.io]
  resources: [cloudaccounts/status]
  verbs: [get, update, patch]
# A verb of our own: whoever has it may write verified copies and status. Nobody else should.
- apiGroups: [strackt.io]
  resources: [cloudaccounts]
  verbs: [publish]
# Sources are read, verified copies are written. No patch: an apply would let a foreign key in a copy survive.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, {{ if .Values.secrets.watch }}list, watch, {{ end }}create, update, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
