{{/* What every pod and every container of ours has. */}}

{{- define "lethe.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  seccompProfile: {type: RuntimeDefault}
  fsGroupChangePolicy: OnRootMismatch
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "lethe.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "lethe.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "lethe.variable" -}}
{{ printf "LETHE_%s" (. | replace "." "__" | upper) }}
{{- end -}}

{{/* Settings that the chart decides. `root`; `withDatabase` whether the database's are among them; `isServer` whether ports are. */}}
{{- define "lethe.env" -}}
{{- $values := .root.Values -}}
- {name: LETHE_CONFIG, value: /etc/lethe/lethe.yaml}
- {name: LETHE_SERVER_NAME, value: {{ include "lethe.serverName" .root | quote }}}
- {name: LETHE_PUBLIC_BASE_URL, value: {{ include "lethe.publicUrl" .root | quote }}}
- {name: LETHE_DATA_DIR, value: /var/lib/lethe}
- {name: LETHE_MEDIA__STORE__PATH, value: /var/lib/lethe/media}
- {name: LETHE_SEALING__KEYRING__PATH, value: /var/lib/lethe/keyring/keyring}
- {name: LETHE_LISTEN__HOST, value: {{ $values.bindAddress | quote }}}
- {name: LETHE_LISTEN__PORT, value: '8008'}
- {name: LETHE_METRICS__ENABLED, value: 'true'}
- {name: LETHE_METRICS__HOST, value: {{ $values.bindAddress | quote }}}
- {name: LETHE_METRICS__PORT, value: '9090'}
- {name: LETHE_ADMIN__LISTEN__ENABLED, value: {{ $values.adminListener.enabled | quote }}}
- {name: LETHE_ADMIN__LISTEN__HOST, value: {{ $values.bindAddress | quote }}}
- {name: LETHE_ADMIN__LISTEN__PORT, value: '8009'}
- {name: LETHE_SIGNING_KEY_FILE, value: /run/secrets/lethe/signing_key}
- {name: NODE_OPTIONS, value: {{ printf "--max-old-space-size=%d" (int $values.maxOldSpaceMiB) | quote }}}
{{- if .withDatabase }}
{{- $keys := include "lethe.databaseKeys" .root | fromYaml }}
{{- range $part, $key := $keys }}
- {name: {{ printf "LETHE_DATABASE__%s_FILE" (upper $part) }}, value: {{ printf "/run/secrets/lethe/database.%s" $part }}}
{{- end }}
{{- if not $keys.url }}
{{- $external := eq $values.database.mode "external" }}
{{- if not $keys.host }}
- {name: LETHE_DATABASE__HOST, value: {{ include "lethe.databaseHost" .root | quote }}}
{{- end }}
{{- if not $keys.port }}
- {name: LETHE_DATABASE__PORT, value: {{ ternary $values.database.port 5432 $external | quote }}}
{{- end }}
{{- if not $keys.name }}
- {name: LETHE_DATABASE__NAME, value: {{ $values.database.name | quote }}}
{{- end }}
{{- if not $keys.user }}
- {name: LETHE_DATABASE__USER, value: {{ $values.database.user | quote }}}
{{- end }}
- {name: LETHE_DATABASE__TLS, value: {{ ternary "verified" (ternary $values.database.tls "off" $external) (eq $values.database.mode "cnpg") | quote }}}
{{- if include "lethe.databaseCa" .root }}
- {name: LETHE_DATABASE__CA_FILE, value: /run/secrets/lethe/database.ca_file}
{{- end }}
{{- end }}
{{- end }}
{{- range $setting, $from := $values.secretSettings }}
- {name: {{ include "lethe.variable" $setting }}_FILE, value: {{ printf "/run/secrets/lethe/%s" $setting }}}
{{- end }}
{{- with $values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "lethe.databaseCa" -}}
{{- if eq .Values.database.mode "cnpg" -}}{{ include "lethe.fullname" . }}-postgres-ca
{{- else if and (eq .Values.database.mode "external") (eq .Values.database.tls "verified") -}}{{ .Values.database.caSecret.name }}{{- end -}}
{{- end -}}

