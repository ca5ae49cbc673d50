package tokensource_test

import "github.com/kubesa/serviceaccount/tokens/internal/tokentest"

var now = tokentest.Now

func must[T any](v T, err error) T { return tokentest.Must(v, err) }
