package tokenrequest_test

import (
	"fmt"
	"time"

	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
)

// A config without its required fields is an error that names them all.
func ExampleNew() {
	issuer, _, getter := newExample()
	requester, err := tokenrequest.New(tokenrequest.Config{Issuer: issuer, APIAudiences: []string{"api"}, ServiceAccounts: getter})
	fmt.Println(requester != nil, err)

	_, err = tokenrequest.New(tokenrequest.Config{Issuer: issuer, MaxLifetime: time.Minute})
	fmt.Println(err)

	// Output:
	// true <nil>
	// tokenrequest: Config.APIAudiences is [], want at least one audience and no empty one
	// tokenrequest: Config.ServiceAccounts is required, want a ServiceAccountGetter
	// tokenrequest: Config.MaxLifetime is 1m0s, want 0 or 10 minutes to 2^32 seconds
}
