#!/usr/bin/env bash
# Prints the PrometheusRule with config/prometheus/portreeve.rules.yaml as its spec.
set -euo pipefail
cd "$(dirname "$0")/../.."

cat <<'END'
# Generated from portreeve.rules.yaml by make generate-chart. Do not edit.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: portreeve
  namespace: portreeve-system
spec:
END
sed -e '1,/^groups:/{/^#/d}' -e '/./s/^/  /' config/prometheus/portreeve.rules.yaml
