package fake_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
)

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func tokenSecret(name, account string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: meta("ci", name), Type: corev1.SecretTypeServiceAccountToken}
	s.Annotations = map[string]string{corev1.ServiceAccountNameKey: account}
	return s
}

func goodPod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: meta("ci", name), Spec: corev1.PodSpec{
		ServiceAccountName: "builder",
		Containers:         []corev1.Container{{Name: "main", Image: "busybox"}},
	}}
}

// newCI returns a cluster with an active Namespace "ci".
func newCI(t *testing.T, objects ...runtime.Object) *fake.Cluster {
	t.Helper()
	c := new(fake.Cluster)
	if err := c.Load(append([]runtime.Object{&corev1.Namespace{ObjectMeta: meta("", "ci")}}, objects...)...); err != nil {
		t.Fatal(err)
	}
	return c
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// checkError fails unless err has exactly this text and reason.
func checkError(t *testing.T, err error, reason metav1.StatusReason, text string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want %s %q", reason, text)
	}
	if got := apierrors.ReasonForError(err); got != reason || err.Error() != text {
		t.Errorf("got %s %q,\nwant %s %q", got, err, reason, text)
	}
}

func TestCreateFillsInWhatTheServerOwns(t *testing.T) {
	now := time.Date(2031, 2, 3, 4, 5, 6, 789, time.UTC)
	c := newCI(t)
	c.Now = func() time.Time { return now }
	gone := metav1.NewTime(now)
	sent := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ci", Name: "s", UID: "mine", CreationTimestamp: gone, DeletionTimestamp: &gone,
			Labels: map[string]string{"a": "b"},
		},
		StringData: map[string]string{"k": "v"},
	}
	before := sent.DeepCopy()
	got := must[*corev1.Secret](t)(c.CreateSecret(t.Context(), sent))
	want := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ci", Name: "s", UID: got.UID, ResourceVersion: "2",
			CreationTimestamp: metav1.NewTime(now.Truncate(time.Second)), Labels: map[string]string{"a": "b"},
		},
		Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"k": []byte("v")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, sent); diff != "" {
		t.Errorf("the caller's object was changed (-before +after):\n%s", diff)
	}
}

