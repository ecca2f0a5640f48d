{{- define "worker.settings" -}}
{{ .Release.Name | trunc 30 | trimSuffix "-" }}-settings-{{ .Values.settings | toJson | sha256sum | trunc 10 }}
{{- end -}}
{{- define "worker.pod" -}}
serviceAccountName: {{ .Release.Name }}
containers:
  - name: worker
    image: {{ .Values.image }}
    envFrom:
      - configMapRef: {name: {{ include "worker.settings" . }}}
      - secretRef: {name: {{ .Release.Name }}-overrides, optional: true}
    env:
      - name: TOKEN
        valueFrom: {secretKeyRef: {name: worker-token, key: token}}
    resources: {{- toYaml .Values.resources | nindent 6 }}
{{- end -}}
