package tokensource_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// A filler is a fake.Authority whose token controller runs after each write.
type filler struct {
	*fake.Cluster
	authority *fake.Authority
	deleteErr error
}

func newFiller(t testing.TB) *filler {
	cluster := fake.New(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "other"}},
	)
	authority, err := fake.NewAuthority(fake.AuthorityConfig{Cluster: cluster})
	if err != nil {
		t.Fatal(err)
	}
	return &filler{cluster, authority, nil}
}

func (f *filler) CreateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	created, err := f.Cluster.CreateSecret(ctx, secret)
	if err == nil {
		err = f.authority.Settle(ctx)
	}
	return created, err
}

func (f *filler) DeleteSecret(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	if opts.Preconditions == nil || opts.Preconditions.UID == nil || *opts.Preconditions.UID == "" {
		return errors.New("another Secret of the name may be deleted")
	}
	if f.deleteErr != nil {
		return f.deleteErr
	}
	return f.Cluster.DeleteSecret(ctx, namespace, name, opts)
}

func TestEnsureSecret(t *testing.T) {
	ctx := t.Context()
	f := newFiller(t)
	opts := tokensource.SecretOptions{Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"c": "d", corev1.ServiceAccountNameKey: "other"}}
	secret, err := tokensource.EnsureSecret(ctx, f, "ci", "builder", opts)
	if err != nil {
		t.Fatal(err)
	}
	if secret.Name != "builder-token" || secret.Labels["a"] != "b" || secret.Annotations["c"] != "d" || secret.Annotations[corev1.ServiceAccountNameKey] != "builder" || len(secret.Data["token"]) == 0 {
		t.Errorf("EnsureSecret() = %s %v %v, want builder's, with a token", secret.Name, secret.Labels, secret.Annotations)
	}
	again, err := tokensource.EnsureSecret(ctx, f, "ci", "builder", tokensource.SecretOptions{})
	if err != nil || again.UID != secret.UID || again.Labels["a"] != "b" {
		t.Errorf("again, EnsureSecret() = %v, want the same Secret", err)
	}
	if opts.Annotations[corev1.ServiceAccountNameKey] != "other" {
		t.Error("the options were changed")
	}
}

func TestEnsureSecretFails(t *testing.T) {
	owned := func(account, uid string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder-token",
			Annotations: map[string]string{corev1.ServiceAccountNameKey: account, corev1.ServiceAccountUIDKey: uid}}, Type: corev1.SecretTypeServiceAccountToken}
	}
	for _, tt := range []struct {
		name, account string
		secret        *corev1.Secret // that exists
		want          string
		check         func(error) bool
	}{
		{name: "no account", account: "nobody", check: apierrors.IsNotFound},
		{name: "a path as account", account: "../secrets/x", want: `tokensource: Secret "../secrets/x-token" of ServiceAccount "ci"/"../secrets/x": want the names`},
		{name: "no account's name", want: `tokensource: Secret "-token" of ServiceAccount "ci"/"": want the names`},
		{name: "another type", account: "builder", secret: &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder-token"}, Type: corev1.SecretTypeOpaque},
			want: `tokensource: Secret ci/builder-token exists: its type is "Opaque", want "kubernetes.io/service-account-token"`},
		{name: "another account's", account: "builder", secret: owned("other", ""), want: `tokensource: Secret ci/builder-token exists: it is that of the ServiceAccount "other", want "builder"`},
		{name: "an earlier account's", account: "builder", secret: owned("builder", "earlier"), want: `tokensource: Secret ci/builder-token exists: it is that of an earlier ServiceAccount of the name; the token controller deletes it`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFiller(t)
			if tt.secret != nil {
				if _, err := f.Cluster.CreateSecret(t.Context(), tt.secret); err != nil {
					t.Fatal(err)
				}
			}
			_, err := tokensource.EnsureSecret(t.Context(), f, "ci", tt.account, tokensource.SecretOptions{})
			if tt.check != nil && !tt.check(err) || err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("EnsureSecret() = %v, want %q", err, tt.want)
			}
			_, conflict := errors.AsType[*tokensource.SecretConflictError](err)
			if conflict != (tt.secret != nil) {
				t.Errorf("EnsureSecret() = %T", err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		cluster := newFiller(t).Cluster
		_, err := tokensource.EnsureSecret(ctx, cluster, "ci", "builder", tokensource.SecretOptions{LastError: func() error { return errors.New("no signer") }})
		if e, ok := errors.AsType[*tokensource.NotPopulatedError](err); !ok || e.Reason != tokensource.PopulatedPending || !strings.Contains(err.Error(), "no signer") {
			t.Errorf("without a token controller, EnsureSecret() = %v, want a NotPopulatedError", err)
		}
		secret, account := must(cluster.GetSecret(t.Context(), "ci", "builder-token")), must(cluster.GetServiceAccount(t.Context(), "ci", "builder"))
		if uid := secret.Annotations[corev1.ServiceAccountUIDKey]; uid != string(account.UID) {
			t.Errorf("the Secret was created for the UID %q, want that of the account, so that no later one gets it", uid)
		}
	})
}

