package controllerruntime_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authenticationv1beta1 "k8s.io/api/authentication/v1beta1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	clientfake "sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/clientgo/controllerruntime"
	"github.com/kubesa/serviceaccount/fake/fault"
)

// world is a client in front of an Authority, with the settled Namespace ci.
func world(t *testing.T, objects ...client.Object) (client.WithWatch, *fake.Authority) {
	t.Helper()
	authority, err := fake.NewAuthority(fake.AuthorityConfig{})
	if err != nil {
		t.Fatal(err)
	}
	base := clientfake.NewClientBuilder().WithObjects(objects...).WithObjects(namespace("ci")).Build()
	c, err := controllerruntime.NewClient(base, controllerruntime.Config{Authority: authority})
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, authority
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func account(namespace, name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

func secret(name, team string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: name, Labels: map[string]string{"team": team}},
		Data:       map[string][]byte{"value": []byte("hunter2")},
	}
}

func pod(name, account string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: name},
		Spec:       corev1.PodSpec{ServiceAccountName: account, Containers: []corev1.Container{{Name: "main", Image: "example.com/main"}}},
	}
}

func wantReason(t *testing.T, err error, reason metav1.StatusReason) {
	t.Helper()
	if got := apierrors.ReasonForError(err); err == nil || got != reason {
		t.Errorf("got %v with reason %q, want the reason %q", err, got, reason)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTokens(t *testing.T) {
	c, authority := world(t)
	ctx := t.Context()
	request := &authenticationv1.TokenRequest{}
	must(t, c.SubResource("token").Create(ctx, account("ci", "default"), request))
	if request.Status.Token == "" || request.Name != "default" { // REQ-11
		t.Fatalf("the request has no token, or the name %q", request.Name)
	}
	review := func(audiences ...string) authenticationv1.TokenReviewStatus {
		t.Helper()
		r := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: request.Status.Token, Audiences: audiences}}
		must(t, c.Create(ctx, r))
		return r.Status
	}
	// REV-8, REV-15
	if got := review(); !got.Authenticated || got.User.Username != "system:serviceaccount:ci:default" || !slices.Contains(got.User.Groups, "system:authenticated") {
		t.Errorf("the status is %+v, want the account to be authenticated", got)
	}
	if got := review("vault"); got.Authenticated || got.Error == "" {
		t.Errorf("for another audience the status is %+v, want an error", got)
	}
	authority.Advance(2 * time.Hour)
	if got := review(); got.Authenticated || !strings.Contains(got.Error, "expired") {
		t.Errorf("after 2 h the status is %+v, want the token to be expired", got)
	}
	authority.Advance(-2 * time.Hour)
	must(t, c.Delete(ctx, account("ci", "default")))
	if got := review(); got.Authenticated {
		t.Error("the token holds without its account")
	}

}

func TestBadTokens(t *testing.T) {
	c, _ := world(t)
	ctx := t.Context()
	request := func(namespace, name string) *authenticationv1.TokenRequest {
		return &authenticationv1.TokenRequest{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	}
	tests := []struct {
		name        string
		subresource string
		account     *corev1.ServiceAccount
		request     client.Object
		reason      metav1.StatusReason
	}{
		{"unknown account (REQ-7)", "token", account("ci", "nobody"), request("", ""), metav1.StatusReasonNotFound},
		{"for another namespace (REQ-3)", "token", account("ci", "default"), request("default", ""), metav1.StatusReasonBadRequest},
		{"for another name (REQ-5)", "token", account("ci", "default"), request("", "builder"), metav1.StatusReasonInvalid},
		{"of another kind", "token", account("ci", "default"), &authenticationv1.TokenReview{}, metav1.StatusReasonBadRequest},
		{"of no kind", "token", account("ci", "default"), &unstructured.Unstructured{}, metav1.StatusReasonBadRequest},
		{"no such subresource", "password", account("ci", "default"), request("", ""), metav1.StatusReasonNotFound},
		{"no request", "token", account("ci", "default"), nil, metav1.StatusReasonBadRequest},
		{"nil pointer", "token", account("ci", "default"), (*authenticationv1.TokenRequest)(nil), metav1.StatusReasonBadRequest},
		{"no account", "token", nil, request("", ""), metav1.StatusReasonBadRequest},
		{"no name", "token", account("ci", ""), request("", ""), metav1.StatusReasonBadRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantReason(t, c.SubResource(tt.subresource).Create(ctx, tt.account, tt.request), tt.reason)
		})
	}

	spec := authenticationv1.TokenReviewSpec{Token: "x"}
	wantReason(t, c.Create(ctx, &authenticationv1.TokenReview{}), metav1.StatusReasonBadRequest) // REV-3
	if err := c.Create(ctx, &authenticationv1.TokenReview{ObjectMeta: metav1.ObjectMeta{Namespace: "ci"}, Spec: spec}); err != nil {
		t.Errorf("Create() of a TokenReview in a namespace = %v, want it ignored, as by the API server", err)
	}
	wantReason(t, c.Create(ctx, &authenticationv1beta1.TokenReview{Spec: authenticationv1beta1.TokenReviewSpec{Token: "x"}}), metav1.StatusReasonNotFound)
}

