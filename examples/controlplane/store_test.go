package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	bolt "go.etcd.io/bbolt"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake/clustertest"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// notKept returns the promises of the library's checker that this store doesn't keep, and
// why nothing that is wired here misses them. A store of one's own may have such a list too.
func notKept() map[string]string {
	why := map[string]string{}
	for reason, promises := range map[string][]string{
		"only metadata is validated: the rest is for an API that lets users write it": {
			"a token Secret without the name of its account is Invalid",
			"the type of a Secret can't be changed",
			"a Secret of a type of Kubernetes needs the keys of the type",
			"a bad key in data is Invalid",
			"more than 1 MiB of data is Invalid",
			"an immutable Secret keeps its data and can be deleted",
			"an immutable ConfigMap keeps its data and can be deleted",
			"a pod without containers is Invalid",
			"a finalizer that is not qualified is Invalid",
		},
		"nothing is defaulted or dropped but what the server owns in metadata": {
			"empty labels and annotations are none",
			"a new namespace is active, and says its name in a label",
			"a Secret without a type is Opaque, and stringData lands in data",
			"an empty value is kept",
			"an account's secrets are reduced to their names",
			"a pod has its account's name in both fields",
			"a new pod is pending, whatever status it was sent with",
			"a projected token has an expiry, of 10 minutes at least",
		},
		"there are no finalizers and no terminating namespaces: what is deleted is gone": {
			"a create ignores a UID and timestamps of the caller",
			"an update that begins a deletion is Invalid",
			"a finalizer keeps a deleted object until it is removed",
			"an update can't take a deletionTimestamp back or add a finalizer then",
			"a create in a namespace that is being deleted is Forbidden with cause NamespaceTerminating",
			"what is in a namespace that is being deleted can be read, changed and deleted",
			"a pod that runs is marked with the time of its end, and goes with a grace period of zero",
		},
		"the server refuses it before the store is asked": {
			"a create with a resourceVersion is rejected",
			"a delete as a dry run deletes nothing",
		},
		"every update is a write: the controllers make none that changes nothing": {
			"an update that changes nothing keeps the resourceVersion",
		},
		"a resourceVersion of 0 means nothing special": {
			"an update without a resourceVersion replaces whatever is there",
		},
		"names aren't generated": {
			"generateName gives a fresh name of the prefix and five characters",
		},
	} {
		for _, promise := range promises {
			why[promise] = reason
		}
	}
	return why
}

// The store keeps the promises of the library's interfaces.
func TestPromises(t *testing.T) {
	s := testStore(t)
	err := s.db.Update(func(tx *bolt.Tx) error {
		_, err1 := tx.CreateBucket([]byte("ConfigMap"))
		_, err2 := tx.CreateBucket([]byte("Node"))
		return errors.Join(err1, err2)
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{store: s}
	if _, err := c.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: nodesHome}}); err != nil {
		t.Fatal(err)
	}
	known := notKept()
	for _, p := range clustertest.Promises() {
		why := known[p.Name]
		delete(known, p.Name)
		t.Run(p.Name, func(t *testing.T) {
			err := p.Check(t.Context(), c)
			switch {
			case errors.Is(err, errors.ErrUnsupported):
				t.Skip(err)
			case why == "" && err != nil:
				t.Error(err)
			case why != "" && err == nil:
				t.Errorf("the promise is kept; it isn't expected to be, because %s", why)
			}
		})
	}
	for promise := range known {
		t.Errorf("there is no promise %q", promise)
	}
}

func testStore(t *testing.T) *store {
	t.Helper()
	s, err := openStore(filepath.Join(t.TempDir(), "objects.db"), func(sacontroller.Change) {})
	if err != nil {
		t.Fatal(err)
	}
	s.db.NoSync = true // nothing crashes here
	t.Cleanup(func() { _ = s.db.Close() })
	return s
}

// A cluster adds to the store what clustertest sets its stage with.
type cluster struct {
	*store
	names atomic.Int64
}

var _ clustertest.Cluster = (*cluster)(nil)

func (c *cluster) ListNamespaces(ctx context.Context) ([]*corev1.Namespace, error) {
	return list[corev1.Namespace](ctx, c.store, nil)
}

// named creates an object, and gives it a name first if it has none.
func named[T any, P object[T]](ctx context.Context, c *cluster, o P) (P, error) {
	if o.GetName() == "" && o.GetGenerateName() != "" {
		o = o.DeepCopyObject().(P)
		o.SetName(fmt.Sprintf("%s%d", o.GetGenerateName(), c.names.Add(1)))
	}
	return write(ctx, c.store, o, true)
}

func (c *cluster) CreateServiceAccount(ctx context.Context, o *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	return named(ctx, c, o)
}

func (c *cluster) CreateSecret(ctx context.Context, o *corev1.Secret) (*corev1.Secret, error) {
	return named(ctx, c, o)
}

func (c *cluster) CreateNamespace(ctx context.Context, o *corev1.Namespace) (*corev1.Namespace, error) {
	o = o.DeepCopy()
	o.Status.Phase = corev1.NamespaceActive
	return named(ctx, c, o)
}

func (c *cluster) DeleteNamespace(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	return remove[corev1.Namespace](ctx, c.store, "", name, opts.Preconditions)
}