// A name of one's own is used, and checked like that of the account.
func TestEnsureSecretName(t *testing.T) {
	f := newFiller(t)
	if secret, err := tokensource.EnsureSecret(t.Context(), f, "ci", "builder", tokensource.SecretOptions{Name: "mine"}); err != nil || secret.Name != "mine" {
		t.Errorf("EnsureSecret() = %v, %v, want the Secret called mine", secret, err)
	}
	for _, names := range [][2]string{{"builder", "../x"}, {"../x", "mine"}} {
		before := len(f.Actions())
		_, err := tokensource.EnsureSecret(t.Context(), f, "ci", names[0], tokensource.SecretOptions{Name: names[1]})
		if err == nil || !strings.Contains(err.Error(), "want the names of a Secret and of a ServiceAccount") || len(f.Actions()) != before {
			t.Errorf("account %s, Secret %s: EnsureSecret() = %v, want an error and no request", names[0], names[1], err)
		}
	}
}

// What can't be read isn't created, and what can't be created is an error.
func TestEnsureSecretDown(t *testing.T) {
	for _, verb := range []string{"get", "create"} {
		f := newFiller(t)
		f.Inject(fault.First(1, verb, "secrets", fault.Timeout))
		if _, err := tokensource.EnsureSecret(t.Context(), f, "ci", "builder", tokensource.SecretOptions{}); !apierrors.IsTimeout(err) {
			t.Errorf("%s: EnsureSecret() = %v, want the timeout", verb, err)
		}
		if created := strings.Contains(fake.FormatActions(f.Actions()), "create secrets ci/builder-token"); created && verb == "get" {
			t.Error("a Secret was created that may be there")
		}
	}
}

// Two that ensure it at the same time create one Secret.
func TestEnsureSecretAtOnce(t *testing.T) {
	f := newFiller(t)
	raced := &racing{filler: f}
	secret, err := tokensource.EnsureSecret(t.Context(), raced, "ci", "builder", tokensource.SecretOptions{})
	if err != nil || secret.UID != raced.first {
		t.Errorf("EnsureSecret() = %v, want the Secret that another one created", err)
	}
}

// racing creates the Secret itself just before.
type racing struct {
	*filler
	first any
}

func (r *racing) CreateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	created, err := r.filler.CreateSecret(ctx, secret)
	if err != nil {
		return nil, err
	}
	r.first = created.UID
	return r.filler.CreateSecret(ctx, secret)
}

