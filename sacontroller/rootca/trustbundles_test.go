package rootca_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// anchor returns the certificate of a CA called name, or of none.
func anchor(t testing.TB, name string, ca bool) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: ca, BasicConstraintsValid: true, Subject: pkix.Name{CommonName: name},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// A trustWorld is a cluster with a clock, and the publishers in it.
type trustWorld struct {
	*fake.Cluster
	now        time.Time
	publishers []sacontroller.Controller
}

func newTrustWorld(t testing.TB, objects ...runtime.Object) *trustWorld {
	w := &trustWorld{Cluster: fake.New(objects...), now: fake.Epoch}
	w.Cluster.Now = func() time.Time { return w.now }
	if err := w.Load(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system"}}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *trustWorld) add(t testing.TB, rootCA string, mutate ...func(*rootca.TrustBundlesConfig)) *rootca.TrustBundles {
	t.Helper()
	cfg := rootca.TrustBundlesConfig{
		Reader: w.Reader(), Client: w.Cluster, RootCA: []byte(rootCA), GracePeriod: time.Hour, Now: func() time.Time { return w.now },
	}
	for _, m := range mutate {
		m(&cfg)
	}
	c, err := rootca.NewTrustBundles(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.publishers = append(w.publishers, c)
	return c
}

// settle moves the clock and settles, and returns which of the named bundles there are.
func (w *trustWorld) settle(t testing.TB, after time.Duration, named map[string]string) []string {
	t.Helper()
	w.now = w.now.Add(after)
	if err := w.Settle(t.Context(), w.publishers...); err != nil {
		t.Fatal(err)
	}
	bundles, err := w.ListClusterTrustBundles(t.Context(), rootca.ServingSigner)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, b := range bundles {
		for name, content := range named {
			if b.Spec.TrustBundle == content {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// calls counts the calls of a verb.
func (w *trustWorld) calls(verb string) int {
	n := 0
	for _, a := range w.Actions() {
		if a.Verb == verb {
			n++
		}
	}
	return n
}

func bundleName(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "kubernetes.io:kube-apiserver-serving:" + hex.EncodeToString(sum[:])[:24]
}

func owned(owner string) func(*rootca.TrustBundlesConfig) {
	return func(cfg *rootca.TrustBundlesConfig) { cfg.Owner = owner }
}

func trustBundle(name, content string, labels map[string]string) *certificatesv1.ClusterTrustBundle {
	return &certificatesv1.ClusterTrustBundle{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec:       certificatesv1.ClusterTrustBundleSpec{SignerName: rootca.ServingSigner, TrustBundle: content},
	}
}

// CTB-5 to CTB-8, CTB-11
func TestTrustBundleIsCreated(t *testing.T) {
	ca := "# a comment counts\n" + anchor(t, "a", true)
	w := newTrustWorld(t)
	w.add(t, ca)
	w.settle(t, 0, nil)
	got, err := w.GetClusterTrustBundle(t.Context(), bundleName(ca))
	if err != nil {
		t.Fatal(err)
	}
	want := trustBundle(bundleName(ca), ca, map[string]string{rootca.OwnerLabel: "kube-apiserver-serving-clustertrustbundle-publisher"})
	got.UID, got.ResourceVersion, got.CreationTimestamp = "", "", metav1.Time{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bundle (-want +got):\n%s", diff)
	}
	w.ClearActions()
	w.settle(t, time.Minute, nil)
	if n := w.calls("list"); n != len(w.Actions()) {
		t.Errorf("the second time: %s, want no write", fake.FormatActions(w.Actions()))
	}
}

// A trimmer is a Reader whose objects lack some of their metadata.
type trimmer struct {
	*fake.Reader
	trim func(*certificatesv1.ClusterTrustBundle)
}

func (r trimmer) ListClusterTrustBundles(ctx context.Context, signerName string) ([]*certificatesv1.ClusterTrustBundle, error) {
	bundles, err := r.Reader.ListClusterTrustBundles(ctx, signerName)
	for i, b := range bundles {
		bundles[i] = b.DeepCopy()
		r.trim(bundles[i])
	}
	return bundles, err
}

// CTB-12: what exists is updated as long as the Reader gives it a UID or a version.
func TestTrustBundleIsUpdated(t *testing.T) {
	ca, other := anchor(t, "a", true), anchor(t, "b", true)
	for name, trim := range map[string]func(*certificatesv1.ClusterTrustBundle){
		"whole":           func(*certificatesv1.ClusterTrustBundle) {},
		"without UID":     func(b *certificatesv1.ClusterTrustBundle) { b.UID = "" },
		"without version": func(b *certificatesv1.ClusterTrustBundle) { b.ResourceVersion = "" },
	} {
		w := newTrustWorld(t, trustBundle(bundleName(ca), other, nil))
		c := w.add(t, ca, func(cfg *rootca.TrustBundlesConfig) { cfg.Reader = trimmer{w.Reader(), trim} })
		key := c.Due(sacontroller.Change{Type: watch.Added, Object: satest.Active("kube-system")})[0]
		_, err := c.Reconcile(t.Context(), key)
		if creates, updates := w.calls("create"), w.calls("update"); creates != 0 || updates != 1 {
			t.Errorf("%s: Reconcile() = %v, with %d creates and %d updates, want one update", name, err, creates, updates)
		}
	}
}

// CTB-10: a bundle that is deleted or changed comes back; CTB-12: metadata of others stays.
func TestTrustBundleIsRestored(t *testing.T) {
	ca, other := anchor(t, "a", true), anchor(t, "b", true)
	w := newTrustWorld(t, trustBundle(bundleName(ca), other, map[string]string{"team": "red"}))
	w.add(t, ca)
	if got := w.settle(t, 0, map[string]string{"a": ca, "b": other}); !slices.Equal(got, []string{"a"}) {
		t.Errorf("bundles %q, want a", got)
	}
	b, err := w.GetClusterTrustBundle(t.Context(), bundleName(ca))
	if err != nil || b.Labels["team"] != "red" {
		t.Errorf("bundle %+v, %v, want the label of others kept", b, err)
	}
	if err := w.DeleteClusterTrustBundle(t.Context(), bundleName(ca), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := w.settle(t, 0, map[string]string{"a": ca}); !slices.Equal(got, []string{"a"}) {
		t.Errorf("bundles %q, want a", got)
	}
}

// CTB-14, CTB-15, CTB-16: old and new stay for the grace period; a change back as well.
func TestTrustBundleRotation(t *testing.T) {
	a, b := anchor(t, "a", true), anchor(t, "b", true)
	named := map[string]string{"a": a, "b": b}
	for configured, grace := range map[time.Duration]time.Duration{0: 24 * time.Hour, time.Hour: time.Hour} {
		w := newTrustWorld(t)
		c := w.add(t, a, func(cfg *rootca.TrustBundlesConfig) { cfg.GracePeriod = configured })
		step := func(what string, after time.Duration, want ...string) {
			t.Helper()
			if got := w.settle(t, after, named); !slices.Equal(got, want) {
				t.Errorf("grace period %v, %s: bundles %q, want %q", configured, what, got, want)
			}
		}
		step("at first", 0, "a")
		if err := c.SetRootCA([]byte(b)); err != nil {
			t.Fatal(err)
		}
		step("after the change", time.Minute, "a", "b")
		step("shortly before the end", grace-time.Second, "a", "b")
		step("after the grace period", time.Second, "b")
		if err := c.SetRootCA([]byte(a)); err != nil {
			t.Fatal(err)
		}
		step("after another change", time.Minute, "a", "b")
		if err := c.SetRootCA([]byte(b)); err != nil {
			t.Fatal(err)
		}
		step("after the change back", time.Minute, "a", "b")
		step("after one grace period", grace, "a", "b")
		step("after two", grace, "b")
	}
}

// CTB-15: what isn't provably the publisher's own stays.
func TestTrustBundlesOfOthersStay(t *testing.T) {
	ca := anchor(t, "a", true)
	owner := map[string]string{rootca.OwnerLabel: "kube-apiserver-serving-clustertrustbundle-publisher"}
	others := map[string]string{}
	for _, name := range []string{"no label", "another owner", "a name of its own"} {
		others[name] = anchor(t, name, true)
	}
	elsewhere := trustBundle("example.com:signer:x", anchor(t, "x", true), owner)
	elsewhere.Spec.SignerName = "example.com/signer"
	w := newTrustWorld(t,
		trustBundle(bundleName(others["no label"]), others["no label"], nil),
		trustBundle(bundleName(others["another owner"]), others["another owner"], map[string]string{rootca.OwnerLabel: "me"}),
		trustBundle("kubernetes.io:kube-apiserver-serving:mine", others["a name of its own"], owner),
		elsewhere,
	)
	w.add(t, ca)
	w.settle(t, 0, nil)
	if got := w.settle(t, 1000*time.Hour, others); len(got) != 3 {
		t.Errorf("bundles %q, want all three", got)
	}
	if _, err := w.GetClusterTrustBundle(t.Context(), "example.com:signer:x"); err != nil {
		t.Error(err)
	}
}

// CTB-15: two control planes with different CAs. Kubernetes' controllers delete each
// other's bundles as fast as they can.
func TestTwoTrustBundlePublishers(t *testing.T) {
	a, b := anchor(t, "a", true), anchor(t, "b", true)
	named := map[string]string{"a": a, "b": b}
	for _, owners := range [][2]string{{"", ""}, {"east", "west"}} {
		w := newTrustWorld(t)
		w.add(t, a, owned(owners[0]))
		w.settle(t, 0, named)
		w.add(t, b, owned(owners[1]))
		for hour := range 48 {
			if got := w.settle(t, time.Hour, named); !slices.Equal(got, []string{"a", "b"}) {
				t.Fatalf("owners %q, hour %d: bundles %q, want both", owners, hour, got)
			}
		}
		deletes := w.calls("delete")
		if limit := 48; owners[0] != "" && deletes > 0 || deletes > limit {
			t.Errorf("owners %q: %d deletes in 48 grace periods, want at most one in each, and none of another owner's", owners, deletes)
		}
	}
}

// CTB-13, CTB-14, CTB-17
func TestTrustBundleFailures(t *testing.T) {
	a := anchor(t, "a", true)
	owner := map[string]string{rootca.OwnerLabel: "kube-apiserver-serving-clustertrustbundle-publisher"}
	var old []runtime.Object
	for i := range 40 {
		content := anchor(t, fmt.Sprint(i), true)
		old = append(old, trustBundle(bundleName(content), content, owner))
	}
	current := trustBundle(bundleName(a), a, owner)
	leaving := func(o runtime.Object) runtime.Object {
		b := o.DeepCopyObject().(*certificatesv1.ClusterTrustBundle)
		b.DeletionTimestamp, b.Finalizers = &metav1.Time{Time: fake.Epoch}, []string{"test/stays"}
		return b
	}
	for _, tt := range []struct {
		name    string
		objects []runtime.Object
		reader  *fault.Fault
		fault   *fault.Fault
		creates int
		deletes int
		want    string
		result  sacontroller.Result
	}{
		{name: "no create, no delete", objects: old[:1], fault: fault.On("create", "", satest.ErrBusy), creates: 1, want: "creating ClusterTrustBundle kubernetes.io:kube-apiserver-serving:"},
		{name: "a delete fails", objects: append(old[:3:3], current), fault: fault.Nth(1, "delete", "clustertrustbundles", satest.ErrBusy), deletes: 3, want: "deleting ClusterTrustBundle"},
		{name: "a delete conflicts", objects: append(old[:2:2], current), fault: fault.Nth(1, "delete", "clustertrustbundles", fault.Conflict), deletes: 2},
		{name: "a delete says not found", objects: append(old[:2:2], current), fault: fault.Nth(1, "delete", "clustertrustbundles", fault.NotFound), deletes: 2},
		{name: "one is being deleted", objects: append(old[:2:2], leaving(old[2]), current), deletes: 2},
		{name: "its own is being deleted", objects: append(old[:2:2], leaving(current))},
		{name: "no list", objects: old[:1], reader: fault.On("list", "clustertrustbundles", satest.ErrBusy), want: "listing the ClusterTrustBundles of kubernetes.io/kube-apiserver-serving: "},
		{name: "many", objects: append(old[:40:40], current), deletes: 30, result: sacontroller.Result{RequeueAfter: sacontroller.Yield}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newTrustWorld(t, tt.objects...)
			reader, stored := w.Reader(), map[string]*metav1.Preconditions{}
			bundles, err := reader.ListClusterTrustBundles(t.Context(), rootca.ServingSigner)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range bundles {
				stored[b.Name] = &metav1.Preconditions{UID: &b.UID, ResourceVersion: &b.ResourceVersion}
			}
			if tt.reader != nil {
				reader.Inject(tt.reader)
			}
			c := w.add(t, a, func(cfg *rootca.TrustBundlesConfig) { cfg.Reader = reader })
			w.now = w.now.Add(2 * time.Hour)
			if tt.fault != nil {
				w.Inject(tt.fault)
			}
			key := c.Due(sacontroller.Change{Type: watch.Added, Object: current})[0]
			result, err := c.Reconcile(t.Context(), key)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) || result != tt.result && tt.want == "" {
				t.Errorf("Reconcile() = %v, %v, want %v and an error with %q", result, err, tt.result, tt.want)
			}
			if !errors.Is(c.LastError(key), err) {
				t.Errorf("LastError() = %v, want %v", c.LastError(key), err)
			}
			if creates, deletes := w.calls("create"), w.calls("delete"); creates != tt.creates || deletes != tt.deletes {
				t.Errorf("%d creates and %d deletes, want %d and %d", creates, deletes, tt.creates, tt.deletes)
			}
			for _, a := range w.Actions() {
				if a.Verb == "delete" {
					satest.Diff(t, "what is deleted", stored[a.Name], a.Preconditions)
				}
			}
		})
	}
}

// Another writer that reverts every write is waited for.
func TestTrustBundleIsReverted(t *testing.T) {
	a, b := anchor(t, "a", true), anchor(t, "b", true)
	w := newTrustWorld(t, trustBundle(bundleName(a), b, nil))
	c := w.add(t, a)
	key := c.Due(sacontroller.Change{Type: watch.Added, Object: trustBundle("x", a, nil)})[0]
	writes := 0
	for range 100 {
		result, err := c.Reconcile(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if result.RequeueAfter > 0 {
			break
		}
		writes++
		current, err := w.GetClusterTrustBundle(t.Context(), bundleName(a))
		if err != nil {
			t.Fatal(err)
		}
		current.Spec.TrustBundle = b
		if _, err := w.UpdateClusterTrustBundle(t.Context(), current); err != nil {
			t.Fatal(err)
		}
	}
	if writes != 60 || c.LastError(key) == nil {
		t.Errorf("%d writes in a minute, LastError() = %v, want 60 and why", writes, c.LastError(key))
	}
}

// CTB-10
func TestTrustBundleDue(t *testing.T) {
	w := newTrustWorld(t)
	c := w.add(t, anchor(t, "a", true))
	ours, others := trustBundle("x", "", nil), trustBundle("x", "", nil)
	others.Spec.SignerName = "example.com/signer"
	for _, tt := range []struct {
		name   string
		change sacontroller.Change
		due    bool
	}{
		{"added", sacontroller.Change{Type: watch.Added, Object: ours}, true},
		{"modified", sacontroller.Change{Type: watch.Modified, Object: ours}, true},
		{"deleted", sacontroller.Change{Type: watch.Deleted, Object: ours}, true},
		{"of another signer", sacontroller.Change{Type: watch.Added, Object: others}, false},
		{"nil", sacontroller.Change{Type: watch.Added, Object: (*certificatesv1.ClusterTrustBundle)(nil)}, false},
		{"kube-system", sacontroller.Change{Type: watch.Added, Object: satest.Active("kube-system")}, true},
		{"default", sacontroller.Change{Type: watch.Added, Object: satest.Active("default")}, true},
		{"another namespace", sacontroller.Change{Type: watch.Added, Object: satest.Active("ns")}, false},
		{"kube-system modified", sacontroller.Change{Type: watch.Modified, Object: satest.Active("kube-system")}, false},
		{"nil namespace", sacontroller.Change{Type: watch.Added, Object: (*corev1.Namespace)(nil)}, false},
		{"nothing", sacontroller.Change{}, false},
	} {
		var want []sacontroller.Key
		if tt.due {
			want = []sacontroller.Key{{Tenant: "red", Kind: "ClusterTrustBundle", Name: "kubernetes.io:kube-apiserver-serving"}}
		}
		tt.change.Tenant = "red"
		satest.Diff(t, tt.name, want, c.Due(tt.change))
	}
	w.ClearActions()
	if _, err := c.Reconcile(t.Context(), sacontroller.Key{Kind: "Namespace", Name: "ns"}); err != nil || len(w.Actions()) > 0 {
		t.Errorf("Reconcile() of another key = %v, want nothing done", err)
	}
}

// CTB-4, CTB-24: what the API server would reject for ever is rejected at once.
func TestTrustBundleConfig(t *testing.T) {
	a, b := anchor(t, "a", true), anchor(t, "b", true)
	header := strings.Replace(a, "CERTIFICATE-----\n", "CERTIFICATE-----\nA: b\n\n", 1)
	for _, tt := range []struct {
		name, rootCA, want string
	}{
		{name: "two", rootCA: a + b},
		{name: "empty", want: "RootCA is rejected: CA bundle holds no certificate"},
		{name: "text", rootCA: "CA Data", want: "holds no certificate"},
		{name: "a duplicate", rootCA: a + b + a, want: `certificate 3, "CN=a", is the same as 1`},
		{name: "no CA", rootCA: a + anchor(t, "server", false), want: `certificate 2, "CN=server", is not that of a CA`},
		{name: "a header", rootCA: b + header, want: "certificate 2 has PEM headers"},
		{name: "too large", rootCA: a + strings.Repeat("# padding\n", 1<<20/10), want: "want at most 1048576"},
	} {
		w := newTrustWorld(t)
		_, err := rootca.NewTrustBundles(rootca.TrustBundlesConfig{Reader: w, Client: w, RootCA: []byte(tt.rootCA)})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: NewTrustBundles() = %v, want an error with %q", tt.name, err, tt.want)
		}
		if checked := rootca.CheckTrustAnchors([]byte(tt.rootCA)); (checked == nil) != (tt.want == "") {
			t.Errorf("%s: CheckTrustAnchors() = %v", tt.name, checked)
		}
		c := w.add(t, a)
		if err := c.SetRootCA([]byte(tt.rootCA)); (err == nil) != (tt.want == "") {
			t.Errorf("%s: SetRootCA() = %v, want an error with %q", tt.name, err, tt.want)
		}
	}
	_, err := rootca.NewTrustBundles(rootca.TrustBundlesConfig{
		Reader: (*fake.Cluster)(nil), RootCA: []byte(a), Owner: "not a label", GracePeriod: -1,
	})
	for _, field := range []string{"Reader is required", "Client is required", "Owner is", "GracePeriod is"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("NewTrustBundles() = %v, want an error with %q", err, field)
		}
	}
}
