package keeper_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/keeper"
)

const accountLabel = "example.org/account"

// A world has a Secret that shall hold a token of ci/builder, and a clock.
type world struct {
	*fake.Cluster
	now    time.Time
	cfg    keeper.SecretsConfig
	minted int
	want   keeper.Want
	err    error // of Mint
	uid    string
	pod    tokens.ObjectRef
	life   time.Duration
	events []keeper.Event
	*keeper.Secrets
}

func newWorld(t *testing.T, change func(*world, *corev1.Secret)) *world {
	t.Helper()
	w := &world{now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), uid: "1", life: time.Hour}
	w.want = keeper.Want{Namespace: "ci", Name: "builder", UID: "1", Audiences: []string{"api"}, Data: map[string][]byte{"ca.crt": []byte("CA")}}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "s", Labels: map[string]string{accountLabel: "builder"}}, Data: map[string][]byte{"other": []byte("theirs")}}
	w.cfg = keeper.SecretsConfig{
		Want: func(secret *corev1.Secret) (*keeper.Want, error) {
			switch secret.Labels[accountLabel] {
			case "":
				return nil, nil
			case "bad":
				return nil, errors.New("bad label")
			}
			want := w.want
			return &want, nil
		},
		Mint: func(_ context.Context, want keeper.Want) (*tokens.Token, error) {
			w.minted++
			if w.err != nil {
				return nil, w.err
			}
			return w.token(want), nil
		},
		Observe: func(_ context.Context, e keeper.Event) { w.events = append(w.events, e) },
		Now:     func() time.Time { return w.now },
	}
	if change != nil {
		change(w, secret)
	}
	w.Cluster = fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "apps"}}, secret)
	if w.cfg.Reader == nil {
		w.cfg.Reader = w.Cluster
	}
	w.cfg.Client = w.Cluster
	var err error
	if w.Secrets, err = keeper.NewSecrets(w.cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

// token returns one that nobody signed.
func (w *world) token(want keeper.Want) *tokens.Token {
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	audience := "api"
	if len(want.Audiences) > 0 {
		audience = want.Audiences[0]
	}
	pod := ""
	if w.pod.Name != "" {
		pod = fmt.Sprintf(`"pod":{"name":%q,"uid":%q},`, w.pod.Name, w.pod.UID)
	}
	expiry := w.now.Add(w.life)
	exp := fmt.Sprintf(`"exp":%d,`, expiry.Unix())
	if w.life == 0 {
		expiry, exp = time.Time{}, ""
	}
	value := encode(`{"alg":"ES256","kid":"k"}`) + "." + encode(fmt.Sprintf(
		`{"aud":[%q],%s"iat":%d,"jti":"%d","iss":"https://a","kubernetes.io":{"namespace":%q,%s"serviceaccount":{"name":%q,"uid":%q}}}`,
		audience, exp, w.now.Unix(), w.minted, want.Namespace, pod, want.Name, w.uid)) + "." + encode(strings.Repeat("x", 64))
	return &tokens.Token{Value: value, ID: fmt.Sprint(w.minted), Expiry: expiry}
}

func (w *world) reconcile(t *testing.T) (sacontroller.Result, error) {
	t.Helper()
	return w.Reconcile(t.Context(), sacontroller.Key{Kind: "Secret", Namespace: "apps", Name: "s"})
}

func (w *world) secret(t *testing.T) *corev1.Secret {
	t.Helper()
	secret, err := w.GetSecret(t.Context(), "apps", "s")
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestSecrets(t *testing.T) {
	w := newWorld(t, nil)
	check := func(when string, minted int) time.Duration {
		t.Helper()
		result, err := w.reconcile(t)
		if err != nil || w.minted != minted {
			t.Fatalf("%s: Reconcile() = %v after %d tokens, want %d", when, err, w.minted, minted)
		}
		if result.RequeueAfter < 43*time.Minute || result.RequeueAfter > 48*time.Minute {
			t.Errorf("%s: to be renewed in %v, want 80 %% of an hour less up to a tenth", when, result.RequeueAfter)
		}
		return result.RequeueAfter
	}
	wait := check("at first", 1)
	secret := w.secret(t)
	if !strings.Contains(string(secret.Data["token"]), ".") || string(secret.Data["ca.crt"]) != "CA" || string(secret.Data["other"]) != "theirs" || secret.Annotations[keeper.WrittenAnnotation] == "" {
		t.Errorf("the Secret holds %v, want the token, the CA, and what it had", secret)
	}
	w.now = w.now.Add(wait - time.Second)
	if result, err := w.reconcile(t); err != nil || w.minted != 1 || result.RequeueAfter != 10*time.Second {
		t.Errorf("a second before, Reconcile() = %v, %v after %d tokens", result, err, w.minted)
	}
	w.now = w.now.Add(time.Second)
	check("when it is due", 2)

	before := w.Cluster.Actions()
	w.err = errors.New("down")
	w.now = w.now.Add(50 * time.Minute)
	if _, err := w.reconcile(t); !errors.Is(err, w.err) {
		t.Errorf("Reconcile() = %v, want the error of Mint", err)
	}
	for _, action := range w.Cluster.Actions()[len(before):] {
		if action.Verb != "get" {
			t.Errorf("a failed renewal did %v", action)
		}
	}
	w.err = nil
	check("it is up", 4)
	w.uid, w.want.UID = "2", "2"
	check("the account was recreated", 5)
	w.want.Audiences = []string{"vault"}
	check("another audience", 6)
	w.want.Data = map[string][]byte{"ca.crt": []byte("new CA")}
	check("another CA", 7)
	w.pod = tokens.ObjectRef{Name: "job", UID: "1"}
	check("a pod that nobody wants", 7)
	w.want.Pod = w.pod
	w.pod = tokens.ObjectRef{Name: "other", UID: "1"}
	w.want.Data["ca.crt"] = []byte("newer CA")
	if _, err := w.reconcile(t); err == nil || !strings.Contains(err.Error(), "not one of the account, the pod and the audiences") {
		t.Errorf("a token of another pod: %v, want it refused", err)
	}
	w.minted, w.want.Data["ca.crt"] = 7, []byte("new CA")
	w.pod = w.want.Pod
	check("a pod", 8)
	w.pod.UID, w.want.Pod.UID = "2", "2"
	check("the pod was recreated", 9)
	w.pod.Name, w.want.Pod.Name = "next", "next"
	check("another pod", 10)
	check("nothing, for a pod", 10)
	if got := string(w.secret(t).Data["ca.crt"]); got != "new CA" {
		t.Errorf("ca.crt is %q", got)
	}
	check("nothing", 10)
	var failed int
	for _, e := range w.events {
		if e.Err != nil {
			failed++
			if e.Namespace != "apps" || e.Expiry.IsZero() {
				t.Errorf("Observe got %+v, want the expiry of the token that is there", e)
			}
		} else if e.CredentialID == "" || e.Expiry.IsZero() || e.Name != "s" {
			t.Errorf("Observe got %+v", e)
		}
	}
	if failed != 2 || len(w.events) != 11 {
		t.Errorf("Observe got %d events, %d failures, want 11 and 2", len(w.events), failed)
	}
	updates := 0
	for _, action := range w.Cluster.Actions() {
		if action.Verb == "update" {
			updates++
		}
	}
	if updates != 9 {
		t.Errorf("%d updates for 9 renewals", updates)
	}
}

// What the keeper hasn't written stays (KUB-39).
func TestSecretsOfOthers(t *testing.T) {
	yes := true
	for _, tt := range []struct {
		name   string
		change func(*world, *corev1.Secret)
		want   string // the TerminalError; empty: nothing is done
	}{
		{name: "a token of another one", change: func(_ *world, s *corev1.Secret) { s.Data["token"] = []byte("theirs") }, want: `another one has written the key "token"`},
		{name: "an empty token of another one", change: func(_ *world, s *corev1.Secret) { s.Data["token"] = nil }, want: `another one has written the key "token"`},
		{name: "a token Secret", change: func(_ *world, s *corev1.Secret) {
			s.Type = corev1.SecretTypeServiceAccountToken
			s.Annotations = map[string]string{corev1.ServiceAccountNameKey: "builder"}
		}, want: "it is a token Secret"},
		{name: "an immutable Secret", change: func(_ *world, s *corev1.Secret) { s.Immutable = &yes }, want: "the Secret is immutable"},
		{name: "an invalid wish", change: func(_ *world, s *corev1.Secret) { s.Labels[accountLabel] = "bad" }, want: "bad label"},
		{name: "a path as account", change: func(w *world, _ *corev1.Secret) { w.want.Name = "../../secrets/x" }, want: `there can't be a ServiceAccount "ci"/"../../secrets/x"`},
		{name: "a path as namespace", change: func(w *world, _ *corev1.Secret) { w.want.Namespace = "../kube-system" }, want: "there can't be a ServiceAccount"},
		{name: "a path as pod", change: func(w *world, _ *corev1.Secret) { w.want.Pod.Name = "../x" }, want: `there can't be a Pod "../x"`},
		{name: "two values of a key", change: func(w *world, _ *corev1.Secret) { w.want.Key = "ca.crt" }, want: `Want.Data has the key of the token, "ca.crt"`},
		{name: "no wish", change: func(_ *world, s *corev1.Secret) { s.Labels = nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.change)
			_, err := w.reconcile(t)
			_, terminal := errors.AsType[*sacontroller.TerminalError](err)
			want := strings.TrimPrefix(tt.want, "it is ")
			if terminal != (tt.want != "") || terminal && !strings.Contains(err.Error(), want) || w.minted > 0 {
				t.Errorf("Reconcile() = %v, want a TerminalError %q", err, tt.want)
			}
			if strings.Contains(fake.FormatActions(w.Cluster.Actions()), "update") {
				t.Error("the Secret was written to")
			}
		})
	}
	w := newWorld(t, nil)
	if _, err := w.reconcile(t); err != nil {
		t.Fatal(err)
	}
	secret := w.secret(t)
	secret.Data["token"] = []byte("theirs")
	if _, err := w.UpdateSecret(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	if _, err := w.reconcile(t); err == nil || !strings.Contains(err.Error(), "another one has written") {
		t.Errorf("after another one's write, Reconcile() = %v", err)
	}
	delete(secret.Data, "token")
	secret.ResourceVersion = ""
	if _, err := w.UpdateSecret(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	if _, err := w.reconcile(t); err != nil || w.minted != 2 {
		t.Errorf("once it is removed, Reconcile() = %v, want a new token", err)
	}
}

// A cache that is behind costs a Conflict, never somebody's write.
func TestSecretsConflict(t *testing.T) {
	var stale *corev1.Secret
	w := newWorld(t, func(w *world, _ *corev1.Secret) {
		w.cfg.Reader = getter(func() (*corev1.Secret, error) { return stale.DeepCopy(), nil })
	})
	stale = w.secret(t)
	newer := stale.DeepCopy()
	newer.Data["token"] = []byte("theirs")
	if _, err := w.UpdateSecret(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	if _, err := w.reconcile(t); !apierrors.IsConflict(err) {
		t.Errorf("Reconcile() = %v, want a Conflict", err)
	}
	if got := string(w.secret(t).Data["token"]); got != "theirs" {
		t.Errorf("the token of another one is now %.10q", got)
	}
	stale = nil
	if _, err := w.reconcile(t); err == nil {
		t.Error("a getter that returns nothing gives no error")
	}
}

type getter func() (*corev1.Secret, error)

func (g getter) GetSecret(context.Context, string, string) (*corev1.Secret, error) { return g() }

// A write that can't succeed until the Secret changes is not repeated: each attempt would
// get another token.
func TestSecretsWriteFails(t *testing.T) {
	for name, tt := range map[string]struct {
		err      error
		terminal bool
	}{
		"invalid":   {apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "s", nil), true},
		"too large": {apierrors.NewRequestEntityTooLargeError("limit is 3145728"), true},
		"forbidden": {apierrors.NewForbidden(corev1.Resource("secrets"), "s", errors.New("a webhook denies it")), false},
		"down":      {errors.New("no connection"), false},
	} {
		w := newWorld(t, nil)
		w.Inject(fault.On("update", "secrets", tt.err))
		_, err := w.reconcile(t)
		if _, terminal := errors.AsType[*sacontroller.TerminalError](err); terminal != tt.terminal || !errors.Is(err, tt.err) || w.minted != 1 {
			t.Errorf("%s: Reconcile() = %v, want it terminal: %t", name, err, tt.terminal)
		}
	}
}

func TestSecretsBadTokens(t *testing.T) {
	for name, mint := range map[string]func(*world) (*tokens.Token, error){
		"nothing": func(*world) (*tokens.Token, error) { return nil, nil },
		"empty":   func(w *world) (*tokens.Token, error) { return &tokens.Token{Expiry: w.now.Add(time.Hour)}, nil },
		"expired": func(w *world) (*tokens.Token, error) { w.life = -time.Second; return w.token(w.want), nil },
		"another account": func(w *world) (*tokens.Token, error) {
			return w.token(keeper.Want{Namespace: "ci", Name: "other"}), nil
		},
		"another namespace": func(w *world) (*tokens.Token, error) {
			return w.token(keeper.Want{Namespace: "cd", Name: "builder"}), nil
		},
		"opaque": func(*world) (*tokens.Token, error) { return &tokens.Token{Value: "hunter2"}, nil },
		"panic":  func(*world) (*tokens.Token, error) { panic("hunter2") },
	} {
		w := newWorld(t, func(w *world, _ *corev1.Secret) {
			w.cfg.Mint = func(context.Context, keeper.Want) (*tokens.Token, error) { return mint(w) }
		})
		_, err := w.reconcile(t)
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(fake.FormatActions(w.Cluster.Actions()), "update") {
			t.Errorf("%s: Reconcile() = %v, want an error and no write", name, err)
		}
		if none := name == "nothing" || name == "empty"; strings.Contains(fmt.Sprint(err), "neither a token nor an error") != none {
			t.Errorf("%s: Reconcile() = %v", name, err)
		}
		if (w.events[0].Panic != nil) != (name == "panic") {
			t.Errorf("%s: Observe got %+v", name, w.events[0])
		}
	}
}

// A token that never expires is never renewed (KUB-46); one of any audience or pod is
// accepted if none is wanted, and a Secret's own annotations stay.
func TestSecretsAccepts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*world, *corev1.Secret)
		never  bool // renewed
	}{
		{name: "no expiry", change: func(w *world, _ *corev1.Secret) { w.life = 0 }, never: true},
		{name: "no audiences", change: func(w *world, _ *corev1.Secret) { w.want.Audiences = nil }},
		{name: "no pod", change: func(w *world, _ *corev1.Secret) { w.pod = tokens.ObjectRef{Name: "job", UID: "1"} }},
		{name: "a mutable Secret", change: func(_ *world, s *corev1.Secret) { no := false; s.Immutable = &no }},
		{name: "no clock", change: func(w *world, _ *corev1.Secret) { w.cfg.Now, w.now = nil, time.Now() }},
		{name: "annotations", change: func(_ *world, s *corev1.Secret) { s.Annotations = map[string]string{"a": "b"} }},
	} {
		w := newWorld(t, tt.change)
		before := w.secret(t).Annotations["a"]
		for range 2 {
			if result, err := w.reconcile(t); err != nil || w.minted != 1 || (result.RequeueAfter == 0) != tt.never {
				t.Errorf("%s: Reconcile() = %v, %v after %d tokens", tt.name, result, err, w.minted)
			}
		}
		secret := w.secret(t)
		sum := sha256.Sum256(secret.Data["token"])
		// Another version of this library must know what this one has written.
		if got := secret.Annotations[keeper.WrittenAnnotation]; secret.Annotations["a"] != before || got != fmt.Sprintf("token=%x", sum[:8]) {
			t.Errorf("%s: the Secret has the annotations %v", tt.name, secret.Annotations)
		}
	}
}

