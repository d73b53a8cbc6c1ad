{{/* Names, labels, and what the values mean. */}}

{{- define "lethe.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 letters, so that every suffix fits into the 63 of a name. */}}
{{- define "lethe.fullname" -}}
{{- $name := include "lethe.name" . -}}
{{- $full := .Values.fullnameOverride | default (ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name)) -}}
{{- $full | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "lethe.selectorLabels" -}}
app.kubernetes.io/name: {{ include "lethe.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "lethe.labels" -}}
{{ include "lethe.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: lethe
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "lethe.imageOf" -}}
{{- $image := .image -}}
{{- if $image.digest -}}{{ $image.repository }}@{{ $image.digest }}
{{- else -}}{{ $image.repository }}:{{ $image.tag | default .tag }}{{- end -}}
{{- end -}}

{{- define "lethe.image" -}}
{{ include "lethe.imageOf" (dict "image" .Values.image "tag" .Chart.AppVersion) }}
{{- end -}}

{{- define "lethe.serverName" -}}
{{ required "serverName must be set: the part of user IDs behind the colon, which can never change" .Values.serverName }}
{{- end -}}

{{- define "lethe.publicUrl" -}}
{{- .Values.publicUrl | default (printf "https://%s" (include "lethe.serverName" .)) | trimSuffix "/" -}}
{{- end -}}

{{- define "lethe.publicHost" -}}
{{- (urlParse (include "lethe.publicUrl" .)).hostname -}}
{{- end -}}

{{/* The server name without a port: where /.well-known is looked for. */}}
{{- define "lethe.serverHost" -}}
{{- regexReplaceAll ":[0-9]+$" (include "lethe.serverName" .) "" -}}
{{- end -}}

{{- define "lethe.ownsWellKnown" -}}
{{- if and .Values.wellKnown (ne (include "lethe.serverHost" .) (include "lethe.publicHost" .)) -}}yes{{- end -}}
{{- end -}}

{{- define "lethe.hasSeveral" -}}
{{- if or (and .Values.autoscaling.enabled (gt (int .Values.autoscaling.maxReplicas) 1)) (and (not .Values.autoscaling.enabled) (gt (int .Values.replicas) 1)) -}}yes{{- end -}}
{{- end -}}

{{- define "lethe.signingKeySecret" -}}
{{ .Values.signingKey.existingSecret | default (printf "%s-signing-key" (include "lethe.fullname" .)) }}
{{- end -}}

{{- define "lethe.databaseHost" -}}
{{- $name := include "lethe.fullname" . -}}
{{- if eq .Values.database.mode "cnpg" -}}{{ $name }}-postgres-rw
{{- else if eq .Values.database.mode "bundled" -}}{{ $name }}-postgres
{{- else -}}{{ .Values.database.host }}{{- end -}}
{{- end -}}

{{/* The Secret with what opens the database; empty when no part of it is secret. */}}
{{- define "lethe.databaseSecret" -}}
{{- $name := include "lethe.fullname" . -}}
{{- if eq .Values.database.mode "cnpg" -}}{{ $name }}-postgres-app
{{- else -}}{{ .Values.database.existingSecret | default (ternary (printf "%s-database" $name) "" (eq .Values.database.mode "bundled")) }}{{- end -}}
{{- end -}}

{{/* The database's parts that come from its Secret: setting → key. */}}
{{- define "lethe.databaseKeys" -}}
{{- $keys := .Values.database.secretKeys -}}
{{- if eq .Values.database.mode "cnpg" -}}password: password
{{- else if eq .Values.database.mode "bundled" -}}password: {{ $keys.password | default "password" }}
{{- else if .Values.database.existingSecret -}}
{{- if $keys.uri -}}url: {{ $keys.uri }}
{{- else -}}
{{- range $part := list "host" "port" "name" "user" "password" }}
{{- with get $keys $part }}
{{ $part }}: {{ . }}
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Everything that is wrong between values and that a schema cannot say. */}}
{{- define "lethe.check" -}}
{{- if eq (include "lethe.publicHost" .) "" -}}
{{- fail (printf "publicUrl must be a URL such as https://matrix.example.org, not %s" .Values.publicUrl) -}}
{{- end -}}
{{- if include "lethe.hasSeveral" . -}}
{{- range $volume := list "media" "keyring" -}}
{{- if ne (get (get $.Values $volume) "accessMode") "ReadWriteMany" -}}
{{- fail (printf "several replicas share the %s: %s.accessMode must be ReadWriteMany (and the storage class able to), or replicas 1" $volume $volume) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.database.mode "external" -}}
{{- $keys := .Values.database.secretKeys -}}
{{- if not .Values.database.existingSecret -}}
{{- fail "database.mode is external: database.existingSecret must name the Secret with its password or URI; or set database.mode to cnpg or bundled" -}}
{{- end -}}
{{- if not (or .Values.database.host $keys.host $keys.uri) -}}
{{- fail "database.mode is external: say where it is, with database.host, database.secretKeys.host or database.secretKeys.uri" -}}
{{- end -}}
{{- if and (eq .Values.database.tls "verified") $keys.uri -}}
{{- fail "database.secretKeys.uri says itself how TLS is used (sslmode); leave database.tls off" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.existingConfig.name .Values.config -}}
{{- fail "config and existingConfig cannot both be set: the Secret holds the whole file" -}}
{{- end -}}
{{- if and .Values.podDisruptionBudget.enabled (not (include "lethe.hasSeveral" .)) -}}
{{- fail "podDisruptionBudget.enabled with a single replica: its node could never be drained" -}}
{{- end -}}
{{- if and .Values.gateway.enabled (not .Values.gateway.parentRefs) -}}
{{- fail "gateway.enabled needs gateway.parentRefs: the Gateways that the routes belong to" -}}
{{- end -}}
{{- if gt (int .Values.terminationGracePeriodSeconds) 3600 -}}
{{- fail "terminationGracePeriodSeconds is more than an hour" -}}
{{- end -}}
{{- end -}}
