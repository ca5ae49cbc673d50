package compat

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/furthervolume"
	"github.com/kubesa/serviceaccount/admission/webhook"
	"github.com/kubesa/serviceaccount/internal/compat/controlplane"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
)

// A TokenRequest endpoint with the node rule, beside a real API server with the admission
// plugin NodeRestriction: both decide the same about the same objects, which are pods with
// three further token volumes of the webhook's patch (NOD-1, NOD-6, NOD-9, NOD-12, NOD-22, WEB-28).
func TestEndToEndNodes(t *testing.T) {
	e := startEndToEnd(t, keys.ES256, func(cfg *controlplane.Config) { cfg.NodeRestriction = true })
	ctx := t.Context()
	w := newNodeWorld(t, e)
	pod := w.createPod(t, "job", "a")
	elsewhere := w.createPod(t, "elsewhere", "b")
	endpoint := w.endpoint(t)

	node := func(name string) authenticationv1.UserInfo {
		return authenticationv1.UserInfo{Username: "system:node:" + name, Groups: []string{"system:nodes"}}
	}
	person := authenticationv1.UserInfo{Username: "jane", Groups: []string{"system:nodes-of-jane"}}
	bound := func(kind, name string, uid types.UID) *authenticationv1.BoundObjectReference {
		return &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: name, UID: uid}
	}
	good := bound("Pod", "job", pod.UID)
	// What the API server's caches have is older than what we read.
	waitFor(t, patience, "the API server to know the pod", func(ctx context.Context) []string {
		for _, audience := range []string{"vault", "store", "granted"} {
			if _, err := w.theirs(ctx, node("a"), good, []string{audience}); err != nil {
				return []string{err.Error()}
			}
		}
		return nil
	})
	allowed := 0
	for _, tt := range []struct {
		name      string
		user      authenticationv1.UserInfo
		ref       *authenticationv1.BoundObjectReference
		audiences []string
	}{
		{"the default volume", node("a"), good, nil},
		{"the first further volume", node("a"), good, []string{"vault"}},
		{"the second", node("a"), good, []string{"sts.example.com"}},
		{"the third", node("a"), good, []string{"api://exchange"}},
		{"a CSI driver", node("a"), good, []string{"store"}},
		{"granted by RBAC", node("a"), good, []string{"granted"}},
		{"of no volume", node("a"), good, []string{"other"}},
		{"the API server's by name", node("a"), good, []string{"api"}},
		{"two audiences", node("a"), good, []string{"vault", "store"}},
		{"another node", node("b"), good, []string{"vault"}},
		{"another node's pod", node("a"), bound("Pod", "elsewhere", elsewhere.UID), []string{"vault"}},
		{"that pod on its node", node("b"), bound("Pod", "elsewhere", elsewhere.UID), []string{"vault"}},
		{"a node that doesn't exist", node("ghost"), good, []string{"vault"}},
		{"a node without a name", node(""), good, []string{"vault"}},
		{"no pod", node("a"), nil, []string{"vault"}},
		{"a Secret", node("a"), bound("Secret", "settings", "1"), []string{"vault"}},
		{"no UID", node("a"), bound("Pod", "job", ""), []string{"vault"}},
		{"another UID", node("a"), bound("Pod", "job", "other"), []string{"vault"}},
		{"a pod that isn't there", node("a"), bound("Pod", "ghost", "1"), []string{"vault"}},
		{"no version", node("a"), &authenticationv1.BoundObjectReference{Kind: "Pod", Name: "job", UID: pod.UID}, []string{"vault"}},
		{"the name without the group", authenticationv1.UserInfo{Username: "system:node:a", Groups: person.Groups}, nil, []string{"vault"}},
		{"a person", person, nil, []string{"vault", "other"}},
	} {
		theirs, theirErr := w.theirs(ctx, tt.user, tt.ref, tt.audiences)
		ours, ourErr := endpoint.Create(context.WithValue(ctx, userKey{}, tt.user), "ci", "builder", askFor(tt.ref, tt.audiences))
		if d := cmp.Diff(answerOf(theirErr), answerOf(ourErr)); d != "" {
			t.Errorf("%s: the answers differ (-Kubernetes +ours):\n%s", tt.name, d)
			continue
		}
		if theirErr == nil {
			allowed++
			if d := cmp.Diff(theirs.Spec.Audiences, ours.Spec.Audiences); d != "" {
				t.Errorf("%s: the audiences differ (-Kubernetes +ours):\n%s", tt.name, d)
			}
		}
	}
	if allowed < 8 {
		t.Errorf("%d requests were allowed, want at least 8", allowed)
	}
}