// A Secret that is another one, or about to go, is left alone.
func TestSecretsGone(t *testing.T) {
	for name, change := range map[string]func(*corev1.Secret){
		"recreated":     func(s *corev1.Secret) { s.UID = "2" },
		"being deleted": func(s *corev1.Secret) { s.DeletionTimestamp = &metav1.Time{Time: noon} },
	} {
		w := newWorld(t, func(w *world, s *corev1.Secret) {
			s = s.DeepCopy()
			s.UID = "1"
			change(s)
			w.cfg.Reader = getter(func() (*corev1.Secret, error) { return s, nil })
		})
		result, err := w.Reconcile(t.Context(), sacontroller.Key{Kind: "Secret", Namespace: "apps", Name: "s", UID: "1"})
		if err != nil || result != (sacontroller.Result{}) || w.minted > 0 {
			t.Errorf("%s: Reconcile() = %v, %v after %d tokens, want nothing done", name, result, err, w.minted)
		}
	}
}

// A Want that the function Want returns to all stays as it is, and the context of Mint
// ends with it.
func TestSecretsSharedWant(t *testing.T) {
	shared := &keeper.Want{Namespace: "ci", Name: "builder"}
	var minting context.Context
	w := newWorld(t, func(w *world, _ *corev1.Secret) {
		w.cfg.Want = func(*corev1.Secret) (*keeper.Want, error) { return shared, nil }
		mint := w.cfg.Mint
		w.cfg.Mint = func(ctx context.Context, want keeper.Want) (*tokens.Token, error) {
			minting = ctx
			return mint(ctx, want)
		}
	})
	if _, err := w.reconcile(t); err != nil || w.secret(t).Data[keeper.DefaultKey] == nil {
		t.Errorf("Reconcile() = %v, want a token at the default key", err)
	}
	if shared.Key != "" {
		t.Errorf("the Want that all Secrets share has got the key %q", shared.Key)
	}
	if minting.Err() == nil {
		t.Error("the context of Mint goes on after it")
	}
}

