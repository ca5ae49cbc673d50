package bearergrpc_test

import (
	"testing"

	"github.com/kubesa/serviceaccount/internal/configerror/configtest"
	"github.com/kubesa/serviceaccount/tokens"
	bearergrpc "github.com/kubesa/serviceaccount/tokens/bearer/grpc"
)

// New finds all mistakes, and panics at none.
func TestConfigOfMistakes(t *testing.T) {
	configtest.Of(bearergrpc.New).Check(t, (*tokens.Authenticator)(nil))
}
