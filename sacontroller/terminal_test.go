package sacontroller_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
)

var (
	errInvalid   = apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "x", nil)
	errForbidden = apierrors.NewForbidden(corev1.Resource("secrets"), "x", errors.New("exceeded quota"))
	errTooLarge  = apierrors.NewRequestEntityTooLargeError("limit is 3145728")
	errEtcdLimit = apierrors.NewInternalError(errors.New("etcdserver: request is too large"))
)

func annotated(name string) *corev1.Secret {
	return tokenWith(func(s *corev1.Secret) {
		s.Data, s.Annotations = nil, map[string]string{corev1.ServiceAccountNameKey: name}
	})
}

// What can't succeed until an object changes says why and is not retried; what may
// succeed by itself is. The calls that were made are those of the Client, apart from
// those that read the Namespace.
func TestTerminalErrors(t *testing.T) {
	sealed := incomplete()
	sealed.Immutable = new(true)
	full := tokenWith(func(s *corev1.Secret) {
		delete(s.Data, "token")
		s.Data["padding"] = make([]byte, corev1.MaxSecretSize-len("CA Data")-len("ns"))
	})
	other := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "kube-root-ca.crt"}, Data: map[string]string{"ca.crt": "other"}}
	sealedCA := other.DeepCopy()
	sealedCA.Immutable = new(true)
	const createSA, createCA, updateCA = "create serviceaccounts ns/default", "create configmaps ns/kube-root-ca.crt", "update configmaps ns/kube-root-ca.crt"
	const createSec, generated = "create secrets ns/default-token-xxxx2", "delete secrets ns/default-token-xxxx2"
	namespaceKey := sacontroller.Key{Kind: "Namespace", Name: "ns"}

	tokens := func(t *testing.T, cluster *fake.Cluster) sacontroller.Controller { return newTokens(t, cluster) }
	generates := func(t *testing.T, cluster *fake.Cluster) sacontroller.Controller {
		return newTokens(t, cluster, numbered)
	}
	accounts := func(t *testing.T, cluster *fake.Cluster) sacontroller.Controller { return newAccounts(t, cluster) }
	publisher := func(t *testing.T, cluster *fake.Cluster) sacontroller.Controller { return newPublisher(t, cluster) }
	tracker := func(t *testing.T, cluster *fake.Cluster) sacontroller.Controller {
		now := fake.Epoch
		return newTracker(t, cluster, cluster.Reader(), &now)
	}
	tests := []struct {
		name       string
		controller func(*testing.T, *fake.Cluster) sacontroller.Controller
		key        sacontroller.Key
		world      []runtime.Object
		fault      *fault.Fault
		want       string // in the error
		calls      []string
		retried    bool
	}{
		{name: "immutable and incomplete", controller: tokens, key: secretKey, world: objects(account(), sealed), want: "Secret ns/token-secret-1 is immutable and incomplete"},
		{name: "too large to be filled", controller: tokens, key: secretKey, world: objects(account(), full), want: "Secret ns/token-secret-1 would hold 1048614 bytes once it is filled, want at most 1048576"},
		{name: "annotated with two segments", controller: tokens, key: secretKey, world: objects(annotated("a/b")), want: `is annotated with the ServiceAccount "a/b", which can't exist`},
		{name: "annotated with a path", controller: tokens, key: secretKey, world: objects(annotated("../../../namespaces/kube-system/secrets/x")), want: `"../../../namespaces/kube-system/secrets/x", which can't exist`},
		{name: "annotated with two dots", controller: tokens, key: secretKey, world: objects(annotated("..")), want: "can't exist"},
		{name: "annotated with one dot", controller: tokens, key: secretKey, world: objects(annotated(".")), want: "can't exist"},
		{name: "annotated with an escape", controller: tokens, key: secretKey, world: objects(annotated("%2e%2e")), want: "can't exist"},
		{name: "filling is invalid", controller: tokens, key: secretKey, world: objects(account(), incomplete()), fault: fault.On("update", "secrets", errInvalid), want: "filling Secret ns/token-secret-1: ", calls: []string{updateSec}},
		{name: "filling is too large", controller: tokens, key: secretKey, world: objects(account(), incomplete()), fault: fault.On("update", "secrets", errTooLarge), want: "limit is 3145728", calls: []string{updateSec}},
		{name: "filling is too large for etcd", controller: tokens, key: secretKey, world: objects(account(), incomplete()), fault: fault.On("update", "secrets", errEtcdLimit), want: "request is too large", calls: []string{updateSec}},
		{name: "filling is forbidden", controller: tokens, key: secretKey, world: objects(account(), incomplete()), fault: fault.On("update", "secrets", errForbidden), want: "exceeded quota", calls: []string{updateSec}, retried: true},
		{name: "generated Secret is invalid", controller: generates, key: accountKey, world: objects(account()), fault: fault.On("create", "secrets", errInvalid), want: "creating a token Secret for ServiceAccount ns/default: ", calls: []string{getSA, createSec}},
		{name: "generated Secret is forbidden", controller: generates, key: accountKey, world: objects(account()), fault: fault.On("create", "secrets", errForbidden), want: "exceeded quota", calls: []string{getSA, createSec}, retried: true},
		{name: "account has no room for the reference", controller: generates, key: accountKey, world: objects(account()), fault: fault.On("update", "serviceaccounts", errEtcdLimit), want: "listing a new token Secret in ServiceAccount ns/default: ", calls: []string{getSA, createSec, updateSA, generated}},
		{name: "account can't lose the reference", controller: tokens, key: accountKey, world: objects(accountListing("default-token-x7k2q")), fault: fault.On("update", "serviceaccounts", errInvalid), want: "removing references from ServiceAccount ns/default: ", calls: []string{getSA, "get secrets ns/default-token-x7k2q", updateSA}},

		{name: "account is invalid", controller: accounts, key: namespaceKey, world: objects(active("ns")), fault: fault.On("create", "serviceaccounts", errInvalid), want: "is invalid", calls: []string{createSA, "create serviceaccounts ns/managed"}},
		{name: "one account is invalid, the other forbidden", controller: accounts, key: namespaceKey, world: objects(active("ns")), fault: fault.Any(fault.First(1, "create", "serviceaccounts", errInvalid), fault.On("create", "serviceaccounts", errForbidden)), want: "exceeded quota", calls: []string{createSA, "create serviceaccounts ns/managed"}, retried: true},

		{name: "ConfigMap is immutable", controller: publisher, key: namespaceKey, world: objects(active("ns"), sealedCA), want: "ConfigMap ns/kube-root-ca.crt is immutable and holds another bundle"},
		{name: "update of the ConfigMap is invalid", controller: publisher, key: namespaceKey, world: objects(active("ns"), other), fault: fault.On("update", "configmaps", errInvalid), want: "updating ConfigMap ns/kube-root-ca.crt: ", calls: []string{updateCA}},
		{name: "ConfigMap is too large", controller: publisher, key: namespaceKey, world: objects(active("ns")), fault: fault.On("create", "configmaps", errTooLarge), want: "creating ConfigMap ns/kube-root-ca.crt: ", calls: []string{createCA}},
		{name: "ConfigMap is forbidden", controller: publisher, key: namespaceKey, world: objects(active("ns")), fault: fault.On("create", "configmaps", errForbidden), want: "exceeded quota", calls: []string{createCA}, retried: true},
		{name: "tracking is invalid", controller: tracker, key: trackingKey, world: objects(tracking(nil)), fault: fault.On("update", "configmaps", errInvalid), want: "updating the tracking ConfigMap: ", calls: []string{"update configmaps kube-system/" + trackingName}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cluster := fake.New(tt.world...)
			if tt.fault != nil {
				cluster.Inject(tt.fault)
			}
			c := tt.controller(t, cluster)
			result, err := c.Reconcile(t.Context(), tt.key)
			if err == nil || !strings.Contains(err.Error(), tt.want) || result != (sacontroller.Result{}) {
				t.Fatalf("Reconcile() = %v, %v, want no result and an error with %q", result, err, tt.want)
			}
			var terminal *sacontroller.TerminalError
			if errors.As(err, &terminal) == tt.retried {
				t.Errorf("Reconcile() = %#v, want it retried: %t", err, tt.retried)
			}
			got := calls(cluster)
			for i, call := range got {
				if strings.HasPrefix(call, generated) {
					got[i] = generated // without its UID
				}
			}
			diff(t, "calls", tt.calls, got)
			if l, ok := c.(interface {
				LastError(sacontroller.Key) error
			}); ok && l.LastError(tt.key) != err {
				t.Errorf("LastError() = %v, want %v", l.LastError(tt.key), err)
			}
			if c, ok := c.(*sacontroller.Tokens); ok && !tt.retried && c.Pending() > 0 {
				t.Error("a Secret is remembered as unfinished that can't be created or listed")
			}
		})
	}
}