func TestWantPrintsNoData(t *testing.T) {
	w := keeper.Want{Namespace: "ci", Name: "builder", Data: map[string][]byte{"k": []byte("hunter2")}}
	if got := fmt.Sprintf("%d%#v", w, w); got != strings.Repeat("keeper.Want(ci/builder for [])", 2) {
		t.Errorf("a Want prints as %q", got)
	}
}

func TestSecretsRender(t *testing.T) {
	w := newWorld(t, func(w *world, _ *corev1.Secret) {
		w.want.Key = "kubeconfig"
		w.want.Render = func(token string) ([]byte, error) { return []byte("token: " + token), nil }
		w.want.TokenOf = func(rendered []byte) string {
			return strings.TrimPrefix(string(rendered[:7]), "token: ") + string(rendered[7:])
		}
	})
	for range 2 {
		if _, err := w.reconcile(t); err != nil || w.minted != 1 {
			t.Fatalf("Reconcile() = %v after %d tokens, want one", err, w.minted)
		}
	}
	if got := string(w.secret(t).Data["kubeconfig"]); !strings.HasPrefix(got, "token: ey") {
		t.Errorf("kubeconfig is %.20q", got)
	}
	w = newWorld(t, func(w *world, _ *corev1.Secret) {
		w.want.Render = func(string) ([]byte, error) { return []byte("half"), errors.New("bad template") }
	})
	if _, err := w.reconcile(t); err == nil || err.Error() != "keeper: rendering the new token: bad template" {
		t.Errorf("Reconcile() = %v, want the error of Render", err)
	}
}

