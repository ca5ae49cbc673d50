package tokens

import "github.com/kubesa/serviceaccount/internal/configerror"

// Lookups says which objects an [Authenticator] looks up for each token, and so which
// deletions revoke one.
type Lookups string

const (
	// LookupAll looks up the account and the object that the token is bound to, as
	// Kubernetes does.
	LookupAll Lookups = ""

	// LookupAccounts looks up the account only: a token outlives its pod, its node or
	// its Secret until it expires. Secret-based tokens can't be accepted so.
	LookupAccounts Lookups = "Accounts"

	// LookupNothing verifies the token alone, with the issuer's keys: nothing revokes
	// it before it expires, and nothing a Secret-based one. Bound what that is worth
	// with [Policy.MaxLifetime], or ask the API server, with the client of
	// tokens/tokenreview.
	LookupNothing Lookups = "Nothing"
)

// checkLookups says what is possible with the getters that there are.
func (cfg *AuthenticatorConfig) checkLookups(mistakes *configerror.List) {
	const accounts = "a getter (ServiceAccountTokenGetter must be provided), or Lookups: LookupNothing to verify tokens with the issuer's keys alone"
	switch cfg.Lookups {
	case LookupAll:
		mistakes.Require("ServiceAccounts", cfg.ServiceAccounts, accounts)
		if cfg.Legacy && cfg.Secrets == nil {
			mistakes.Require("Secrets", cfg.Secrets, "a getter for Secret-based tokens")
		}
	case LookupAccounts:
		mistakes.Require("ServiceAccounts", cfg.ServiceAccounts, accounts)
		if cfg.Legacy {
			mistakes.Add("Legacy", "is set, but only the Secret revokes a Secret-based token, want LookupAll")
		}
	case LookupNothing:
	default:
		mistakes.Add("Lookups", "is %.64q, want LookupAll, LookupAccounts or LookupNothing", cfg.Lookups)
	}
}
