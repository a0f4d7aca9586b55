#!/usr/bin/env bash
# Prints the PrometheusRule that config/prometheus/portreeve.rules.yaml is the spec of.
set -euo pipefail
cd "$(dirname "$0")/../.."

cat <<'END'
# Made from portreeve.rules.yaml by make generate-chart; change that instead.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: portreeve
  namespace: portreeve-system
spec:
END
sed -e '1,/^groups:/{/^#/d}' -e '/./s/^/  /' config/prometheus/portreeve.rules.yaml