func TestRotateSecret(t *testing.T) {
	ctx := t.Context()
	f := newFiller(t)
	old, err := tokensource.EnsureSecret(ctx, f, "ci", "builder", tokensource.SecretOptions{})
	if err != nil {
		t.Fatal(err)
	}
	works := func(secret *corev1.Secret) bool {
		authenticator, err := tokens.NewAuthenticator(tokens.AuthenticatorConfig{
			Legacy: true, Keys: f.authority.Keys, APIAudiences: []string{"api"}, ServiceAccounts: f.Cluster, Secrets: f.Cluster, Now: f.authority.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = authenticator.Authenticate(ctx, string(secret.Data["token"]))
		return err == nil
	}
	down := errors.New("a client is down")
	first, err := tokensource.RotateSecret(ctx, f, old, func(context.Context, *corev1.Secret) error { return down }, tokensource.SecretOptions{})
	if err != down || first == nil || !works(old) || !works(first) {
		t.Fatalf("RotateSecret() = %v, want both tokens to work while a client is down", err)
	}
	f.deleteErr = errors.New("no answer")
	second, err := tokensource.RotateSecret(ctx, f, old, func(context.Context, *corev1.Secret) error { return nil }, tokensource.SecretOptions{})
	if err != f.deleteErr || second.UID != first.UID || !works(old) {
		t.Fatalf("RotateSecret() = %v, want the same new Secret", err)
	}
	f.deleteErr = nil
	used := false
	third, err := tokensource.RotateSecret(ctx, f, old, func(_ context.Context, secret *corev1.Secret) error {
		used = works(old) && works(secret) && secret.UID == first.UID
		return nil
	}, tokensource.SecretOptions{})
	if err != nil || !used || works(old) || !works(third) {
		t.Errorf("RotateSecret() = %v, want the old token to be revoked after the new one is used", err)
	}
	// A Secret that is gone, or another one by now, needs no deletion.
	for _, gone := range []error{apierrors.NewNotFound(corev1.Resource("secrets"), "x"), apierrors.NewConflict(corev1.Resource("secrets"), "x", errors.New("another UID"))} {
		f.deleteErr = gone
		if _, err := tokensource.RotateSecret(ctx, f, third, func(context.Context, *corev1.Secret) error { return nil }, tokensource.SecretOptions{}); err != nil {
			t.Errorf("RotateSecret() = %v, want no error of %v", err, gone)
		}
	}
	f.deleteErr = nil
	next, err := tokensource.RotateSecret(ctx, f, third, func(context.Context, *corev1.Secret) error { return nil }, tokensource.SecretOptions{})
	if err != nil || next.Name == third.Name || next.Name == old.Name || works(third) || !works(next) {
		t.Errorf("the next RotateSecret() = %v, want another Secret", err)
	}
}

func TestRotateSecretFails(t *testing.T) {
	f := newFiller(t)
	use := func(context.Context, *corev1.Secret) error { return nil }
	settings := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "settings", UID: "x"}, Type: corev1.SecretTypeOpaque}
	path := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "x", UID: "x", Annotations: map[string]string{corev1.ServiceAccountNameKey: "../x"}}, Type: corev1.SecretTypeServiceAccountToken}
	stale := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "x", UID: "x", Annotations: map[string]string{corev1.ServiceAccountNameKey: "builder", corev1.ServiceAccountUIDKey: "old"}}, Type: corev1.SecretTypeServiceAccountToken}
	for _, tt := range []struct {
		secret *corev1.Secret
		want   string
	}{
		{nil, "tokensource: RotateSecret needs a Secret with its UID"},
		{settings, "tokensource: Secret ci/settings exists: it is no token Secret"},
		{path, "tokensource: Secret ci/x exists: it is no token Secret of an account that can exist"},
		{stale, "tokensource: Secret ci/x exists: it is that of an earlier ServiceAccount"},
	} {
		if _, err := tokensource.RotateSecret(t.Context(), f, tt.secret, use, tokensource.SecretOptions{}); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("RotateSecret() = %v, want %q", err, tt.want)
		}
	}
	old, err := tokensource.EnsureSecret(t.Context(), f, "ci", "builder", tokensource.SecretOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokensource.RotateSecret(t.Context(), f, old, nil, tokensource.SecretOptions{}); err == nil {
		t.Error("without use there is no error")
	}
	// A Secret that was written by hand can't be told from another one of its name.
	unread := old.DeepCopy()
	unread.UID = ""
	if _, err := tokensource.RotateSecret(t.Context(), f, unread, use, tokensource.SecretOptions{}); err == nil || !strings.Contains(err.Error(), "needs a Secret with its UID") {
		t.Errorf("RotateSecret() = %v, want an error, as the old token can't be revoked", err)
	}
	for _, resource := range []string{"serviceaccounts", "secrets"} {
		f.Inject(fault.First(1, "get", resource, fault.Timeout))
		if _, err := tokensource.RotateSecret(t.Context(), f, old, use, tokensource.SecretOptions{}); !apierrors.IsTimeout(err) {
			t.Errorf("%s: RotateSecret() = %v, want the timeout", resource, err)
		}
	}
}