// The seven kinds are in the Cluster, with what the API server adds.
func TestStore(t *testing.T) {
	builder := account("ci", "builder")
	builder.UID = "kept"
	c, authority := world(t, builder, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "web"}})
	ctx := t.Context()
	if stored, err := authority.Cluster.GetServiceAccount(ctx, "ci", "builder"); err != nil || stored.UID != "kept" {
		t.Errorf("the Cluster has %v, %v, want what the builder was given", stored, err)
	}
	must(t, c.Get(ctx, client.ObjectKey{Namespace: "ci", Name: "web"}, &appsv1.Deployment{}))

	created := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", GenerateName: "s-"}}
	must(t, c.Create(ctx, created))
	if created.UID == "" || created.ResourceVersion == "" || !strings.HasPrefix(created.Name, "s-") || created.Type != corev1.SecretTypeOpaque {
		t.Errorf("got %+v, want a name, a UID, a resourceVersion and a type", created.ObjectMeta)
	}
	old := created.DeepCopy()
	created.Labels = map[string]string{"team": "blue"}
	must(t, c.Update(ctx, created))
	wantReason(t, c.Update(ctx, old), metav1.StatusReasonConflict)
	if stored, err := authority.Cluster.GetSecret(ctx, "ci", created.Name); err != nil || stored.Labels["team"] != "blue" || stored.ResourceVersion != created.ResourceVersion {
		t.Errorf("the Cluster has %v, %v, want the update", stored, err)
	}
	patched := created.DeepCopy()
	patched.Finalizers = []string{"example.com/keep"}
	must(t, c.Patch(ctx, patched, client.MergeFromWithOptions(created, client.MergeFromWithOptimisticLock{})))
	wantReason(t, c.Patch(ctx, created.DeepCopy(), client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{})), metav1.StatusReasonConflict)
	must(t, c.Delete(ctx, patched))
	must(t, c.Get(ctx, client.ObjectKeyFromObject(patched), patched))
	if patched.DeletionTimestamp == nil {
		t.Error("the Secret with a finalizer has no deletionTimestamp")
	}
	patched.Finalizers = nil
	must(t, c.Update(ctx, patched))
	wantReason(t, c.Get(ctx, client.ObjectKeyFromObject(patched), patched), metav1.StatusReasonNotFound)

	wantReason(t, c.Create(ctx, account("nowhere", "x")), metav1.StatusReasonNotFound)
	wantReason(t, c.Create(ctx, account("ci", "builder")), metav1.StatusReasonAlreadyExists)
	wantReason(t, c.Create(ctx, account("", "x")), metav1.StatusReasonBadRequest)
	must(t, c.Create(ctx, account("ci", "dry"), client.DryRunAll))
	wantReason(t, c.Get(ctx, client.ObjectKey{Namespace: "ci", Name: "dry"}, &corev1.ServiceAccount{}), metav1.StatusReasonNotFound)
	uid := builder.UID + "x"
	wantReason(t, c.Delete(ctx, account("ci", "builder"), client.Preconditions{UID: &uid}), metav1.StatusReasonConflict)

	custom := errors.New("the cable is out")
	authority.Cluster.Inject(fault.Nth(1, "get", "secrets", custom))
	if err := c.Get(ctx, client.ObjectKey{Namespace: "ci", Name: "x"}, &corev1.Secret{}); !errors.Is(err, custom) {
		t.Errorf("Get() = %v, want the injected error as it is", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := c.Create(ended, account("ci", "late")); !errors.Is(err, context.Canceled) {
		t.Errorf("Create() with a context that has ended = %v, want its error", err)
	}
}

func TestLists(t *testing.T) {
	c, _ := world(t, secret("a", "blue"), secret("b", "blue"), secret("c", "red"))
	ctx := t.Context()
	count := func(opts ...client.ListOption) int {
		t.Helper()
		var list corev1.SecretList
		must(t, c.List(ctx, &list, opts...))
		return len(list.Items)
	}
	if got := count(client.InNamespace("ci"), client.MatchingLabels{"team": "blue"}); got != 2 {
		t.Errorf("team=blue selects %d, want 2", got)
	}
	if got := count(client.MatchingFields{"metadata.name": "c"}); got != 1 {
		t.Errorf("metadata.name=c selects %d, want 1", got)
	}
	if got := count(client.InNamespace("default")); got != 0 {
		t.Errorf("there are %d in another namespace, want 0", got)
	}
	if got := count(client.Limit(2)); got != 2 {
		t.Errorf("a page of two has %d", got)
	}
	wantReason(t, c.List(ctx, &corev1.SecretList{}, client.MatchingFields{"data": "x"}), metav1.StatusReasonBadRequest)
	wantReason(t, c.DeleteAllOf(ctx, &corev1.Secret{}), metav1.StatusReasonMethodNotAllowed)
	must(t, c.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace("ci"), client.MatchingLabels{"team": "blue"}))
	if got := count(); got != 1 {
		t.Errorf("%d are left, want 1", got)
	}
}