func (c *cluster) DeleteServiceAccount(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	return remove[corev1.ServiceAccount](ctx, c.store, namespace, name, opts.Preconditions)
}

func (c *cluster) ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error) {
	return list[corev1.Secret](ctx, c.store, prefix(namespace))
}

func (c *cluster) ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error) {
	return list[corev1.Pod](ctx, c.store, prefix(namespace))
}

func prefix(namespace string) []byte {
	if namespace == "" {
		return nil
	}
	return key(namespace, "")
}

func (c *cluster) CreatePod(ctx context.Context, o *corev1.Pod) (*corev1.Pod, error) {
	return named(ctx, c, o)
}

func (c *cluster) DeletePod(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	return remove[corev1.Pod](ctx, c.store, namespace, name, opts.Preconditions)
}

func (c *cluster) GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	return get[corev1.ConfigMap](ctx, c.store, namespace, name)
}

func (c *cluster) CreateConfigMap(ctx context.Context, o *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	return named(ctx, c, o)
}

func (c *cluster) UpdateConfigMap(ctx context.Context, o *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	return write(ctx, c.store, o, false)
}

func (c *cluster) DeleteConfigMap(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	return remove[corev1.ConfigMap](ctx, c.store, namespace, name, opts.Preconditions)
}

// nodesHome is a namespace for Nodes, which have none: the store doesn't know them.
const nodesHome = "nodes"

func (c *cluster) CreateNode(ctx context.Context, o *corev1.Node) (*corev1.Node, error) {
	o = o.DeepCopy()
	o.Namespace = nodesHome
	return homeless(named(ctx, c, o))
}

func (c *cluster) GetNode(ctx context.Context, name string) (*corev1.Node, error) {
	return homeless(get[corev1.Node](ctx, c.store, nodesHome, name))
}

func homeless(o *corev1.Node, err error) (*corev1.Node, error) {
	if o != nil {
		o.Namespace = ""
	}
	return o, err
}

func (c *cluster) DeleteNode(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	return remove[corev1.Node](ctx, c.store, nodesHome, name, opts.Preconditions)
}

func (c *cluster) PatchSecret(context.Context, string, string, types.PatchType, []byte) (*corev1.Secret, error) {
	return nil, errors.ErrUnsupported
}

func (c *cluster) PatchServiceAccount(context.Context, string, string, types.PatchType, []byte) (*corev1.ServiceAccount, error) {
	return nil, errors.ErrUnsupported
}

// The index has the Secrets of accounts that can be, and no others, whatever annotations say.
func TestIndex(t *testing.T) {
	s, ctx := testStore(t), t.Context()
	if _, err := write(ctx, s, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, true); err != nil {
		t.Fatal(err)
	}
	for i, account := range []string{"till", "till/a", "till.b", "", "Till", "..", strings.Repeat("x", 40000), "till\x00"} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("s", i)}, Type: corev1.SecretTypeServiceAccountToken}
		secret.Annotations = map[string]string{corev1.ServiceAccountNameKey: account}
		if _, err := s.CreateSecret(ctx, secret); err != nil {
			t.Errorf("%.20q: %v", account, err)
		}
	}
	for account, want := range map[string]string{"till": "[s0]", "till/a": "[]", "till.b": "[s2]", "": "[]", "ti": "[]"} {
		found, err := s.TokenSecrets(ctx, "shop", account)
		names := []string{}
		for _, secret := range found {
			names = append(names, secret.Name)
		}
		if err != nil || fmt.Sprint(names) != want {
			t.Errorf("TokenSecrets of %q: %v, %v; want %s", account, names, err, want)
		}
	}
	if err := remove[corev1.Namespace](ctx, s, "", "shop", nil); err != nil {
		t.Fatal(err)
	}
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte(tokenIndex)).ForEach(func(k, _ []byte) error { return fmt.Errorf("%q", k) })
	})
	if err != nil {
		t.Errorf("the namespace is gone, the index has %v", err)
	}
}

// What a write is about is told once, and only if it was written.
func TestEvents(t *testing.T) {
	s, ctx := testStore(t), t.Context()
	var told []string
	s.changed = func(e sacontroller.Change) {
		told = append(told, fmt.Sprintf("%s %T", e.Type, e.Object))
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "till"}}
	_, err1 := write(ctx, s, namespace, true)
	made, err2 := write(ctx, s, account, true)
	_, err3 := write(ctx, s, account, true)
	_, err4 := write(ctx, s, made, false)
	_, err5 := write(ctx, s, made, false) // of the resourceVersion before
	if err1 != nil || err2 != nil || !apierrors.IsAlreadyExists(err3) || err4 != nil || !apierrors.IsConflict(err5) {
		t.Errorf("got %v, %v, %v, %v, %v; want the third to be AlreadyExists and the last a Conflict", err1, err2, err3, err4, err5)
	}
	if err := remove[corev1.Namespace](ctx, s, "", "shop", nil); err != nil {
		t.Error(err)
	}
	want := []string{
		"ADDED *v1.Namespace", "ADDED *v1.ServiceAccount", "MODIFIED *v1.ServiceAccount",
		"DELETED *v1.ServiceAccount", "DELETED *v1.Namespace",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