func TestSecretsDue(t *testing.T) {
	w := newWorld(t, nil)
	secret := w.secret(t)
	other := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "other"}}
	bad := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "bad", Labels: map[string]string{accountLabel: "bad"}}}
	for _, tt := range []struct {
		change sacontroller.Change
		want   int
	}{
		{sacontroller.Change{Type: watch.Added, Object: secret}, 1},
		{sacontroller.Change{Type: watch.Modified, Object: secret}, 1},
		{sacontroller.Change{Type: watch.Modified, Object: bad}, 1}, // Reconcile says what is wrong
		{sacontroller.Change{Type: watch.Deleted, Object: secret}, 0},
		{sacontroller.Change{Type: watch.Added, Object: other}, 0},
		{sacontroller.Change{Type: watch.Added, Object: &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Labels: secret.Labels}}}, 0},
		{sacontroller.Change{Type: watch.Added, Object: (*corev1.Secret)(nil)}, 0},
		{sacontroller.Change{Type: watch.Added, Object: &corev1.Pod{}}, 0},
		{sacontroller.Change{}, 0},
	} {
		if got := w.Due(tt.change); len(got) != tt.want || tt.want > 0 && (got[0].Kind != "Secret" || got[0].UID != tt.change.Object.(*corev1.Secret).UID) {
			t.Errorf("Due(%v) = %v, want %d keys", tt.change.Type, got, tt.want)
		}
	}
	if err := w.Settle(t.Context(), w.Secrets); err != nil || w.minted != 1 {
		t.Errorf("Settle() = %v after %d tokens, want one", err, w.minted)
	}
	if _, err := w.Reconcile(t.Context(), sacontroller.Key{Kind: "Secret", Namespace: "apps", Name: "none"}); err != nil {
		t.Errorf("Reconcile() of a Secret that is gone = %v", err)
	}
}

