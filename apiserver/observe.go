package apiserver

import (
	"context"

	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/warning"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
)

// ObserveAuthentication adds the audit annotations of e to the audit event of the
// request that ctx belongs to, and sends its warnings with the response. It is an
// Observe of [tokens.AuthenticatorConfig]. Outside of a request it does nothing.
func ObserveAuthentication(ctx context.Context, e tokens.Event) {
	tell(ctx, e.AuditAnnotations(), e.Warnings())
}

// ObserveTokenRequest does the same for a TokenRequest. It is an Observe of
// [tokenrequest.Config].
func ObserveTokenRequest(ctx context.Context, e tokenrequest.Event) {
	tell(ctx, e.AuditAnnotations, e.Warnings)
}

func tell(ctx context.Context, annotations map[string]string, warnings []string) {
	if len(annotations) > 0 {
		audit.AddAuditAnnotationsMap(ctx, annotations)
	}
	for _, text := range warnings {
		warning.AddWarning(ctx, "", text)
	}
}

// observers returns a hook that calls each of hooks that isn't nil.
func observers[E any](hooks ...func(context.Context, E)) func(context.Context, E) {
	return func(ctx context.Context, e E) {
		for _, hook := range hooks {
			if hook != nil {
				hook(ctx, e)
			}
		}
	}
}
