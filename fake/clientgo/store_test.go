package clientgo_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubernetesfake "k8s.io/client-go/kubernetes/fake"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/clientgo"
	"github.com/kubesa/serviceaccount/fake/fault"
)

// What is written through the clientset is in the Cluster, with what the API
// server adds, and the other way round.
func TestStore(t *testing.T) {
	clientset, authority := world(t)
	ctx := t.Context()
	accounts := clientset.CoreV1().ServiceAccounts("ci")
	created, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{GenerateName: "builder-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if created.UID == "" || created.ResourceVersion == "" || created.CreationTimestamp.IsZero() || !strings.HasPrefix(created.Name, "builder-") {
		t.Errorf("got %+v, want a name, a UID, a resourceVersion and a creationTimestamp", created.ObjectMeta)
	}
	if stored, err := authority.Cluster.GetServiceAccount(ctx, "ci", created.Name); err != nil || stored.UID != created.UID {
		t.Errorf("the Cluster has %v, %v, want what was created", stored, err)
	}
	if _, err := authority.Cluster.CreateServiceAccount(ctx, account("ci", "runner")); err != nil {
		t.Fatal(err)
	}
	if _, err := accounts.Get(ctx, "runner", metav1.GetOptions{}); err != nil {
		t.Errorf("Get() of what was created in the Cluster = %v, want it", err)
	}

	_, err = accounts.Create(ctx, account("ci", "runner"), metav1.CreateOptions{})
	wantReason(t, err, metav1.StatusReasonAlreadyExists)
	_, err = clientset.CoreV1().ServiceAccounts("nowhere").Create(ctx, account("", "runner"), metav1.CreateOptions{})
	wantReason(t, err, metav1.StatusReasonNotFound)
	_, err = accounts.Create(ctx, account("ci", "Not A Name"), metav1.CreateOptions{})
	wantReason(t, err, metav1.StatusReasonInvalid)
}

