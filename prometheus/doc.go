// Package saprometheus exports what the Observe hooks of the library report as metrics
// of Prometheus. It is a module of its own, so that only programs that need it link
// Prometheus' client.
//
//	m, err := saprometheus.New(saprometheus.Config{Registerer: registry})
//	…
//	ring, err := keyring.Open(ctx, dir, keyring.Config{Observe: m.Keys("ring", nil)})
//	…
//	authenticator, err := tokens.NewAuthenticator(tokens.AuthenticatorConfig{
//		Keys: ring, Observe: m.Authenticator(nil), …
//	})
//
// A method of [Metrics] returns a func for each hook. Its argument is the program's own
// func for the same hook, such as one that logs, which is called after counting:
//
//	Observe: m.Authenticator(tracker.Observe)
//
// # Concepts
//
// What kube-apiserver and kube-controller-manager measure has their names and labels, so
// that dashboards and alerts for them fit: serviceaccount_stale_tokens_total,
// authentication_token_cache_request_total, apiserver_externaljwt_…, and so on. All else
// is called serviceaccount_…. docs/metrics.md of the repository has the list; beside this
// file are a dashboard for Grafana and alerts.
//
// Several components of one kind count into the same metrics. Sources of keys and tokens
// are told apart by a name that the program gives them.
//
// The queues and watches of sacontroller/manager have metrics of their own, which
// manager.Config.Metrics registers: no event is made for them.
//
// # Security
//
// The values of labels are fixed words, or names that the program gave. None is a
// namespace, a name, a key id, or anything else that a client, a token or an object of
// the cluster can choose, so their number is bounded, and metrics tell no names.
//
// # Compatibility
//
// The names and labels of upstream's metrics are those of Kubernetes v1.37. Its gauge
// authentication_token_cache_active_fetch_count has no counterpart: hooks report what has
// ended. What k8s.io/apiserver measures for every request, such as
// authentication_attempts, is left to it.
package saprometheus
