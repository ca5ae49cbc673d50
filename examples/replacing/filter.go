package replacing

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/bearer"
	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

// MayGet says whether a user has a verb on a path, for example by a SubjectAccessReview.
type MayGet func(ctx context.Context, username string, groups []string, verb, path string) (bool, error)

// NewMetricsFilter lets those ServiceAccounts read metrics that RBAC allows to:
// controller-runtime's WithAuthenticationAndAuthorization
// (pkg/metrics/filters/filters.go).
func NewMetricsFilter(verifier tokens.Verifier, may MayGet) (func(http.Handler) http.Handler, error) {
	return bearer.New(bearer.Config{
		Verifier: verifier,
		Authorize: func(r *http.Request, id *tokens.Identity) error {
			allowed, err := may(r.Context(), id.Username(), append(userinfo.Groups(id.Namespace), "system:authenticated"), strings.ToLower(r.Method), r.URL.Path)
			switch {
			case err != nil:
				return &tokens.UnavailableError{Subject: "SubjectAccessReview", Err: err}
			case !allowed:
				return errors.New("RBAC doesn't allow it")
			}
			return nil
		},
	})
}
