// Package prometheus parses the alerting rules and dashboards in config/prometheus for
// tests. Its own tests run them in Debian's Prometheus and Alertmanager, which fetch.sh
// unpacks, and are skipped without these programs.
package prometheus
