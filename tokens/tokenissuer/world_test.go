package tokenissuer_test

import (
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

const api = tokentest.APIAudience

var (
	rsaKey   = tokentest.RSAKey
	ecKey    = tokentest.ECKey
	otherKey = tokentest.OtherKey
)

func must[T any](v T, err error) T { return tokentest.Must(v, err) }