// F02
func TestCopiesInAndOut(t *testing.T) {
	c := newCI(t)
	sent := tokenSecret("s", "builder")
	created := must[*corev1.Secret](t)(c.CreateSecret(t.Context(), sent))
	read := must[*corev1.Secret](t)(c.GetSecret(t.Context(), "ci", "s"))
	listed := must[[]*corev1.Secret](t)(c.ListSecrets(t.Context(), "ci"))[0]
	found := must[[]*corev1.Secret](t)(c.TokenSecrets(t.Context(), "ci", "builder"))[0]
	cached := must[*corev1.Secret](t)(c.Reader().GetSecret(t.Context(), "ci", "s"))
	want := created.DeepCopy()
	for _, s := range []*corev1.Secret{sent, created, read, listed, found, cached} {
		s.Annotations["spoiled"] = "yes"
	}
	got := must[*corev1.Secret](t)(c.GetSecret(t.Context(), "ci", "s"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the stored object was changed (-want +got):\n%s", diff)
	}
}

// F01, F02, ADM-232, ADM-233
func TestCreateRefuses(t *testing.T) {
	good := func() *corev1.Secret { return tokenSecret("s", "builder") }
	tests := []struct {
		name   string
		mutate func(*corev1.Secret)
		reason metav1.StatusReason
		text   string
	}{
		{name: "good"},
		{"name in use", func(s *corev1.Secret) { s.Name = "taken" }, metav1.StatusReasonAlreadyExists, `secrets "taken" already exists`},
		{"resourceVersion set", func(s *corev1.Secret) { s.ResourceVersion = "7" }, metav1.StatusReasonUnknown, "resourceVersion should not be set on objects to be created"},
		{"no namespace", func(s *corev1.Secret) { s.Namespace = "" }, metav1.StatusReasonBadRequest, "an empty namespace may not be set during creation"},
		{"unknown namespace", func(s *corev1.Secret) { s.Namespace = "nowhere" }, metav1.StatusReasonNotFound, `namespaces "nowhere" not found`},
		{"no name", func(s *corev1.Secret) { s.Name = "" }, metav1.StatusReasonInvalid, `Secret "" is invalid: metadata.name: Required value: name or generateName is required`},
		{"bad name", func(s *corev1.Secret) { s.Name = "Big" }, metav1.StatusReasonInvalid, `Secret "Big" is invalid: metadata.name: Invalid value: "Big": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`},
		{"no account", func(s *corev1.Secret) { delete(s.Annotations, corev1.ServiceAccountNameKey) }, metav1.StatusReasonInvalid, `Secret "s" is invalid: metadata.annotations[kubernetes.io/service-account.name]: Required value`},
		{"empty account", func(s *corev1.Secret) { s.Annotations[corev1.ServiceAccountNameKey] = "" }, metav1.StatusReasonInvalid, `Secret "s" is invalid: metadata.annotations[kubernetes.io/service-account.name]: Required value`},
		{"bad data key", func(s *corev1.Secret) { s.Data = map[string][]byte{"a/b": nil} }, metav1.StatusReasonInvalid, `Secret "s" is invalid: data[a/b]: Invalid value: "a/b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`},
		{"too much data", func(s *corev1.Secret) { s.Data = map[string][]byte{"a": make([]byte, 1<<20+1)} }, metav1.StatusReasonInvalid, `Secret "s" is invalid: data: Too long: may not be more than 1048576 bytes`},
		{"bad label value", func(s *corev1.Secret) { s.Labels = map[string]string{"a": "b c"} }, metav1.StatusReasonInvalid, `Secret "s" is invalid: metadata.labels: Invalid value: "b c": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`},
		{"large annotations", func(s *corev1.Secret) { s.Annotations["a"] = strings.Repeat("x", 256<<10) }, metav1.StatusReasonInvalid, `Secret "s" is invalid: metadata.annotations: Too long: may not be more than 262144 bytes`},
		{"odd finalizer", func(s *corev1.Secret) { s.Finalizers = []string{"mine"} }, metav1.StatusReasonInvalid, `Secret "s" is invalid: metadata.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified`},
		{"owner without UID", func(s *corev1.Secret) {
			s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "p"}}
		}, metav1.StatusReasonInvalid, `Secret "s" is invalid: metadata.ownerReferences[0].uid: Required value: must not be empty`},
		{"another kind", func(s *corev1.Secret) { s.Kind, s.APIVersion = "Pod", "v1" }, metav1.StatusReasonBadRequest, "the kind in the data (/v1, Kind=Pod) does not match the expected kind (/v1, Kind=Secret)"},
		{"pull secret without JSON", func(s *corev1.Secret) {
			s.Type, s.Data = corev1.SecretTypeDockerConfigJson, map[string][]byte{corev1.DockerConfigJsonKey: []byte("hunter2")}
		}, metav1.StatusReasonInvalid, `Secret "s" is invalid: data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": invalid character or unexpected end of JSON input`},
		{"TLS without key", func(s *corev1.Secret) {
			s.Type, s.Data = corev1.SecretTypeTLS, map[string][]byte{"tls.crt": nil}
		}, metav1.StatusReasonInvalid, `Secret "s" is invalid: data[tls.key]: Required value`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCI(t, &corev1.Secret{ObjectMeta: meta("ci", "taken")})
			before := c.Revision()
			secret := good()
			if tt.mutate != nil {
				tt.mutate(secret)
			}
			_, err := c.CreateSecret(t.Context(), secret)
			if tt.text == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			checkError(t, err, tt.reason, tt.text)
			if got := c.Revision(); got != before {
				t.Errorf("revision after a refusal = %s, want %s", got, before)
			}
		})
	}
}