// userKey is the key of the user in the contexts of our endpoint.
type userKey struct{}

func askFor(ref *authenticationv1.BoundObjectReference, audiences []string) *authenticationv1.TokenRequest {
	return &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, BoundObjectRef: ref}}
}

// answerOf is what a client learns of an error.
func answerOf(err error) string {
	if err == nil {
		return ""
	}
	if status, ok := err.(apierrors.APIStatus); ok {
		return fmt.Sprintf("%d %s %s", status.Status().Code, status.Status().Reason, status.Status().Message)
	}
	return err.Error()
}

// A nodeWorld is the namespace ci with the account builder, two nodes and what they may do.
type nodeWorld struct {
	*endToEnd
	handler http.Handler
}

func newNodeWorld(t *testing.T, e *endToEnd) *nodeWorld {
	t.Helper()
	ctx, opts := t.Context(), metav1.CreateOptions{}
	must(e.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}, opts))
	must(e.client.CoreV1().ServiceAccounts("ci").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "builder"}}, opts))
	for _, name := range []string{"a", "b"} {
		must(e.client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, opts))
	}
	must(e.client.StorageV1().CSIDrivers().Create(ctx, &storagev1.CSIDriver{
		ObjectMeta: metav1.ObjectMeta{Name: "store.example.com"},
		Spec: storagev1.CSIDriverSpec{
			VolumeLifecycleModes: []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecycleEphemeral},
			TokenRequests:        []storagev1.TokenRequest{{Audience: "store"}},
		},
	}, opts))
	for name, rule := range map[string]rbacv1.PolicyRule{
		"request-tokens": {APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}},
		"audience":       {APIGroups: []string{""}, Resources: []string{"granted"}, Verbs: []string{"request-serviceaccounts-token-audience"}},
	} {
		must(e.client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{rule}}, opts))
		must(e.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			Subjects: []rbacv1.Subject{
				{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:nodes"}, {APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:nodes-of-jane"},
			},
		}, opts))
	}
	plugin := must(admission.New(admission.Config{ServiceAccounts: e.ours, DisableWait: true, FurtherVolumes: []furthervolume.Volume{
		{Name: "vault", Audience: "vault", MountPath: "/var/run/secrets/vault"},
		{Name: "aws", Audience: "sts.example.com", Lifetime: 24 * time.Hour, MountPath: "/var/run/secrets/aws", Env: []furthervolume.EnvVar{{Name: "TOKEN_FILE", Value: "/var/run/secrets/aws/token"}}},
		{Name: "azure", Audience: "api://exchange", MountPath: "/var/run/secrets/azure", File: "azure-token"},
	}}))
	return &nodeWorld{e, must(webhook.New(plugin, webhook.Config{}))}
}

