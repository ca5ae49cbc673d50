// Package satest has the world that the tests of the controllers start from: an account
// with its token Secret, of which they break one thing each, and what is asked of every
// controller.
package satest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// ErrBusy is what an API server that can't answer says.
var ErrBusy = apierrors.NewInternalError(errors.New("etcd is busy"))

// Stale returns a cluster that holds live and fails by fault, and a Reader that holds
// cached and fails by read. Without live the cluster holds cached, too.
func Stale(cached, live []runtime.Object, fault, read *fault.Fault) (*fake.Cluster, *fake.Reader) {
	cache := fake.New(cached...)
	api, reader := cache, cache.Reader()
	if live != nil {
		api = fake.New(live...)
	}
	if fault != nil {
		api.Inject(fault)
	}
	if read != nil {
		reader.Inject(read)
	}
	return api, reader
}

// Account returns the account of upstream's test matrix.
func Account() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: "ns", UID: "12345"}}
}

// AccountListing returns [Account] with references to Secrets.
func AccountListing(names ...string) *corev1.ServiceAccount {
	a := Account()
	for _, n := range names {
		a.Secrets = append(a.Secrets, corev1.ObjectReference{Name: n})
	}
	return a
}

// Token returns the complete token Secret of [Account].
func Token() *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: "token-secret-1", Namespace: "ns", UID: "23456",
			Annotations: map[string]string{
				corev1.ServiceAccountNameKey: "default",
				corev1.ServiceAccountUIDKey:  "12345",
			},
		},
		Type: corev1.SecretTypeServiceAccountToken,
		Data: map[string][]byte{
			"token":     []byte("token(ns/default/12345/token-secret-1)"),
			"ca.crt":    []byte("CA Data"),
			"namespace": []byte("ns"),
		},
	}
}

// TokenWith returns [Token] after mutate.
func TokenWith(mutate func(*corev1.Secret)) *corev1.Secret {
	s := Token()
	mutate(s)
	return s
}

// Active returns an active Namespace.
func Active(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}}
}

// Terminating returns a Namespace that is being deleted.
func Terminating(name string) *corev1.Namespace {
	ns := Active(name)
	ns.DeletionTimestamp = &metav1.Time{Time: fake.Epoch}
	ns.Finalizers = []string{"test/stays"}
	ns.Status.Phase = corev1.NamespaceTerminating
	return ns
}

// Calls describes the API calls so far as upstream's matrix does, with the
// preconditions of deletes.
func Calls(cluster *fake.Cluster) []string {
	var all []string
	for _, a := range cluster.Actions() {
		s := a.Op.String()
		if p := a.Preconditions; p != nil {
			if p.UID != nil {
				s += " uid " + string(*p.UID)
			}
			if p.ResourceVersion != nil {
				s += " resourceVersion " + *p.ResourceVersion
			}
		}
		all = append(all, s)
	}
	return all
}

// Settle settles cluster, or ends the test.
func Settle(t testing.TB, cluster *fake.Cluster, controllers ...sacontroller.Controller) {
	t.Helper()
	if err := cluster.Settle(context.Background(), controllers...); err != nil {
		t.Fatalf("Settle: %v\n%s", err, fake.FormatActions(cluster.Actions()))
	}
}

// GetSecret returns a Secret without a call that counts.
func GetSecret(t testing.TB, cluster *fake.Cluster, namespace, name string) *corev1.Secret {
	t.Helper()
	s, err := cluster.Reader().GetSecret(context.Background(), namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// SecretNames returns the names of the Secrets of namespace.
func SecretNames(t testing.TB, cluster *fake.Cluster, namespace string) []string {
	t.Helper()
	secrets, err := cluster.Reader().ListSecrets(context.Background(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, s := range secrets {
		names = append(names, s.Name)
	}
	return names
}

// Diff reports what differs between want and got.
func Diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// UID returns a pointer to a UID.
func UID(s string) *types.UID { u := types.UID(s); return &u }

// Load stores objects in cluster as they are.
func Load(t testing.TB, cluster *fake.Cluster, objects ...runtime.Object) {
	t.Helper()
	if err := cluster.Load(objects...); err != nil {
		t.Fatal(err)
	}
}

// NumberedNames returns n names of a format.
func NumberedNames(n int, format string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(format, i)
	}
	return all
}

// Objects returns its arguments.
func Objects(o ...runtime.Object) []runtime.Object { return o }

// Unused returns a [Token] that was created long before fake.Epoch.
func Unused(labels map[string]string) *corev1.Secret {
	return TokenWith(func(s *corev1.Secret) {
		s.CreationTimestamp, s.Labels = metav1.NewTime(fake.Epoch.AddDate(-3, 0, 0)), labels
	})
}

// TrackingName is the name of the tracking ConfigMap.
const TrackingName = "kube-apiserver-legacy-service-account-token-tracking"

// TrackingKey is the key of the tracking ConfigMap.
var TrackingKey = sacontroller.Key{Kind: "ConfigMap", Namespace: "kube-system", Name: TrackingName}

// Tracking returns the tracking ConfigMap.
func Tracking(data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: TrackingName}, Data: data}
}

// Namespace returns a Namespace of any phase.
func Namespace(name string, phase corev1.NamespacePhase) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NamespaceStatus{Phase: phase}}
}

// Must returns value, and panics if there is an error.
func Must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// Opaque returns a Secret that is no token Secret.
func Opaque() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "opaque", Namespace: "ns", UID: "3"}, Type: "Opaque"}
}
