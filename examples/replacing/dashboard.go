package replacing

import (
	"net/http"
	"time"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/bearer"
	"github.com/kubesa/serviceaccount/tokens/cached"
)

// NewDashboardAuth authenticates the requests of a dashboard, and asks about each token once
// in a minute: Kueue's kueueviz (cmd/kueueviz/backend/middleware/auth.go), for
// ServiceAccounts. A WebSocket asks verifier itself again, which has no cache.
func NewDashboardAuth(verifier tokens.Verifier) (func(http.Handler) http.Handler, error) {
	remembered, err := cached.New(cached.Config{Verifier: verifier, TTL: time.Minute, NegativeTTL: 5 * time.Second})
	if err != nil {
		return nil, err
	}
	return bearer.New(bearer.Config{Verifier: remembered})
}
