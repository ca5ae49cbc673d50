package lastused_test

import "github.com/kubesa/serviceaccount/tokens/internal/tokentest"

var (
	now   = tokentest.Now
	ecKey = tokentest.ECKey
)

func must[T any](v T, err error) T { return tokentest.Must(v, err) }