// A write from an old copy is refused.
func TestConflict(t *testing.T) {
	clientset, authority := world(t)
	ctx := t.Context()
	accounts := clientset.CoreV1().ServiceAccounts("ci")
	old, err := accounts.Get(ctx, "default", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := accounts.Patch(ctx, "default", types.StrategicMergePatchType, []byte(`{"secrets":[{"name":"a"}]}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = accounts.Update(ctx, old, metav1.UpdateOptions{})
	wantReason(t, err, metav1.StatusReasonConflict)
	err = accounts.Delete(ctx, "default", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &old.ResourceVersion}})
	wantReason(t, err, metav1.StatusReasonConflict)

	fresh, err := accounts.Get(ctx, "default", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	authority.Cluster.Inject(fault.First(1, "update", "serviceaccounts", fault.Conflict))
	_, err = accounts.Update(ctx, fresh, metav1.UpdateOptions{})
	wantReason(t, err, metav1.StatusReasonConflict)
	if _, err = accounts.Update(ctx, fresh, metav1.UpdateOptions{}); err != nil {
		t.Errorf("Update() after the fault = %v, want no error", err)
	}
	custom := errors.New("the cable is out")
	authority.Cluster.Inject(fault.On("get", "secrets", custom))
	if _, err := clientset.CoreV1().Secrets("ci").Get(ctx, "x", metav1.GetOptions{}); !errors.Is(err, custom) {
		t.Errorf("Get() = %v, want the injected error as it is", err)
	}
}

// What has a finalizer stays, marked, until the finalizer is gone.
func TestFinalizers(t *testing.T) {
	clientset, _ := world(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "kept", Finalizers: []string{"example.com/keep"}}})
	ctx := t.Context()
	secrets := clientset.CoreV1().Secrets("ci")
	if err := secrets.Delete(ctx, "kept", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	secret, err := secrets.Get(ctx, "kept", metav1.GetOptions{})
	if err != nil || secret.DeletionTimestamp == nil {
		t.Fatalf("Get() = %v, %v, want the Secret with a deletionTimestamp", secret, err)
	}
	secret.Finalizers = nil
	if _, err := secrets.Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = secrets.Get(ctx, "kept", metav1.GetOptions{})
	wantReason(t, err, metav1.StatusReasonNotFound)
}

// Lists know selectors of labels and fields, pages, and old revisions.
func TestLists(t *testing.T) {
	labelled := func(name, team string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: name, Labels: map[string]string{"team": team}}}
	}
	clientset, _ := world(t, labelled("a", "blue"), labelled("b", "blue"), labelled("c", "red"))
	ctx := t.Context()
	configMaps := clientset.CoreV1().ConfigMaps("ci")
	count := func(opts metav1.ListOptions) int {
		t.Helper()
		list, err := configMaps.List(ctx, opts)
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Items)
	}
	if got := count(metav1.ListOptions{LabelSelector: "team=blue"}); got != 2 {
		t.Errorf("team=blue selects %d, want 2", got)
	}
	if got := count(metav1.ListOptions{FieldSelector: "metadata.name=c"}); got != 1 {
		t.Errorf("metadata.name=c selects %d, want 1", got)
	}
	_, err := configMaps.List(ctx, metav1.ListOptions{FieldSelector: "data.x=y"})
	wantReason(t, err, metav1.StatusReasonBadRequest)

	page, err := configMaps.List(ctx, metav1.ListOptions{Limit: 2})
	if err != nil || len(page.Items) != 2 || page.Continue == "" {
		t.Fatalf("the first page has %d items, continue %q, %v, want 2 and more", len(page.Items), page.Continue, err)
	}
	if got := count(metav1.ListOptions{Limit: 2, Continue: page.Continue}); got != 1 {
		t.Errorf("the second page has %d items, want 1", got)
	}

	if err := configMaps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "team=blue"}); err != nil {
		t.Fatal(err)
	}
	if got := count(metav1.ListOptions{}); got != 1 {
		t.Errorf("%d are left, want 1", got)
	}
	err = clientset.CoreV1().ConfigMaps("").DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
	wantReason(t, err, metav1.StatusReasonMethodNotAllowed)
}

func TestSubresources(t *testing.T) {
	clientset, _ := world(t)
	ctx := t.Context()
	pods := clientset.CoreV1().Pods("ci")
	created, err := pods.Create(ctx, pod("ci", "build-1", "default"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	created.Status.Phase = corev1.PodRunning
	if updated, err := pods.UpdateStatus(ctx, created, metav1.UpdateOptions{}); err != nil || updated.Status.Phase != corev1.PodRunning {
		t.Errorf("UpdateStatus() = %v, want the phase to be %s", err, corev1.PodRunning)
	}
	fresh, err := pods.Get(ctx, "build-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	fresh.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "example.com/debug"}}}
	for _, dryRun := range [][]string{{metav1.DryRunAll}, nil} {
		updated, err := pods.UpdateEphemeralContainers(ctx, "build-1", fresh, metav1.UpdateOptions{DryRun: dryRun})
		if err != nil || len(updated.Spec.EphemeralContainers) != 1 {
			t.Errorf("UpdateEphemeralContainers() with dry run %q = %v, want one", dryRun, err)
		}
	}
	_, err = pods.UpdateResize(ctx, "build-1", fresh, metav1.UpdateOptions{}) // it is old
	wantReason(t, err, metav1.StatusReasonConflict)
	if logs, err := pods.GetLogs("build-1", &corev1.PodLogOptions{}).DoRaw(ctx); string(logs) != "fake logs" || err != nil {
		t.Errorf("GetLogs() = %q, %v, want those of client-go's fake", logs, err)
	}
	err = pods.EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "build-1"}})
	wantReason(t, err, metav1.StatusReasonBadRequest)
	if err := pods.EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "build-1"}}); err != nil {
		t.Errorf("EvictV1() = %v, want no error", err)
	}
	_, err = pods.Get(ctx, "build-1", metav1.GetOptions{})
	wantReason(t, err, metav1.StatusReasonNotFound)
}

// A Namespace goes when its content and its finalizers are gone.
func TestNamespace(t *testing.T) {
	clientset, _ := world(t)
	ctx := t.Context()
	namespaces := clientset.CoreV1().Namespaces()
	if err := namespaces.Delete(ctx, "ci", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := clientset.CoreV1().Secrets("ci").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "late"}}, metav1.CreateOptions{})
	wantReason(t, err, metav1.StatusReasonForbidden)
	ns, err := namespaces.Get(ctx, "ci", metav1.GetOptions{})
	if err != nil || ns.Status.Phase != corev1.NamespaceTerminating {
		t.Fatalf("Get() = %v, %v, want the Namespace to be terminating", ns, err)
	}
	ns.Spec.Finalizers = nil
	if _, err := namespaces.Finalize(ctx, ns, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = namespaces.Get(ctx, "ci", metav1.GetOptions{})
	wantReason(t, err, metav1.StatusReasonNotFound)
}

// Controllers work on what the clientset's user sees.
func TestSettle(t *testing.T) {
	clientset, authority := world(t)
	ctx := t.Context()
	if _, err := clientset.CoreV1().Namespaces().Create(ctx, namespace("dev"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "legacy", Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	settle(t, authority)
	if _, err := clientset.CoreV1().Secrets("dev").Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	settle(t, authority)
	filled, err := clientset.CoreV1().Secrets("dev").Get(ctx, "legacy", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := review(t, clientset, string(filled.Data[corev1.ServiceAccountTokenKey])); got.User.Username != "system:serviceaccount:dev:default" {
		t.Errorf("the token of the Secret is of %q, want the account", got.User.Username)
	}
}

// The tracker keeps what the Cluster has no kind for, and loses what it has.
func TestTracker(t *testing.T) {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "web"}}
	builder := account("ci", "builder")
	builder.UID = "kept"
	clientset, authority := world(t, deployment, builder)
	ctx := t.Context()
	if _, err := clientset.AppsV1().Deployments("ci").Get(ctx, "web", metav1.GetOptions{}); err != nil {
		t.Errorf("Get() of a Deployment = %v, want it", err)
	}
	if _, err := clientset.AppsV1().Deployments("dev").Create(ctx, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "api"}}, metav1.CreateOptions{}); err != nil {
		t.Errorf("Create() of a Deployment = %v, want no error", err)
	}
	if _, err := clientset.CoreV1().Services("ci").Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "api"}}, metav1.CreateOptions{}); err != nil {
		t.Errorf("Create() of a Service = %v, want no error", err)
	}
	stored, err := authority.Cluster.GetServiceAccount(ctx, "ci", "builder")
	if err != nil || stored.UID != "kept" {
		t.Errorf("the Cluster has %v, %v, want the account with its UID", stored, err)
	}
	if got := len(clientset.(*kubernetesfake.Clientset).Actions()); got != 3 {
		t.Errorf("the clientset has seen %d actions, want 3", got)
	}
}

func TestMalformed(t *testing.T) {
	clientset, _ := world(t)
	ctx := t.Context()
	core := clientset.CoreV1()
	calls := map[string]func() error{
		"create nil":        func() error { _, err := core.Secrets("ci").Create(ctx, nil, metav1.CreateOptions{}); return err },
		"update nil":        func() error { _, err := core.Secrets("ci").Update(ctx, nil, metav1.UpdateOptions{}); return err },
		"update status nil": func() error { _, err := core.Pods("ci").UpdateStatus(ctx, nil, metav1.UpdateOptions{}); return err },
		"ephemeral containers nil": func() error {
			_, err := core.Pods("ci").UpdateEphemeralContainers(ctx, "x", nil, metav1.UpdateOptions{})
			return err
		},
		"evict nil":      func() error { return core.Pods("ci").EvictV1(ctx, nil) },
		"get no name":    func() error { _, err := core.Secrets("ci").Get(ctx, "", metav1.GetOptions{}); return err },
		"get everywhere": func() error { _, err := core.Secrets("").Get(ctx, "x", metav1.GetOptions{}); return err },
		"create everywhere": func() error {
			_, err := core.ServiceAccounts("").Create(ctx, account("ci", "x"), metav1.CreateOptions{})
			return err
		},
		"create elsewhere": func() error {
			_, err := core.ServiceAccounts("ci").Create(ctx, account("default", "x"), metav1.CreateOptions{})
			return err
		},
		"patch that is no JSON": func() error {
			_, err := core.ServiceAccounts("ci").Patch(ctx, "default", types.MergePatchType, []byte("{"), metav1.PatchOptions{})
			return err
		},
		"list from a word": func() error {
			_, err := core.Secrets("ci").List(ctx, metav1.ListOptions{ResourceVersion: "new"})
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) { wantReason(t, call(), metav1.StatusReasonBadRequest) })
	}
	_, err := core.Secrets("ci").Watch(ctx, metav1.ListOptions{ResourceVersion: "new"})
	wantReason(t, err, metav1.StatusReasonUnknown) // a 500, as from the API server
	_, err = core.ServiceAccounts("ci").Create(ctx, account("ci", "x"), metav1.CreateOptions{DryRun: []string{"some"}})
	wantReason(t, err, metav1.StatusReasonInvalid)
}

func TestInstallRefuses(t *testing.T) {
	authority := newAuthority(t)
	for _, tt := range []struct {
		name      string
		clientset *kubernetesfake.Clientset
		cfg       clientgo.Config
		want      []string // fields
	}{
		{"no clientset", nil, clientgo.Config{Authority: authority}, []string{"clientset"}},
		{"no Authority", kubernetesfake.NewClientset(), clientgo.Config{}, []string{"Authority"}},
		{"a zero Authority", kubernetesfake.NewClientset(), clientgo.Config{Authority: &fake.Authority{}}, []string{"Authority"}},
		{"nothing", nil, clientgo.Config{}, []string{"clientset", "Authority"}},
	} {
		err := clientgo.Install(tt.clientset, tt.cfg)
		var got []string
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, err := range joined.Unwrap() {
				if e, ok := errors.AsType[*clientgo.ConfigError](err); ok && e.Config == "clientgo.Config" {
					got = append(got, e.Field)
				}
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got mistakes in %q (%v), want %q", tt.name, got, err, tt.want)
		}
	}
	taken := kubernetesfake.NewClientset(namespace("default"))
	if err := clientgo.Install(taken, clientgo.Config{Authority: authority}); err == nil || !strings.Contains(err.Error(), `namespaces "default" exists already`) {
		t.Errorf("Install() of what the Cluster has = %v, want an error that says so", err)
	}
	if len(taken.ReactionChain) != 1 {
		t.Errorf("after an error there are %d reactors, want 1", len(taken.ReactionChain))
	}
}

// ClusterTrustBundles of v1 are in the Cluster, with their field selector; other versions
// stay with the tracker.
func TestTrustBundles(t *testing.T) {
	ctx := t.Context()
	clientset := kubernetesfake.NewClientset()
	authority, err := fake.NewAuthority(fake.AuthorityConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := clientgo.Install(clientset, clientgo.Config{Authority: authority}); err != nil {
		t.Fatal(err)
	}
	bundle := &certificatesv1.ClusterTrustBundle{ObjectMeta: metav1.ObjectMeta{Name: "x"}}
	if _, err := clientset.CertificatesV1().ClusterTrustBundles().Create(ctx, bundle, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("Create() of a bundle without certificates = %v, want 422", err)
	}
	if err := authority.Cluster.Load(&certificatesv1.ClusterTrustBundle{ObjectMeta: metav1.ObjectMeta{Name: "example.com:ca:a"}, Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: "example.com/ca"}}); err != nil {
		t.Fatal(err)
	}
	for selector, want := range map[string]int{"": 1, "spec.signerName=example.com/ca": 1, "spec.signerName=example.com/x": 0} {
		list, err := clientset.CertificatesV1().ClusterTrustBundles().List(ctx, metav1.ListOptions{FieldSelector: selector})
		if err != nil || len(list.Items) != want {
			t.Errorf("List(%q) = %v, %v, want %d", selector, list, err, want)
		}
	}
	if list, err := clientset.CertificatesV1beta1().ClusterTrustBundles().List(ctx, metav1.ListOptions{}); err != nil || len(list.Items) != 0 {
		t.Errorf("List() of v1beta1 = %v, %v, want none", list, err)
	}
	data := []byte(`{"apiVersion":"certificates.k8s.io/v1","kind":"ClusterTrustBundle","metadata":{"name":"example.com:ca:a","labels":{"b":"c"}}}`)
	if applied, err := clientset.CertificatesV1().ClusterTrustBundles().Patch(ctx, "example.com:ca:a", types.ApplyYAMLPatchType, data, metav1.PatchOptions{FieldManager: "m"}); err != nil || applied.Labels["b"] != "c" {
		t.Errorf("apply = %+v, %v, want the label", applied, err)
	}
}