// CST-19
func TestGenerateName(t *testing.T) {
	c := newCI(t)
	seen := map[string]bool{}
	for range 300 {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", GenerateName: strings.Repeat("x", 70)}}
		got := must[*corev1.Secret](t)(c.CreateSecret(t.Context(), s))
		suffix := strings.TrimPrefix(got.Name, strings.Repeat("x", 58))
		if len(got.Name) != 63 || len(suffix) != 5 || strings.Trim(suffix, "bcdfghjklmnpqrstvwxz2456789") != "" {
			t.Fatalf("generated name %q, want 58 letters of the base and 5 of the generator", got.Name)
		}
		if seen[got.Name] {
			t.Fatalf("name %s was generated twice", got.Name)
		}
		seen[got.Name] = true
	}
	if a := c.Actions()[0]; !seen[a.Name] {
		t.Errorf("first action is %q, want the generated name in it", a)
	}
	_, err := c.CreateSecret(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", GenerateName: "Big-"}})
	if !apierrors.IsInvalid(err) {
		t.Errorf("create with a bad generateName = %v, want Invalid", err)
	}
}

// ADM-233
func TestServiceAccountSecretsAreReducedToNames(t *testing.T) {
	c := newCI(t)
	account := &corev1.ServiceAccount{ObjectMeta: meta("ci", "builder"), Secrets: []corev1.ObjectReference{{Name: "a", Kind: "Secret", UID: "1"}}}
	got := must[*corev1.ServiceAccount](t)(c.CreateServiceAccount(t.Context(), account))
	if diff := cmp.Diff([]corev1.ObjectReference{{Name: "a"}}, got.Secrets); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	got.Secrets = append(got.Secrets, corev1.ObjectReference{Name: "b", Namespace: "other"})
	got = must[*corev1.ServiceAccount](t)(c.UpdateServiceAccount(t.Context(), got))
	if diff := cmp.Diff([]corev1.ObjectReference{{Name: "a"}, {Name: "b"}}, got.Secrets); diff != "" {
		t.Errorf("updated (-want +got):\n%s", diff)
	}
}

// F01, F02, ADM-232, ADM-233
func TestUpdate(t *testing.T) {
	frozen := true
	tests := []struct {
		name   string
		mutate func(*corev1.Secret)
		reason metav1.StatusReason
		text   string
	}{
		{name: "current resourceVersion", mutate: func(s *corev1.Secret) {}},
		{name: "no resourceVersion", mutate: func(s *corev1.Secret) { s.ResourceVersion = "" }},
		{name: "no UID", mutate: func(s *corev1.Secret) { s.UID = "" }},
		{"stale resourceVersion", func(s *corev1.Secret) { s.ResourceVersion = "1" }, metav1.StatusReasonConflict, `Operation cannot be fulfilled on secrets "s": the object has been modified; please apply your changes to the latest version and try again`},
		{"UID of another", func(s *corev1.Secret) { s.UID = "other" }, metav1.StatusReasonConflict, `Operation cannot be fulfilled on secrets "s": Precondition failed: UID in precondition: other, UID in object meta: u1`},
		{"not there", func(s *corev1.Secret) { s.Name, s.UID = "missing", "" }, metav1.StatusReasonNotFound, `secrets "missing" not found`},
		{"not there, with UID", func(s *corev1.Secret) { s.Name = "missing" }, metav1.StatusReasonNotFound, `secrets "missing" not found`},
		{"other type", func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }, metav1.StatusReasonInvalid, `Secret "s" is invalid: type: Invalid value: "Opaque": field is immutable`},
		{"no name", func(s *corev1.Secret) { s.Name = "" }, metav1.StatusReasonBadRequest, "resource name may not be empty"},
		{"no namespace", func(s *corev1.Secret) { s.Namespace = "" }, metav1.StatusReasonBadRequest, "an empty namespace may not be set when a resource name is provided"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			secret := tokenSecret("s", "builder")
			secret.UID = "u1"
			c := newCI(t, secret)
			sent := must[*corev1.Secret](t)(c.GetSecret(t.Context(), "ci", "s"))
			sent.Data = map[string][]byte{"token": []byte("x")}
			sent.CreationTimestamp = metav1.Time{}
			tt.mutate(sent)
			got, err := c.UpdateSecret(t.Context(), sent)
			if tt.text != "" {
				checkError(t, err, tt.reason, tt.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.UID != "u1" || got.ResourceVersion != "3" || !got.CreationTimestamp.Equal(&metav1.Time{Time: fake.Epoch}) || string(got.Data["token"]) != "x" {
				t.Errorf("updated to %+v, want the new data under the old identity and revision 3", got.ObjectMeta)
			}
		})
	}

	t.Run("immutable", func(t *testing.T) {
		c := newCI(t, &corev1.Secret{ObjectMeta: meta("ci", "s"), Immutable: &frozen}, &corev1.ConfigMap{ObjectMeta: meta("ci", "m"), Immutable: &frozen})
		_, err := c.UpdateSecret(t.Context(), &corev1.Secret{ObjectMeta: meta("ci", "s"), Data: map[string][]byte{"a": nil}})
		checkError(t, err, metav1.StatusReasonInvalid, "Secret \"s\" is invalid: [immutable: Forbidden: field is immutable when `immutable` is set, data: Forbidden: field is immutable when `immutable` is set]")
		_, err = c.UpdateConfigMap(t.Context(), &corev1.ConfigMap{ObjectMeta: meta("ci", "m"), Immutable: &frozen, Data: map[string]string{"a": ""}})
		checkError(t, err, metav1.StatusReasonInvalid, "ConfigMap \"m\" is invalid: data: Forbidden: field is immutable when `immutable` is set")
	})
}

// An update that changes nothing is no write.
func TestNoOpUpdate(t *testing.T) {
	c := newCI(t, tokenSecret("s", "builder"))
	secret := must[*corev1.Secret](t)(c.GetSecret(t.Context(), "ci", "s"))
	before := c.Revision()
	secret.Labels = map[string]string{} // the same as none
	got := must[*corev1.Secret](t)(c.UpdateSecret(t.Context(), secret))
	if got.ResourceVersion != secret.ResourceVersion || c.Revision() != before {
		t.Errorf("an update without a change went to %s (cluster %s), want %s", got.ResourceVersion, c.Revision(), before)
	}
}

// F01
func TestDeletePreconditions(t *testing.T) {
	uid, other := types.UID("u1"), types.UID("u2")
	rv, stale := "2", "1"
	tests := []struct {
		name string
		want *metav1.Preconditions
		text string
	}{
		{name: "none"},
		{name: "both hold", want: &metav1.Preconditions{UID: &uid, ResourceVersion: &rv}},
		{"other UID", &metav1.Preconditions{UID: &other}, `Operation cannot be fulfilled on Secret "s": the UID in the precondition (u2) does not match the UID in record (u1). The object might have been deleted and then recreated`},
		{"stale resourceVersion", &metav1.Preconditions{UID: &uid, ResourceVersion: &stale}, `Operation cannot be fulfilled on Secret "s": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (2). The object might have been modified`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCI(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "s", UID: uid}})
			err := c.DeleteSecret(t.Context(), "ci", "s", metav1.DeleteOptions{Preconditions: tt.want})
			_, getErr := c.GetSecret(t.Context(), "ci", "s")
			if tt.text != "" {
				checkError(t, err, metav1.StatusReasonConflict, tt.text)
				if getErr != nil {
					t.Errorf("after a refused delete, get = %v, want the object", getErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkError(t, getErr, metav1.StatusReasonNotFound, `secrets "s" not found`)
			err = c.DeleteSecret(t.Context(), "ci", "s", metav1.DeleteOptions{})
			checkError(t, err, metav1.StatusReasonNotFound, `secrets "s" not found`)
		})
	}

	t.Run("dry run", func(t *testing.T) {
		c := newCI(t, tokenSecret("s", "builder"))
		if err := c.DeleteSecret(t.Context(), "ci", "s", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
			t.Fatal(err)
		}
		must[*corev1.Secret](t)(c.GetSecret(t.Context(), "ci", "s"))
	})
}

// F02
func TestFinalizers(t *testing.T) {
	c := newCI(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "s", Finalizers: []string{"example.com/a"}}})
	if err := c.DeleteSecret(t.Context(), "ci", "s", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	marked := must[*corev1.Secret](t)(c.GetSecret(t.Context(), "ci", "s"))
	if marked.DeletionTimestamp == nil || marked.ResourceVersion != "3" {
		t.Fatalf("after a delete the object is %+v, want it marked at revision 3", marked.ObjectMeta)
	}
	if err := c.DeleteSecret(t.Context(), "ci", "s", metav1.DeleteOptions{}); err != nil {
		t.Fatalf("second delete = %v, want none", err)
	}
	if c.Revision() != "3" {
		t.Errorf("a second delete made revision %s, want still 3", c.Revision())
	}
	more := marked.DeepCopy()
	more.Finalizers = append(more.Finalizers, "example.com/b")
	_, err := c.UpdateSecret(t.Context(), more)
	checkError(t, err, metav1.StatusReasonInvalid, `Secret "s" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"example.com/b"}`)
	marked.Finalizers = nil
	must[*corev1.Secret](t)(c.UpdateSecret(t.Context(), marked))
	_, err = c.GetSecret(t.Context(), "ci", "s")
	checkError(t, err, metav1.StatusReasonNotFound, `secrets "s" not found`)
}