// Objects come in the form that the caller has for them.
func TestForms(t *testing.T) {
	c, _ := world(t)
	ctx := t.Context()
	gvk := schema.GroupVersionKind{Version: "v1", Kind: "Secret"}
	u := &unstructured.Unstructured{Object: map[string]any{
		"metadata":   map[string]any{"namespace": "ci", "name": "a", "labels": map[string]any{"team": "blue"}},
		"stringData": map[string]any{"value": "hunter2"},
	}}
	u.SetGroupVersionKind(gvk)
	must(t, c.Create(ctx, u))
	if value, _, _ := unstructured.NestedString(u.Object, "data", "value"); value != "aHVudGVyMg==" || u.GetUID() == "" || u.GroupVersionKind() != gvk {
		t.Errorf("the created object is %v, want it with data and a UID", u.GetName())
	}
	var secret corev1.Secret
	must(t, c.Get(ctx, client.ObjectKey{Namespace: "ci", Name: "a"}, &secret))
	if string(secret.Data["value"]) != "hunter2" {
		t.Error("the typed object has other data")
	}
	partial := &metav1.PartialObjectMetadata{}
	partial.SetGroupVersionKind(gvk)
	must(t, c.Get(ctx, client.ObjectKey{Namespace: "ci", Name: "a"}, partial))
	if partial.UID != secret.UID || partial.Labels["team"] != "blue" || partial.GroupVersionKind() != gvk {
		t.Errorf("the metadata is %+v, want that of the object", partial)
	}
	changed := partial.DeepCopy()
	changed.Labels["team"] = "red"
	must(t, c.Patch(ctx, changed, client.MergeFrom(partial)))
	wantReason(t, c.Update(ctx, partial), metav1.StatusReasonBadRequest)

	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(gvk.GroupVersion().WithKind("SecretList"))
	must(t, c.List(ctx, list, client.MatchingLabels{"team": "red"}))
	if len(list.Items) != 1 || list.Items[0].GroupVersionKind() != gvk || list.GetResourceVersion() == "" {
		t.Errorf("the list has %d items and resourceVersion %q, want 1 and one", len(list.Items), list.GetResourceVersion())
	}
	partials := &metav1.PartialObjectMetadataList{}
	partials.SetGroupVersionKind(gvk.GroupVersion().WithKind("SecretList"))
	must(t, c.List(ctx, partials))
	if len(partials.Items) != 1 || partials.Items[0].GroupVersionKind() != gvk {
		t.Errorf("the list of metadata has %d items, want 1", len(partials.Items))
	}

	review := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"token": "x"}}}
	review.SetGroupVersionKind(authenticationv1.SchemeGroupVersion.WithKind("TokenReview"))
	must(t, c.Create(ctx, review))
	if text, _, _ := unstructured.NestedString(review.Object, "status", "error"); text != "invalid bearer token" { // REV-9
		t.Errorf("the error is %q, want %q", text, "invalid bearer token")
	}
	bad := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"namespace": "ci", "name": "bad"}, "data": "hunter2"}}
	bad.SetGroupVersionKind(gvk)
	err := c.Create(ctx, bad)
	wantReason(t, err, metav1.StatusReasonBadRequest)
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error %q shows the Secret", err)
	}
}