func TestNewSecrets(t *testing.T) {
	_, err := keeper.NewSecrets(keeper.SecretsConfig{Reader: (*fake.Cluster)(nil)})
	const want = "keeper: SecretsConfig.Reader is required, want a SecretGetter\nkeeper: SecretsConfig.Client is required, want a SecretUpdater\n" +
		"keeper: SecretsConfig.Want is required, want a function that says which token a Secret shall hold\nkeeper: SecretsConfig.Mint is required, want a function that returns a new token"
	if _, ok := errors.AsType[*keeper.ConfigError](err); !ok || err.Error() != want {
		t.Errorf("NewSecrets() =\n%v\nwant\n%s", err, want)
	}
}

// What one renewal costs, with 10,000 Secrets kept.
func BenchmarkRenewal(b *testing.B) {
	w := newWorld(&testing.T{}, nil)
	keys := make([]sacontroller.Key, 10000)
	for i := range keys {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: fmt.Sprintf("s-%d", i), Labels: map[string]string{accountLabel: "builder"}}}
		if _, err := w.CreateSecret(b.Context(), secret); err != nil {
			b.Fatal(err)
		}
		keys[i] = sacontroller.Key{Kind: "Secret", Namespace: "apps", Name: secret.Name}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(keys) == 0 {
			w.now = w.now.Add(time.Hour)
			w.Cluster.Actions() // not kept
		}
		if _, err := w.Reconcile(b.Context(), keys[i%len(keys)]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(w.minted)/float64(b.N), "tokens/op")
}
