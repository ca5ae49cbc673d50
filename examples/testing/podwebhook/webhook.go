// Package podwebhook is a webhook that gives pods their service account, and an
// example of how to test one: its test keeps the accounts in a fake.Cluster and
// sends it reviews as an API server does, over HTTP.
package podwebhook

import (
	"context"
	"net/http"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/webhook"
)

// New returns a webhook that answers at /admit. It calls refused with each request
// that it denied.
func New(accounts admission.ServiceAccountGetter, refused func(namespace string, err error)) (http.Handler, error) {
	plugin, err := admission.New(admission.Config{ServiceAccounts: accounts, Strict: true})
	if err != nil {
		return nil, err
	}
	handler, err := webhook.New(plugin, webhook.Config{
		Observe: func(_ context.Context, e webhook.Event) {
			if !e.Allowed {
				refused(e.Namespace, e.Err)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /admit", handler)
	return mux, nil
}