// createPod creates a pod as the API server does behind our webhook, and checks that
// the webhook has nothing to add to what is stored.
func (w *nodeWorld) createPod(t *testing.T, name, node string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: name},
		Spec: corev1.PodSpec{
			ServiceAccountName: "builder", NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "i"}, {Name: "sidecar", Image: "i"}},
			Volumes: []corev1.Volume{{Name: "store", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "store.example.com"}}}},
		},
	}
	patched := w.patch(t, must(json.Marshal(pod)))
	stored, err := w.client.CoreV1().Pods("ci").Create(t.Context(), patched, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		t.Fatalf("the API server doesn't accept what the webhook makes of %s: %v", name, err)
	}
	stored.APIVersion, stored.Kind = "v1", "Pod"
	if d := cmp.Diff(stored.Spec, w.patch(t, must(json.Marshal(stored))).Spec); d != "" {
		t.Errorf("the webhook changes what is stored (-stored +changed):\n%s", d)
	}
	paths := map[string]int{}
	for _, c := range stored.Spec.Containers {
		for _, m := range c.VolumeMounts {
			paths[m.MountPath]++
		}
	}
	if want := map[string]int{
		admission.DefaultMountPath: 2, "/var/run/secrets/vault": 2, "/var/run/secrets/aws": 2, "/var/run/secrets/azure": 2,
	}; !cmp.Equal(paths, want) {
		t.Errorf("%s: mounts %v, want %v", name, paths, want)
	}
	return stored
}

// patch returns the pod in raw as the webhook changes it.
func (w *nodeWorld) patch(t *testing.T, raw []byte) *corev1.Pod {
	t.Helper()
	review := must(json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "1", Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Operation: admissionv1.Create, Namespace: "ci", Object: runtime.RawExtension{Raw: raw},
		},
	}))
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(review)))
	r.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, r)
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil || answer.Response == nil || !answer.Response.Allowed {
		t.Fatalf("the webhook answers %d %s, want the pod allowed", recorder.Code, recorder.Body)
	}
	if answer.Response.Patch != nil {
		raw = must(must(jsonpatch.DecodePatch(answer.Response.Patch)).Apply(raw))
	}
	pod := new(corev1.Pod)
	if err := json.Unmarshal(raw, pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// theirs asks the API server for a token, as user.
func (w *nodeWorld) theirs(ctx context.Context, user authenticationv1.UserInfo, ref *authenticationv1.BoundObjectReference, audiences []string) (*authenticationv1.TokenRequest, error) {
	config := w.server.Admin()
	config.Impersonate = rest.ImpersonationConfig{UserName: user.Username, Groups: user.Groups}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return client.CoreV1().ServiceAccounts("ci").CreateToken(ctx, "builder", askFor(ref, audiences), metav1.CreateOptions{})
}

// endpoint answers TokenRequests with the node rule, on the API server's objects and its
// RBAC.
func (w *nodeWorld) endpoint(t *testing.T) *tokenrequest.Requester {
	t.Helper()
	rule := must(tokenrequest.NewNodeRule(tokenrequest.NodeRuleConfig{
		User: func(ctx context.Context) (authenticationv1.UserInfo, bool) {
			user, ok := ctx.Value(userKey{}).(authenticationv1.UserInfo)
			return user, ok
		},
		Pods: w.ours, CSIDrivers: w,
		AuthorizeAudience: func(ctx context.Context, node authenticationv1.UserInfo, namespace, name, audience string) (bool, error) {
			review, err := w.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: node.Username, Groups: node.Groups,
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: "request-serviceaccounts-token-audience", Version: "v1", Resource: audience, Namespace: namespace, Name: name,
				},
			}}, metav1.CreateOptions{})
			if err != nil {
				return false, err
			}
			return review.Status.Allowed, nil
		},
	}))
	return must(tokenrequest.New(tokenrequest.Config{
		Issuer: w.issuer, APIAudiences: []string{"api"}, ServiceAccounts: w.ours, Pods: w.ours, Secrets: w.ours, Nodes: w.ours, Admit: rule,
	}))
}

// GetCSIDriver implements [tokenrequest.CSIDriverGetter].
func (w *nodeWorld) GetCSIDriver(ctx context.Context, name string) (*storagev1.CSIDriver, error) {
	return w.client.StorageV1().CSIDrivers().Get(ctx, name, metav1.GetOptions{})
}