func TestKubeconfig(t *testing.T) {
	f := newFiller(t)
	secret, err := tokensource.EnsureSecret(t.Context(), f, "ci", "builder", tokensource.SecretOptions{})
	if err != nil {
		t.Fatal(err)
	}
	secret.Data["token"], secret.Data["ca.crt"] = []byte("T"), []byte("CA")
	got, err := tokensource.Kubeconfig(secret, tokensource.KubeconfigOptions{Server: "https://api.example:6443"})
	const want = `{"apiVersion":"v1","kind":"Config",` +
		`"clusters":[{"name":"default","cluster":{"server":"https://api.example:6443","certificate-authority-data":"Q0E="}}],` +
		`"users":[{"name":"builder","user":{"token":"T"}}],` +
		`"contexts":[{"name":"default","context":{"cluster":"default","user":"builder","namespace":"ci"}}],"current-context":"default"}`
	if compact := compactJSON(t, got); err != nil || compact != want {
		t.Errorf("Kubeconfig() = %v\n%s\nwant\n%s", err, compact, want)
	}
	got, err = tokensource.Kubeconfig(secret, tokensource.KubeconfigOptions{Server: "https://a", CA: []byte("other"), Cluster: "c", Namespace: "n", User: "u", TokenFile: "/token"})
	if compact := compactJSON(t, got); err != nil || !strings.Contains(compact, `"user":{"tokenFile":"/token"}`) || !strings.Contains(compact, `"name":"c"`) || !strings.Contains(compact, `"namespace":"n"`) || !strings.Contains(compact, `"certificate-authority-data":"b3RoZXI="`) || strings.Contains(compact, `"T"`) {
		t.Errorf("Kubeconfig() = %v, %s", err, compact)
	}
	for _, server := range []string{"", "http://a", "https://", "https://user:pw@a", "a:b:c", "https://["} {
		_, err := tokensource.Kubeconfig(secret, tokensource.KubeconfigOptions{Server: server})
		if _, ok := errors.AsType[*tokensource.ConfigError](err); !ok || strings.Contains(err.Error(), "pw") {
			t.Errorf("server %q: Kubeconfig() = %v, want a ConfigError", server, err)
		}
	}
	delete(secret.Data, "token")
	for _, secret := range []*corev1.Secret{nil, secret} {
		_, err := tokensource.Kubeconfig(secret, tokensource.KubeconfigOptions{Server: "https://a"})
		if _, ok := errors.AsType[*tokensource.SecretConflictError](err); !ok {
			t.Errorf("Kubeconfig() without a token = %v, want a SecretConflictError", err)
		}
	}
}

func compactJSON(t *testing.T, data []byte) string {
	t.Helper()
	var value json.RawMessage = data
	compact, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(compact)
}

// Get a kubeconfig for a client outside the cluster, and replace its token later.
func ExampleEnsureSecret() {
	ctx := context.Background()
	clients := newFiller(nil) // serviceaccount.FromCoreV1(clientset.CoreV1())
	secret, err := tokensource.EnsureSecret(ctx, clients, "ci", "builder", tokensource.SecretOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	config, err := tokensource.Kubeconfig(secret, tokensource.KubeconfigOptions{Server: "https://api.example:6443"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(secret.Name, len(config) > 0)

	next, err := tokensource.RotateSecret(ctx, clients, secret, func(ctx context.Context, secret *corev1.Secret) error {
		return nil // give the clients a new kubeconfig, and wait until they use it
	}, tokensource.SecretOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = clients.GetSecret(ctx, "ci", secret.Name)
	fmt.Println(next.Name != secret.Name, apierrors.IsNotFound(err))

	// Output:
	// builder-token true
	// true true
}

func TestSecretsWithoutClient(t *testing.T) {
	old := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{UID: "1"}}
	use := func(context.Context, *corev1.Secret) error { return nil }
	for _, client := range []tokensource.SecretClient{nil, (*fake.Cluster)(nil)} {
		_, waiting := tokensource.WaitPopulated(t.Context(), client, "ci", "x", tokensource.WaitOptions{})
		_, ensuring := tokensource.EnsureSecret(t.Context(), client, "ci", "x", tokensource.SecretOptions{})
		_, rotating := tokensource.RotateSecret(t.Context(), client, old, use, tokensource.SecretOptions{})
		for function, err := range map[string]error{"WaitPopulated": waiting, "EnsureSecret": ensuring, "RotateSecret": rotating} {
			if mistake, ok := errors.AsType[*tokensource.ConfigError](err); !ok || mistake.Config != "tokensource."+function {
				t.Errorf("%s with a %T: %v, want a ConfigError", function, client, err)
			}
		}
		if e, ok := errors.AsType[*tokensource.NotPopulatedError](waiting); !ok || e.Namespace != "ci" || e.Name != "x" {
			t.Errorf("WaitPopulated() = %v, want a NotPopulatedError about ci/x", waiting)
		}
	}
}
