package tokens

import (
	"maps"
	"slices"
	"strings"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// checkExtraClaims checks [AuthenticatorConfig.ExtraClaims]: the keys have a domain of
// one's own, and the claims no meaning of Kubernetes'.
func checkExtraClaims(mistakes *configerror.List, claims map[string]string) {
	keys := map[string]bool{}
	for _, claim := range slices.Sorted(maps.Keys(claims)) {
		key := claims[claim]
		field := "ExtraClaims[" + claim + "]"
		switch {
		case claim == "" || payload.IsReserved(claim):
			mistakes.Add(field, "is of a claim with a meaning of its own, want another one")
		case extraKeyProblem(key) != "":
			mistakes.Add(field, "is %q, want %s", key, extraKeyProblem(key))
		case keys[key]:
			mistakes.Add(field, "is %q, which another claim has", key)
		}
		keys[key] = true
	}
}

func isKubernetesDomain(domain string) bool {
	for _, own := range []string{"kubernetes.io", "k8s.io"} {
		if domain == own || strings.HasSuffix(domain, "."+own) {
			return true
		}
	}
	return false
}

// addExtra reads the claims that become extra.
func (id *Identity) addExtra(claims map[string]string) error {
	if len(claims) == 0 || id.Legacy {
		return nil
	}
	for _, claim := range slices.Sorted(maps.Keys(claims)) {
		values, ok, err := ClaimOf[[]string](id, claim)
		if err != nil {
			var value string
			if value, _, err = ClaimOf[string](id, claim); err != nil {
				return &InvalidError{ReasonInvalidClaim, claim}
			}
			values = []string{value}
		}
		if !ok || len(values) == 0 {
			continue
		}
		id.addMore(claims[claim], values)
	}
	return nil
}

// addMore adds one key to the extra.
func (id *Identity) addMore(key string, values []string) {
	if id.more == nil {
		id.more = map[string][]string{}
	}
	id.more[key] = values
}
