package saruntime

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/bearer"
	"github.com/kubesa/serviceaccount/tokens/cached"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
)

// tokenTTL is how long the metrics server believes an answer about a token, as
// Kubernetes does.
const tokenTTL = 10 * time.Second

// MetricsFilter returns a FilterProvider for the metrics server of a manager: requests
// need the token of a ServiceAccount for one of audiences, whose RBAC allows get on the
// path, such as /metrics.
//
//	Metrics: metricsserver.Options{SecureServing: true, FilterProvider: saruntime.MetricsFilter("metrics.example.com")}
//
// Unlike controller-runtime's own filter it doesn't link k8s.io/apiserver, and takes no
// token of the API server's own audience, with which whoever reads metrics requests
// could act at the API server in the sender's name. The manager's account needs the
// ClusterRole system:auth-delegator. An unusable audience is a [*ConfigError] of the
// provider.
func MetricsFilter(audiences ...string) func(*rest.Config, *http.Client) (metricsserver.Filter, error) {
	audiences = slices.Clone(audiences)
	return func(config *rest.Config, httpClient *http.Client) (metricsserver.Filter, error) {
		api, err := reviewClient(config, httpClient)
		if err != nil {
			return nil, err
		}
		reviews, err := tokenreview.NewClient(tokenreview.ClientConfig{
			Audiences: audiences,
			Reviews: tokenreview.CreatorFunc(func(ctx context.Context, review *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
				return review, api.Create(ctx, review)
			}),
		})
		if err != nil {
			return nil, err
		}
		verifier, err := cached.New(cached.Config{Verifier: reviews, TTL: tokenTTL})
		if err != nil {
			return nil, err
		}
		return func(log logr.Logger, next http.Handler) (http.Handler, error) {
			middleware, err := bearer.New(bearer.Config{
				Verifier: verifier,
				Authorize: func(r *http.Request, id *tokens.Identity) error {
					return mayRead(r.Context(), api, id.UserInfo(), strings.ToLower(r.Method), r.URL.Path)
				},
				Observe: func(_ context.Context, e bearer.Event) {
					if e.Err != nil {
						log.V(4).Info("Request refused", "status", e.Status, "reason", e.Err.Error())
					}
				},
			})
			if err != nil {
				return nil, err
			}
			return middleware(next), nil
		}, nil
	}
}

// reviewClient returns a client for reviews, which needs no discovery.
func reviewClient(config *rest.Config, httpClient *http.Client) (client.Client, error) {
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(authenticationv1.SchemeGroupVersion.WithKind("TokenReview"), meta.RESTScopeRoot)
	mapper.Add(authorizationv1.SchemeGroupVersion.WithKind("SubjectAccessReview"), meta.RESTScopeRoot)
	c, err := client.New(config, client.Options{HTTPClient: httpClient, Mapper: mapper})
	if err != nil {
		return nil, fmt.Errorf("saruntime: %w", err)
	}
	return c, nil
}

// mayRead asks the API server whether user may do verb on path.
func mayRead(ctx context.Context, api client.Client, user authenticationv1.UserInfo, verb, path string) error {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: append(slices.Clone(user.Groups), "system:authenticated"),
		Extra:                 map[string]authorizationv1.ExtraValue{},
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: verb, Path: path},
	}}
	for key, values := range user.Extra {
		review.Spec.Extra[key] = authorizationv1.ExtraValue(values)
	}
	if err := api.Create(ctx, review); err != nil {
		return &tokens.UnavailableError{Subject: "SubjectAccessReview", Err: err}
	}
	if !review.Status.Allowed {
		return fmt.Errorf("saruntime: %s may not %s %s", user.Username, verb, path)
	}
	return nil
}
