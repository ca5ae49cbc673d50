package saprometheus_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubesa/serviceaccount/internal/configerror/configtest"
	saprometheus "github.com/kubesa/serviceaccount/prometheus"
)

// New finds all mistakes, and panics at none.
func TestConfigOfMistakes(t *testing.T) {
	configtest.Of(saprometheus.New).Check(t, (*prometheus.Registry)(nil))
}
