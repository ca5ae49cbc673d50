// Package podwebhook is a webhook that gives pods their service account, and an
// example of how to test one: its test keeps the accounts in a fake.Cluster and
// sends it reviews as an API server does, over HTTP.
package podwebhook

import (
	"net/http"

	"github.com/kubesa/serviceaccount/admission"
)

// New returns a webhook that answers at /admit. It is told of each review that it
// has refused.
func New(accounts admission.ServiceAccountGetter, refused func(namespace string, err error)) (http.Handler, error) {
	plugin, err := admission.New(admission.Config{ServiceAccounts: accounts, Strict: true})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /admit", admission.NewHandler(plugin, admission.HandlerConfig{
		Observe: func(o admission.Outcome) {
			if !o.Allowed {
				refused(o.Namespace, o.Err)
			}
		},
	}))
	return mux, nil
}
