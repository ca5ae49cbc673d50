package saruntime_test

import (
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	saruntime "github.com/kubesa/serviceaccount/controllerruntime"
	"github.com/kubesa/serviceaccount/sacontroller"
)

var quiet = logr.Discard()

var noMetrics = metricsserver.Options{BindAddress: "0"}

// Controllers of package sacontroller do on a manager what they do elsewhere: SAC-1,
// CTL-21, CTL-41, RCA-1.
func TestControllers(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	reader, live := w.runtime.Reader(), w.runtime.Client()
	accounts := must(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: reader, Client: live}))
	tokens := must(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: reader, Client: live, Issuer: w.authority.Issuer}))
	for _, c := range []sacontroller.Controller{accounts, tokens} {
		if err := w.runtime.Add(c, saruntime.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	must(live.CreateNamespace(ctx, namespace("before")))
	w.start(t)
	must(live.CreateNamespace(ctx, namespace("after")))
	for _, ns := range []string{"before", "after"} {
		eventually(t, func() string {
			if _, err := live.GetServiceAccount(ctx, ns, "default"); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	must(live.CreateSecret(ctx, tokenSecret("after", "token", "default")))
	eventually(t, func() string {
		s := must(live.GetSecret(ctx, "after", "token"))
		if len(s.Data[corev1.ServiceAccountTokenKey]) == 0 {
			return "the Secret isn't filled"
		}
		return ""
	})
	if err := live.DeleteServiceAccount(ctx, "after", "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if _, err := live.GetSecret(ctx, "after", "token"); !apierrors.IsNotFound(err) {
			return "the orphaned Secret is still there"
		}
		return ""
	})
}