// A name that an API server can be asked for, but that no account can have, makes an
// orphan, as it does for Kubernetes (CTL-42); nobody is asked for the account.
func TestTokensInvalidAccountName(t *testing.T) {
	for _, name := range []string{"Default", "a_b", "a b", "-", "ä", "a?b=c", "a\nb", strings.Repeat("x", 300)} {
		cluster := fake.New(annotated(name))
		c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) { cfg.Reader = onlySecrets{cluster.Reader()} })
		keys := c.Due(sacontroller.Change{Type: watch.Added, Object: annotated(name)})
		if len(keys) != 1 || len(keys[0].ServiceAccountName) > 256 {
			t.Fatalf("Due() for %.20q = %v, want one short key", name, keys)
		}
		if _, err := c.Reconcile(t.Context(), keys[0]); err != nil {
			t.Errorf("%.20q: Reconcile() = %v, want nil", name, err)
		}
		diff(t, "calls", []string{getSec, deleteSec}, calls(cluster))
	}
}

// onlySecrets is a Reader that is never to be asked for an account.
type onlySecrets struct{ *fake.Reader }

func (onlySecrets) GetServiceAccount(context.Context, string, string) (*corev1.ServiceAccount, error) {
	return nil, errors.New("asked for an account that can't exist")
}

// After the account changes, what was given up is taken up again.
func TestTerminalErrorHeals(t *testing.T) {
	sealed := incomplete()
	sealed.Immutable = new(true)
	cluster := fake.New(account(), sealed)
	c := newTokens(t, cluster)
	var unsettled *fake.UnsettledError
	if err := cluster.Settle(t.Context(), c); !errors.As(err, &unsettled) || len(unsettled.Failed) != 1 {
		t.Fatalf("Settle() = %v, want one key that can't succeed", err)
	}
	if err := cluster.DeleteSecret(t.Context(), "ns", "token-secret-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	again := incomplete()
	again.UID = ""
	if _, err := cluster.CreateSecret(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	settle(t, cluster, c)
	if len(getSecret(t, cluster, "ns", "token-secret-1").Data["token"]) == 0 {
		t.Error("the Secret that was created again has no token")
	}
}