func TestTokenSecrets(t *testing.T) {
	c := newCI(t, tokenSecret("b", "builder"), tokenSecret("a", "builder"), tokenSecret("c", "default"),
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "opaque", Annotations: map[string]string{corev1.ServiceAccountNameKey: "builder"}}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "cd", Name: "d", Annotations: map[string]string{corev1.ServiceAccountNameKey: "builder"}}, Type: corev1.SecretTypeServiceAccountToken})
	names := func() string {
		var b strings.Builder
		for _, s := range must[[]*corev1.Secret](t)(c.TokenSecrets(t.Context(), "ci", "builder")) {
			b.WriteString(s.Name)
		}
		return b.String()
	}
	if got := names(); got != "ab" {
		t.Errorf("TokenSecrets() = %q, want ab", got)
	}
	moved := must[*corev1.Secret](t)(c.GetSecret(t.Context(), "ci", "a"))
	moved.Annotations[corev1.ServiceAccountNameKey] = "default"
	must[*corev1.Secret](t)(c.UpdateSecret(t.Context(), moved))
	if got := names(); got != "b" {
		t.Errorf("TokenSecrets() = %q after one moved, want b", got)
	}
	if err := c.DeleteSecret(t.Context(), "ci", "b", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := names(); got != "" {
		t.Errorf("TokenSecrets() = %q after all are gone, want none", got)
	}
}

