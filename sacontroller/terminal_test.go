package sacontroller_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
)

func annotated(name string) *corev1.Secret {
	return satest.TokenWith(func(s *corev1.Secret) {
		s.Data, s.Annotations = nil, map[string]string{corev1.ServiceAccountNameKey: name}
	})
}

// What can't succeed until an object changes says why and is not retried; what may
// succeed by itself is. The calls that were made are those of the Client, apart from
// those that read the Namespace.
func TestTerminalErrors(t *testing.T) {
	sealed := incomplete()
	sealed.Immutable = new(true)
	full := satest.TokenWith(func(s *corev1.Secret) {
		delete(s.Data, "token")
		s.Data["padding"] = make([]byte, corev1.MaxSecretSize-len("CA Data")-len("ns"))
	})
	const createSA = "create serviceaccounts ns/default"
	const createSec, generated = "create secrets ns/default-token-xxxx2", "delete secrets ns/default-token-xxxx2"
	namespaceKey := sacontroller.Key{Kind: "Namespace", Name: "ns"}

	tokens := func(t *testing.T, cluster *fake.Cluster) sacontroller.Controller { return newTokens(t, cluster) }
	generates := func(t *testing.T, cluster *fake.Cluster) sacontroller.Controller {
		return newTokens(t, cluster, numbered)
	}
	accounts := func(t *testing.T, cluster *fake.Cluster) sacontroller.Controller { return newAccounts(t, cluster) }
	satest.Terminal(t, []satest.TerminalCase{
		{Name: "immutable and incomplete", Controller: tokens, Key: secretKey, World: satest.Objects(satest.Account(), sealed), Want: "Secret ns/token-secret-1 is immutable and incomplete"},
		{Name: "too large to be filled", Controller: tokens, Key: secretKey, World: satest.Objects(satest.Account(), full), Want: "Secret ns/token-secret-1 would hold 1048614 bytes once it is filled, want at most 1048576"},
		{Name: "annotated with two segments", Controller: tokens, Key: secretKey, World: satest.Objects(annotated("a/b")), Want: `is annotated with the ServiceAccount "a/b", which can't exist`},
		{Name: "annotated with a path", Controller: tokens, Key: secretKey, World: satest.Objects(annotated("../../../namespaces/kube-system/secrets/x")), Want: `"../../../namespaces/kube-system/secrets/x", which can't exist`},
		{Name: "annotated with two dots", Controller: tokens, Key: secretKey, World: satest.Objects(annotated("..")), Want: "can't exist"},
		{Name: "annotated with one dot", Controller: tokens, Key: secretKey, World: satest.Objects(annotated(".")), Want: "can't exist"},
		{Name: "annotated with an escape", Controller: tokens, Key: secretKey, World: satest.Objects(annotated("%2e%2e")), Want: "can't exist"},
		{Name: "filling is invalid", Controller: tokens, Key: secretKey, World: satest.Objects(satest.Account(), incomplete()), Fault: fault.On("update", "secrets", satest.ErrInvalid), Want: "filling Secret ns/token-secret-1: ", Calls: []string{updateSec}},
		{Name: "filling is too large", Controller: tokens, Key: secretKey, World: satest.Objects(satest.Account(), incomplete()), Fault: fault.On("update", "secrets", satest.ErrTooLarge), Want: "limit is 3145728", Calls: []string{updateSec}},
		{Name: "filling is too large for etcd", Controller: tokens, Key: secretKey, World: satest.Objects(satest.Account(), incomplete()), Fault: fault.On("update", "secrets", satest.ErrEtcdLimit), Want: "request is too large", Calls: []string{updateSec}},
		{Name: "filling is too large for the connection to etcd", Controller: tokens, Key: secretKey, World: satest.Objects(satest.Account(), incomplete()), Fault: fault.On("update", "secrets", satest.ErrGRPCLimit), Want: "larger than max", Calls: []string{updateSec}},
		{Name: "filling is forbidden", Controller: tokens, Key: secretKey, World: satest.Objects(satest.Account(), incomplete()), Fault: fault.On("update", "secrets", satest.ErrForbidden), Want: "exceeded quota", Calls: []string{updateSec}, Retried: true},
		{Name: "generated Secret is invalid", Controller: generates, Key: accountKey, World: satest.Objects(satest.Account()), Fault: fault.On("create", "secrets", satest.ErrInvalid), Want: "creating a token Secret for ServiceAccount ns/default: ", Calls: []string{getSA, createSec}},
		{Name: "generated Secret is forbidden", Controller: generates, Key: accountKey, World: satest.Objects(satest.Account()), Fault: fault.On("create", "secrets", satest.ErrForbidden), Want: "exceeded quota", Calls: []string{getSA, createSec}, Retried: true},
		{Name: "account has no room for the reference", Controller: generates, Key: accountKey, World: satest.Objects(satest.Account()), Fault: fault.On("update", "serviceaccounts", satest.ErrEtcdLimit), Want: "listing a new token Secret in ServiceAccount ns/default: ", Calls: []string{getSA, createSec, updateSA, generated}},
		{Name: "account can't lose the reference", Controller: tokens, Key: accountKey, World: satest.Objects(satest.AccountListing("default-token-x7k2q")), Fault: fault.On("update", "serviceaccounts", satest.ErrInvalid), Want: "removing references from ServiceAccount ns/default: ", Calls: []string{getSA, "get secrets ns/default-token-x7k2q", updateSA}},

		{Name: "account is invalid", Controller: accounts, Key: namespaceKey, World: satest.Objects(satest.Active("ns")), Fault: fault.On("create", "serviceaccounts", satest.ErrInvalid), Want: "is invalid", Calls: []string{createSA, "create serviceaccounts ns/managed"}},
		{Name: "one account is invalid, the other forbidden", Controller: accounts, Key: namespaceKey, World: satest.Objects(satest.Active("ns")), Fault: fault.Any(fault.First(1, "create", "serviceaccounts", satest.ErrInvalid), fault.On("create", "serviceaccounts", satest.ErrForbidden)), Want: "exceeded quota", Calls: []string{createSA, "create serviceaccounts ns/managed"}, Retried: true},
	})
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
		satest.Diff(t, "calls", []string{getSec, deleteSec}, satest.Calls(cluster))
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
	cluster := fake.New(satest.Account(), sealed)
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
	satest.Settle(t, cluster, c)
	if len(satest.GetSecret(t, cluster, "ns", "token-secret-1").Data["token"]) == 0 {
		t.Error("the Secret that was created again has no token")
	}
}

// noErrors joins none.
type noErrors struct{ error }

func (noErrors) Unwrap() []error { return nil }

func TestIsTerminal(t *testing.T) {
	terminal, other := error(&sacontroller.TerminalError{Err: errors.New("immutable")}), errors.New("busy")
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false}, {other, false}, {terminal, true}, {fmt.Errorf("x: %w", terminal), true}, {fmt.Errorf("x: %v", terminal), false},
		{errors.Join(terminal), true}, {noErrors{other}, false}, {errors.Join(terminal, terminal), true}, {errors.Join(terminal, other), false}, {fmt.Errorf("%w, %w", other, terminal), false},
	} {
		if got := sacontroller.IsTerminal(tt.err); got != tt.want {
			t.Errorf("IsTerminal(%v) = %v, want %v", tt.err, got, tt.want)
		}
	}
}
