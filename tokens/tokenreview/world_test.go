package tokenreview_test

import (
	"net/http"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
)

const api = tokentest.APIAudience

var (
	ecKey    = tokentest.ECKey
	otherKey = tokentest.OtherKey
)

func must[T any](v T, err error) T { return tokentest.Must(v, err) }

// newHandler returns a handler that asks v.
func newHandler(v tokens.Verifier, cfg tokenreview.HandlerConfig) http.Handler {
	cfg.Verifier = v
	return must(tokenreview.NewHandler(cfg))
}