func TestWatch(t *testing.T) {
	c, authority := world(t)
	ctx := t.Context()
	partials := &metav1.PartialObjectMetadataList{}
	partials.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "SecretList"})
	unstructureds := &unstructured.UnstructuredList{}
	unstructureds.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "SecretList"})
	for _, list := range []client.ObjectList{&corev1.SecretList{}, partials, unstructureds} {
		w, err := c.Watch(ctx, list, client.InNamespace("ci"), client.MatchingLabels{"team": "blue"})
		must(t, err)
		must(t, c.Create(ctx, secret("a", "blue")))
		must(t, c.Create(ctx, secret("b", "red")))
		if event := <-w.ResultChan(); event.Type != watch.Added || event.Object.(client.Object).GetName() != "a" {
			t.Errorf("the first event is %s, want that a was added", event.Type)
		}
		must(t, authority.Cluster.DeleteSecret(ctx, "ci", "a", metav1.DeleteOptions{}))
		must(t, authority.Cluster.DeleteSecret(ctx, "ci", "b", metav1.DeleteOptions{}))
		event := <-w.ResultChan()
		if event.Type != watch.Deleted {
			t.Errorf("the second event is %s, want %s", event.Type, watch.Deleted)
		}
		if got, want := strings.TrimSuffix(fmt.Sprintf("%T", list), "List"), fmt.Sprintf("%T", event.Object); got != want {
			t.Errorf("the event of a %T has a %T", list, event.Object)
		}
		w.Stop()
	}
}

func TestSubresources(t *testing.T) {
	c, _ := world(t)
	ctx := t.Context()
	p := pod("build-1", "default")
	must(t, c.Create(ctx, p))
	p.Status.Phase = corev1.PodRunning
	p.Spec.NodeName = "ignored"
	must(t, c.Status().Update(ctx, p))
	if p.Status.Phase != corev1.PodRunning || p.Spec.NodeName != "" {
		t.Errorf("after the update of the status the phase is %q on node %q, want only the status to change", p.Status.Phase, p.Spec.NodeName)
	}
	changed := p.DeepCopy()
	changed.Status.Phase = corev1.PodSucceeded
	must(t, c.Status().Patch(ctx, changed, client.MergeFrom(p)))
	debugged := changed.DeepCopy()
	debugged.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "example.com/debug"}}}
	must(t, c.SubResource("ephemeralcontainers").Update(ctx, p, client.WithSubResourceBody(debugged)))
	if len(debugged.Spec.EphemeralContainers) != 1 || debugged.ResourceVersion == changed.ResourceVersion {
		t.Errorf("got %d ephemeral containers at resourceVersion %s, want one, and a new one", len(debugged.Spec.EphemeralContainers), debugged.ResourceVersion)
	}
	var read corev1.Pod
	must(t, c.SubResource("status").Get(ctx, p, &read))
	if read.Status.Phase != corev1.PodSucceeded {
		t.Errorf("the phase is %q, want %q", read.Status.Phase, corev1.PodSucceeded)
	}
	wantReason(t, c.Status().Update(ctx, account("ci", "default")), metav1.StatusReasonNotFound)
	must(t, c.Get(ctx, client.ObjectKeyFromObject(p), p))
	must(t, c.SubResource("resize").Update(ctx, p))
	wantReason(t, c.SubResource("proxy").Update(ctx, p), metav1.StatusReasonNotFound)
	wantReason(t, c.SubResource("binding").Create(ctx, p, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "other"}}), metav1.StatusReasonBadRequest)
	must(t, c.SubResource("binding").Create(ctx, p, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: p.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: "n"}}))
	must(t, c.Get(ctx, client.ObjectKeyFromObject(p), p))
	if p.Spec.NodeName != "n" {
		t.Errorf("the Pod is bound to node %q, want n", p.Spec.NodeName)
	}
	must(t, c.SubResource("eviction").Create(ctx, p, &policyv1.Eviction{}, client.DryRunAll))
	must(t, c.Get(ctx, client.ObjectKeyFromObject(p), p))
	wantReason(t, c.SubResource("token").Create(ctx, account("ci", "default"), &authenticationv1.TokenRequest{}, &client.SubResourceCreateOptions{CreateOptions: client.CreateOptions{DryRun: []string{"some"}}}), metav1.StatusReasonInvalid)
	none := int64(0)
	must(t, c.SubResource("eviction").Create(ctx, p, &policyv1.Eviction{DeleteOptions: &metav1.DeleteOptions{GracePeriodSeconds: &none}}))
	wantReason(t, c.Get(ctx, client.ObjectKeyFromObject(p), p), metav1.StatusReasonNotFound)
}

