package saruntime_test

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	saruntime "github.com/kubesa/serviceaccount/controllerruntime"
	"github.com/kubesa/serviceaccount/internal/configerror/configtest"
)

// New finds all mistakes, and panics at none.
func TestConfigOfMistakes(t *testing.T) {
	configtest.Of(saruntime.New).Check(t, (*struct{ manager.Manager })(nil), (*struct{ cache.Cache })(nil))
}
