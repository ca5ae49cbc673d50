// Package monitoring has no code but tests: that docs/metrics.md lists what is exported,
// and that the dashboard and the alerts of the module prometheus fit it, by Prometheus'
// own parser and engine.
package monitoring
