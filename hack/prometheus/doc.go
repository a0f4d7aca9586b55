// Package prometheus reads config/prometheus: the alerts and the dashboards, as far as
// tests must know them. Its own tests run them on Debian's Prometheus and Alertmanager,
// which fetch.sh unpacks; where these are missing the tests skip themselves.
package prometheus
