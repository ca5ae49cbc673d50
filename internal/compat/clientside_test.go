package compat

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/cached"
	"github.com/kubesa/serviceaccount/tokens/keeper"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// The client's half against a real API server: TokenReviews, tokens kept in Secrets and
// folders, mounted tokens, and token Secrets (TRC-33 to TRC-42, KUB-16, KUB-39).
func TestEndToEndClients(t *testing.T) {
	e := startEndToEnd(t, keys.ES256)
	ctx := t.Context()
	create := func(object any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	core := e.client.CoreV1()
	create(core.Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}, metav1.CreateOptions{}))
	create(core.ServiceAccounts("ci").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "builder"}}, metav1.CreateOptions{}))
	off := false
	create(core.Pods("ci").Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "job"},
		Spec:       corev1.PodSpec{ServiceAccountName: "builder", AutomountServiceAccountToken: &off, Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}, metav1.CreateOptions{}))
	mint := func(ctx context.Context, audience string, pod *corev1.Pod) (*tokens.Token, error) {
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}}}
		if pod != nil {
			request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}
		}
		answer, err := core.ServiceAccounts("ci").CreateToken(ctx, "builder", request, metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
		return tokensource.TokenOf(answer)
	}

	var event tokenreview.ClientEvent
	client := must(tokenreview.NewClient(tokenreview.ClientConfig{
		Reviews: serviceaccount.FromAuthenticationV1(e.client.AuthenticationV1()), Audiences: []string{"vault"}, Issuers: []string{testIssuer, tokens.LegacyIssuer},
		Observe: func(_ context.Context, e tokenreview.ClientEvent) { event = e },
	}))
	verifier := must(cached.New(cached.Config{Verifier: client, TTL: time.Minute}))
	pod := must(core.Pods("ci").Get(ctx, "job", metav1.GetOptions{}))
	bound := must(mint(ctx, "vault", pod))
	id, err := verifier.Authenticate(ctx, bound.Value)
	if err != nil || id.Username() != "system:serviceaccount:ci:builder" || id.UID == "" || id.Pod != (tokens.ObjectRef{Name: "job", UID: pod.UID}) || id.CredentialID == "" || len(id.Audiences) != 1 {
		t.Errorf("Authenticate() = %+v, %v (%s), want ci/builder in its pod", id, err, event.Detail)
	}
	forAPI := must(mint(ctx, "api", nil))
	for name, token := range map[string]string{"for the API server": forAPI.Value, "broken": bound.Value[:len(bound.Value)-8] + "AAAAAAAA"} {
		_, err := client.Authenticate(ctx, token)
		if e, ok := errors.AsType[*tokens.InvalidError](err); !ok || e.Reason != tokens.ReasonRefused || event.Detail == "" {
			t.Errorf("a token %s: Authenticate() = %v (%q), want it refused, with a detail", name, err, event.Detail)
		}
	}
	// A Secret with a token, kept by a controller, and used as a credential.
	create(core.Secrets("ci").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}, metav1.CreateOptions{}))
	secrets := must(keeper.NewSecrets(keeper.SecretsConfig{
		Reader: e.ours, Client: e.ours,
		Want: func(secret *corev1.Secret) (*keeper.Want, error) {
			if secret.Name != "kept" {
				return nil, nil
			}
			return &keeper.Want{Namespace: "ci", Name: "builder", Audiences: []string{"api"}, Data: map[string][]byte{"ca.crt": e.server.CA()}}, nil
		},
		Mint: func(ctx context.Context, want keeper.Want) (*tokens.Token, error) {
			return mint(ctx, want.Audiences[0], nil)
		},
	}))
	e.controllers = append(e.controllers, secrets)
	e.poll(t)
	e.poll(t)
	kept := must(core.Secrets("ci").Get(ctx, "kept", metav1.GetOptions{}))
	e.wantBothAccept(t, "the token in the Secret", string(kept.Data["token"]))
	resourceVersion := kept.ResourceVersion
	e.poll(t)
	if again := must(core.Secrets("ci").Get(ctx, "kept", metav1.GetOptions{})); again.ResourceVersion != resourceVersion {
		t.Error("a fresh token was written again")
	}
	if result, err := secrets.Reconcile(ctx, sacontroller.Key{Kind: "Secret", Namespace: "ci", Name: "kept"}); err != nil || result.RequeueAfter < 40*time.Minute {
		t.Errorf("Reconcile() = %v, %v, want to renew an hour's token later", result, err)
	}

	// The volume of a pod, as a virtual kubelet writes it, and a client in it.
	dir := t.TempDir()
	volume := &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", Audience: "api"}},
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}}}},
	}}
	folder := must(keeper.NewFolder(keeper.FolderConfig{Dir: dir, Fill: func(ctx context.Context) (map[string]keeper.File, time.Time, error) {
		return keeper.Payload(ctx, pod, volume, keeper.PayloadConfig{Mint: func(ctx context.Context, pod *corev1.Pod, source *corev1.ServiceAccountTokenProjection) (*tokens.Token, error) {
			return mint(ctx, source.Audience, pod)
		}})
	}}))
	if _, err := folder.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if namespace := must(os.ReadFile(filepath.Join(dir, "namespace"))); string(namespace) != "ci" {
		t.Errorf("namespace is %q", namespace)
	}
	file := must(tokensource.NewFile(tokensource.FileConfig{Path: filepath.Join(dir, "token")}))
	config := e.server.Bearer("")
	config.Wrap(func(base http.RoundTripper) http.RoundTripper {
		return &tokensource.Transport{Source: file, Base: base}
	})
	self, err := must(kubernetes.NewForConfig(config)).AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || self.Status.UserInfo.Username != "system:serviceaccount:ci:builder" {
		t.Errorf("with the mounted token the API server sees %v, %v", self, err)
	}

	// A token Secret, ensured and rotated.
	ensured := make(chan error, 1)
	var old *corev1.Secret
	go func() {
		var err error
		old, err = tokensource.EnsureSecret(ctx, e.ours, "ci", "builder", tokensource.SecretOptions{})
		ensured <- err
	}()
	settle := func(done chan error) {
		t.Helper()
		for {
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				return
			case <-time.After(50 * time.Millisecond):
				e.poll(t)
			}
		}
	}
	settle(ensured)
	e.wantBothAccept(t, "the token of the Secret", string(old.Data["token"]))
	rotated := make(chan error, 1)
	var next *corev1.Secret
	go func() {
		var err error
		next, err = tokensource.RotateSecret(ctx, e.ours, old, func(context.Context, *corev1.Secret) error { return nil }, tokensource.SecretOptions{})
		rotated <- err
	}()
	settle(rotated)
	e.wantBothAccept(t, "the rotated token", string(next.Data["token"]))
	e.wantBothRefuse(t, "the token before the rotation", string(old.Data["token"]))
}
