package tokens

import (
	"maps"
	"slices"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// checkExtraClaims checks [AuthenticatorConfig.ExtraClaims]: the keys have a domain of
// one's own, and the claims no meaning of Kubernetes'.
func checkExtraClaims(mistakes *configerror.List, claims map[string]string) {
	keys := map[string]bool{}
	for _, claim := range slices.Sorted(maps.Keys(claims)) {
		key, field := claims[claim], "ExtraClaims["+claim+"]"
		switch err := payload.CheckExtraKey(key); {
		case claim == "" || payload.IsReserved(claim):
			mistakes.Add(field, "is of a claim with a meaning of its own, want another one")
		case err != nil:
			mistakes.Add(field, "%v", err)
		case keys[key]:
			mistakes.Add(field, "is %q, which another claim has", key)
		}
		keys[key] = true
	}
}

// addExtra adds the claims that become extra, which Secret-based tokens don't have.
func (a *attempt) addExtra(id *Identity) error {
	if id.Legacy {
		return nil
	}
	for _, claim := range a.extraClaims {
		values, _, err := ClaimOf[[]string](id, claim)
		if err != nil {
			var value string
			if value, _, err = ClaimOf[string](id, claim); err != nil {
				return &InvalidError{ReasonInvalidClaim, claim}
			}
			values = []string{value}
		}
		if len(values) > 0 {
			id.addMore(a.cfg.ExtraClaims[claim], values)
		}
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
