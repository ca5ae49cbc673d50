package manager_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	"github.com/kubesa/serviceaccount/internal/configerror/configtest"
	"github.com/kubesa/serviceaccount/sacontroller/manager"
)

// New finds all mistakes, and panics at none.
func TestConfigOfMistakes(t *testing.T) {
	configtest.Of(manager.New).Check(t, (*clientset.Clientset)(nil), (*metadata.Client)(nil), (*prometheus.Registry)(nil))
}