{{/* The Secrets, as one folder: a file each, for the group of the pod alone. `isOptional`: a missing one is told by the program. */}}
{{- define "lethe.secretSources" -}}
{{- $values := .root.Values -}}
{{- $optional := .isOptional | default false -}}
- secret:
    name: {{ include "lethe.signingKeySecret" .root }}
    optional: {{ $optional }}
    items: [{key: {{ $values.signingKey.key | quote }}, path: signing_key}]
{{- if .withDatabase }}
{{- with include "lethe.databaseSecret" .root }}
- secret:
    name: {{ . }}
    optional: {{ $optional }}
    items:
      {{- range $part, $key := (include "lethe.databaseKeys" $.root | fromYaml) }}
      - {key: {{ $key | quote }}, path: {{ printf "database.%s" $part }}}
      {{- end }}
{{- end }}
{{- with include "lethe.databaseCa" .root }}
- secret:
    name: {{ . }}
    optional: {{ $optional }}
    items: [{key: {{ ternary "ca.crt" $values.database.caSecret.key (eq $values.database.mode "cnpg") | quote }}, path: database.ca_file}]
{{- end }}
{{- end }}
{{- range $setting, $from := $values.secretSettings }}
- secret:
    name: {{ $from.name }}
    optional: {{ $optional }}
    items: [{key: {{ $from.key | quote }}, path: {{ $setting | quote }}}]
{{- end }}
{{- end -}}

{{- define "lethe.mounts" -}}
- {name: settings, mountPath: /etc/lethe, readOnly: true}
- {name: secrets, mountPath: /run/secrets/lethe, readOnly: true}
- {name: home, mountPath: /var/lib/lethe}
- {name: temporary, mountPath: /tmp}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* `root`, `configMap`, `withDatabase`, `isOptional`. */}}
{{- define "lethe.volumes" -}}
- name: settings
  {{- with .root.Values.existingConfig.name }}
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items: [{key: {{ $.root.Values.existingConfig.key | quote }}, path: lethe.yaml}]
  {{- else }}
  configMap: {name: {{ .configMap }}}
  {{- end }}
- name: secrets
  projected:
    defaultMode: 0440
    sources: {{- include "lethe.secretSources" . | nindent 6 }}
- {name: home, emptyDir: {sizeLimit: 16Mi}}
- {name: temporary, emptyDir: {medium: Memory, sizeLimit: 64Mi}}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "lethe.claim" -}}
{{- $volume := get .root.Values .name -}}
{{- $volume.existingClaim | default (printf "%s-%s" (include "lethe.fullname" .root) .name) -}}
{{- end -}}

{{/* A Job that runs the server's program. `root`, `component`, `hook`, `weight`, `args`, `configMap`, `withDatabase`, `isOptional`. */}}
{{- define "lethe.job" -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "lethe.fullname" .root }}-{{ .component }}
  labels: {{- include "lethe.labels" . | nindent 4 }}
  annotations: {{- include "lethe.hook" . | nindent 4 }}
spec:
  backoffLimit: {{ .backoffLimit | default 0 }}
  activeDeadlineSeconds: {{ .root.Values.jobs.deadlineSeconds }}
  template:
    metadata:
      labels: {{- include "lethe.labels" . | nindent 8 }}
    spec:
      restartPolicy: Never
      {{- include "lethe.podSecurity" .root | nindent 6 }}
      {{- include "lethe.placement" .root | nindent 6 }}
      containers:
        - name: {{ .component }}
          image: {{ include "lethe.image" .root }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          args: {{ toJson .args }}
          securityContext: {{- include "lethe.containerSecurity" .root | nindent 12 }}
          resources: {{- toYaml .root.Values.jobs.resources | nindent 12 }}
          env: {{- include "lethe.env" . | nindent 12 }}
          volumeMounts: {{- include "lethe.mounts" .root | nindent 12 }}
      volumes: {{- include "lethe.volumes" . | nindent 8 }}
{{- end -}}

{{- define "lethe.hook" -}}
helm.sh/hook: {{ .hook }}
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