// What the builder's client has besides is as it was.
func TestOtherKinds(t *testing.T) {
	c, authority := world(t)
	ctx := t.Context()
	before := len(authority.Cluster.Actions())
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "web"}}
	must(t, c.Create(ctx, deployment))
	must(t, c.Update(ctx, deployment))
	must(t, c.Status().Update(ctx, deployment))
	must(t, c.Patch(ctx, deployment, client.RawPatch("application/merge-patch+json", []byte(`{}`))))
	must(t, c.Get(ctx, client.ObjectKeyFromObject(deployment), deployment))
	must(t, c.List(ctx, &appsv1.DeploymentList{}))
	w, err := c.Watch(ctx, &appsv1.DeploymentList{})
	must(t, err)
	w.Stop()
	must(t, c.DeleteAllOf(ctx, &appsv1.Deployment{}, client.InNamespace("ci")))
	wantReason(t, c.Delete(ctx, deployment), metav1.StatusReasonNotFound)
	if after := len(authority.Cluster.Actions()); after != before {
		t.Errorf("the Cluster has seen %d calls, want none", after-before)
	}
}

func TestLogin(t *testing.T) {
	admin, authority := world(t)
	ctx := t.Context()
	request := &authenticationv1.TokenRequest{}
	must(t, admin.SubResource("token").Create(ctx, account("ci", "default"), request))
	c, err := controllerruntime.NewClient(clientfake.NewClientBuilder().Build(), controllerruntime.Config{Authority: authority, Token: request.Status.Token})
	must(t, err)
	self := &authenticationv1.SelfSubjectReview{}
	must(t, c.Create(ctx, self))
	if self.Status.UserInfo.Username != "system:serviceaccount:ci:default" {
		t.Errorf("SelfSubjectReview says %q, want the account", self.Status.UserInfo.Username)
	}
	must(t, c.List(ctx, &corev1.PodList{}))
	must(t, admin.Delete(ctx, account("ci", "default")))
	wantReason(t, c.List(ctx, &corev1.PodList{}), metav1.StatusReasonUnauthorized)
	wantReason(t, c.Create(ctx, &authenticationv1.SelfSubjectReview{}), metav1.StatusReasonUnauthorized)
}

func TestMalformed(t *testing.T) {
	c, _ := world(t)
	ctx := t.Context()
	var none *corev1.Secret
	calls := map[string]func() error{
		"create nil":         func() error { return c.Create(ctx, nil) },
		"create nil pointer": func() error { return c.Create(ctx, none) },
		"update nil":         func() error { return c.Update(ctx, none) },
		"patch nil":          func() error { return c.Patch(ctx, none, client.RawPatch("x", nil)) },
		"patch without":      func() error { return c.Patch(ctx, account("ci", "default"), nil) },
		"delete nil":         func() error { return c.Delete(ctx, nil) },
		"delete all of nil":  func() error { return c.DeleteAllOf(ctx, none) },
		"get nil":            func() error { return c.Get(ctx, client.ObjectKey{Namespace: "ci", Name: "x"}, nil) },
		"get no name":        func() error { return c.Get(ctx, client.ObjectKey{Namespace: "ci"}, &corev1.Secret{}) },
		"get no namespace":   func() error { return c.Get(ctx, client.ObjectKey{Name: "x"}, &corev1.Secret{}) },
		"list nil":           func() error { return c.List(ctx, nil) },
		"watch nil":          func() error { _, err := c.Watch(ctx, (*corev1.SecretList)(nil)); return err },
		"apply nil":          func() error { return c.Apply(ctx, nil) },
		"status update nil":  func() error { return c.Status().Update(ctx, (*corev1.Pod)(nil)) },
		"status patch nil":   func() error { return c.Status().Patch(ctx, pod("x", "default"), nil) },
		"status get nil":     func() error { return c.SubResource("status").Get(ctx, pod("x", "default"), nil) },
		"no JSON": func() error {
			return c.Patch(ctx, account("ci", "default"), client.RawPatch("application/merge-patch+json", []byte("{")))
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) { wantReason(t, call(), metav1.StatusReasonBadRequest) })
	}
}

func TestNewClientRefusesWhatIsThere(t *testing.T) {
	authority, err := fake.NewAuthority(fake.AuthorityConfig{})
	if err != nil {
		t.Fatal(err)
	}
	taken := clientfake.NewClientBuilder().WithObjects(namespace("default")).Build()
	if _, err := controllerruntime.NewClient(taken, controllerruntime.Config{Authority: authority}); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("NewClient() of what the Cluster has = %v, want an error that says so", err)
	}
}