func TestContextIsHonoured(t *testing.T) {
	c := newCI(t, tokenSecret("s", "builder"))
	r := c.Reader()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := c.Revision()
	calls := map[string]func() error{
		"get":    func() error { _, err := c.GetSecret(ctx, "ci", "s"); return err },
		"list":   func() error { _, err := c.ListSecrets(ctx, "ci"); return err },
		"tokens": func() error { _, err := c.TokenSecrets(ctx, "ci", "builder"); return err },
		"create": func() error { _, err := c.CreateSecret(ctx, tokenSecret("t", "builder")); return err },
		"update": func() error { _, err := c.UpdateSecret(ctx, tokenSecret("s", "other")); return err },
		"patch": func() error {
			_, err := c.PatchSecret(ctx, "ci", "s", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`))
			return err
		},
		"delete": func() error { return c.DeleteSecret(ctx, "ci", "s", metav1.DeleteOptions{}) },
		"watch":  func() error { _, err := c.Watch(ctx, "secrets", "", metav1.ListOptions{}); return err },
		"reader": func() error { _, err := r.GetSecret(ctx, "ci", "s"); return err },
		"settle": func() error { return c.Settle(ctx, stamper{c}) },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context = %v, want context.Canceled", name, err)
		}
	}
	if got := c.Revision(); got != before {
		t.Errorf("cancelled calls made revision %s, want %s", got, before)
	}
}

func TestLoad(t *testing.T) {
	t.Run("keeps what is set", func(t *testing.T) {
		gone := metav1.NewTime(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
		c := fake.New(
			&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "p", UID: "u", CreationTimestamp: gone, DeletionTimestamp: &gone}, Status: corev1.PodStatus{Phase: corev1.PodRunning}},
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "old", DeletionTimestamp: &gone}},
		)
		pod := must[*corev1.Pod](t)(c.GetPod(t.Context(), "ci", "p"))
		if pod.UID != "u" || !pod.CreationTimestamp.Equal(&gone) || !pod.DeletionTimestamp.Equal(&gone) || pod.Status.Phase != corev1.PodRunning {
			t.Errorf("loaded pod is %+v, want its UID, times and phase kept", pod)
		}
		for name, want := range map[string]corev1.NamespacePhase{"ci": corev1.NamespaceActive, "old": corev1.NamespaceTerminating} {
			if ns := must[*corev1.Namespace](t)(c.GetNamespace(t.Context(), name)); ns.Status.Phase != want {
				t.Errorf("namespace %s is %q, want %q", name, ns.Status.Phase, want)
			}
		}
	})
	t.Run("refuses all or nothing", func(t *testing.T) {
		var c fake.Cluster
		var none *corev1.Secret
		err := c.Load(&corev1.Secret{ObjectMeta: meta("ci", "good")}, none, &corev1.Service{}, &corev1.Secret{ObjectMeta: meta("ci", "good")}, &corev1.Node{ObjectMeta: meta("ci", "n")})
		want := `fake: object 1: got a *v1.Secret, want a non-nil Namespace, Node, ServiceAccount, Secret, Pod, ConfigMap or ClusterTrustBundle
fake: object 2: got a *v1.Service, want a non-nil Namespace, Node, ServiceAccount, Secret, Pod, ConfigMap or ClusterTrustBundle
fake: object 3: secrets "ci/good" exists already
fake: object 4: Node "n" is invalid: metadata.namespace: Forbidden: not allowed on this type`
		if err == nil || err.Error() != want {
			t.Errorf("Load() = %v, want %s", err, want)
		}
		if c.Revision() != "0" {
			t.Errorf("revision after a refusal = %s, want 0", c.Revision())
		}
	})
}
