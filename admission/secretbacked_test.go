package admission_test

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/admission"
)

// ADM-100: SecretBacked is the old mode, Projected the new one.
func secretBacked(o *objects) func(*admission.Config) {
	return func(c *admission.Config) { c.TokenVolume, c.Secrets = admission.SecretBacked, o }
}

// noToken is ADM-106.
func noToken(account string) *metav1.Status {
	return &metav1.Status{
		Status: "Failure", Code: 500, Reason: metav1.StatusReasonServerTimeout,
		Details: &metav1.StatusDetails{Kind: "serviceaccounts", Name: "create pod", RetryAfterSeconds: 1},
		Message: `No API token found for service account "` + account + `", retry after the token is automatically created and added to the service account`,
	}
}

func TestChoiceOfToken(t *testing.T) {
	misfiled := tokenSecret("t1", "default", "uid-1") // what a careless getter returns for shop/t1
	misfiled.Namespace = "bank"
	opaque := tokenSecret("opaque", "default", "uid-1")
	opaque.Type = corev1.SecretTypeOpaque
	tests := []struct {
		name    string
		secrets []any
		listed  []string
		want    string // the Secret, or "" for none
	}{
		// ADM-103
		{"token", []any{tokenSecret("t1", "default", "uid-1")}, []string{"t1"}, "t1"},
		{"token without a UID", []any{tokenSecret("t1", "default", "")}, []string{"t1"}, "t1"},
		{"token of a namesake", []any{tokenSecret("t1", "default", "uid-0")}, []string{"t1"}, ""},
		{"token of another account", []any{tokenSecret("t1", "other", "")}, []string{"t1"}, ""},
		{"token of another namespace", []any{misfiled}, []string{"t1"}, ""},
		{"another type", []any{opaque}, []string{"opaque"}, ""},
		// ADM-104, ADM-T19
		{"first of two", []any{tokenSecret("t1", "default", ""), tokenSecret("t2", "default", "")}, []string{"t1", "t2"}, "t1"},
		{"first of two, the other way", []any{tokenSecret("t1", "default", ""), tokenSecret("t2", "default", "")}, []string{"t2", "t1"}, "t2"},
		{"behind others", []any{opaque, tokenSecret("t2", "default", "")}, []string{"", "gone", "opaque", "t2"}, "t2"},
		{"not listed", []any{tokenSecret("t1", "default", "uid-1")}, []string{"gone"}, ""},
		// ADM-105
		{"nothing listed", []any{tokenSecret("t1", "default", "uid-1")}, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := account("default", lists(tt.listed...))
			o := have(append(tt.secrets, a)...)
			got := pod()
			before := got.DeepCopy()
			err := plugin(t, o, secretBacked(o)).Admit(t.Context(), create(got))
			lenient := pod()
			wantStatus(t, plugin(t, o, secretBacked(o), func(c *admission.Config) { c.AllowMissingToken = true }).Admit(t.Context(), create(lenient)), nil)
			if tt.want == "" {
				wantStatus(t, err, noToken("default")) // ADM-102, ADM-106, ADM-T19
				wantPod(t, got, before)
				wantPod(t, lenient, pod(runsAs("default"), noPulls)) // ADM-107, ADM-T19
				return
			}
			wantStatus(t, err, nil)
			want := pod(runsAs("default"), withVolumes(secretVolume(tt.want, tt.want)), withMounts(tokenMount(tt.want)), noPulls)
			wantPod(t, got, want)
			wantPod(t, lenient, want)
		})
	}
}

func noPulls(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{} }

func TestSecretBackedMount(t *testing.T) {
	type changes = []func(*corev1.Pod)
	emptyDir := func(name string) corev1.Volume { return corev1.Volume{Name: name} }
	mounted := corev1.VolumeMount{Name: "mine", MountPath: mountPath}
	tests := []struct {
		name  string
		token string
		in    changes
		want  changes
	}{
		// ADM-110
		{"volume of the token is reused", "t1", changes{withVolumes(emptyDir("t1"), secretVolume("mine", "t1"))}, changes{withVolumes(emptyDir("t1"), secretVolume("mine", "t1")), withMounts(tokenMount("mine"))}},
		// ADM-111, ADM-T19
		{"dots", "token.name-123", nil, changes{withVolumes(secretVolume("token-name-123", "token.name-123")), withMounts(tokenMount("token-name-123"))}},
		{"name is taken", "t1", changes{withVolumes(emptyDir("t1"))}, changes{withVolumes(emptyDir("t1"), secretVolume("t1-abc12", "t1")), withMounts(tokenMount("t1-abc12"))}},
		{"both names are taken", "t1", changes{withVolumes(emptyDir("t1"), emptyDir("t1-abc12"))}, changes{withVolumes(emptyDir("t1"), emptyDir("t1-abc12"), secretVolume("t1-2", "t1")), withMounts(tokenMount("t1-2"))}},
		// ADM-112
		{"no mode is set", "t1", nil, changes{withVolumes(secretVolume("t1", "t1")), withMounts(tokenMount("t1"))}},
		// ADM-113
		{"mounted already", "t1", changes{withMounts(mounted)}, changes{withMounts(mounted)}},
		{"init container", "t1", changes{inits(corev1.Container{}), withMounts(mounted)}, changes{inits(corev1.Container{VolumeMounts: []corev1.VolumeMount{tokenMount("t1")}}), withMounts(mounted), withVolumes(secretVolume("t1", "t1"))}},
		// ADM-114, ADM-T19
		{"token of another name", "t2", changes{withVolumes(secretVolume("t1", "t1")), withMounts(tokenMount("t1"))}, changes{withVolumes(secretVolume("t1", "t1")), withMounts(tokenMount("t1"))}},
		{"volume of another Secret", "t2", changes{withVolumes(secretVolume("t1", "t1"))}, changes{withVolumes(secretVolume("t1", "t1"), secretVolume("t2", "t2")), withMounts(tokenMount("t2"))}},
		{"look-alike of the projected volume", "t1", changes{withVolumes(emptyDir("kube-api-access-x"))}, changes{withVolumes(emptyDir("kube-api-access-x"), secretVolume("t1", "t1")), withMounts(tokenMount("t1"))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := have(account("default", lists(tt.token)), tokenSecret(tt.token, "default", ""))
			p := plugin(t, o, secretBacked(o))
			got, want := pod(tt.in...), pod(append(tt.want, runsAs("default"), noPulls)...)
			for range 2 { // ADM-7
				wantStatus(t, p.Admit(t.Context(), create(got)), nil)
				wantPod(t, got, want)
			}
		})
	}
}

func TestProjectedVolumeBesideTheOldMount(t *testing.T) {
	// ADM-114, ADM-T19: a pod from before the change of modes is left alone.
	in := pod(runsAs("default"), withVolumes(secretVolume("t1", "t1")), withMounts(tokenMount("t1")), noPulls)
	want := in.DeepCopy()
	wantStatus(t, plugin(t, have(account("default"))).Admit(t.Context(), create(in)), nil)
	wantPod(t, in, want)
}

func TestTokenIsLookedUpWhenWanted(t *testing.T) {
	// ADM-108
	o := have(account("default", lists("t1")))
	secrets := failing(errors.New("boom"))
	off := pod(func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = new(bool) })
	wantStatus(t, plugin(t, o, secretBacked(secrets)).Admit(t.Context(), create(off)), nil)
	if n := secrets.Reads.Load(); n != 0 {
		t.Errorf("Secrets were read %d times, want 0", n)
	}
	// ADM-109
	mounted := pod(withMounts(corev1.VolumeMount{Name: "mine", MountPath: mountPath}))
	wantStatus(t, plugin(t, o, secretBacked(have())).Admit(t.Context(), create(mounted)), noToken("default"))
	// ADM-115
	wantStatus(t, plugin(t, o, secretBacked(secrets)).Admit(t.Context(), create(pod())), retry(forbidden(
		"Error looking up service account token for shop/default: boom")))
	wantStatus(t, plugin(t, o, secretBacked(failing(nil))).Admit(t.Context(), create(pod())), noToken("default"))
	// ADM-101: an update is none of its business.
	update := create(pod())
	update.Operation = "UPDATE"
	wantStatus(t, plugin(t, o, secretBacked(secrets)).Admit(t.Context(), update), nil)
}

func TestForbiddenSecretsAreReportedOnce(t *testing.T) {
	o := have(account("default", lists("t1")))
	denied := failing(apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "t1", errors.New("no")))
	wantStatus(t, plugin(t, o, secretBacked(denied)).Admit(t.Context(), create(pod())), forbidden(
		`Error looking up service account token for shop/default: secrets "t1" is forbidden: no`))
}

func TestTokenPassesTheLimit(t *testing.T) {
	// ADM-116, on the first call and when the pod comes back with the volume.
	o := have(account("default", lists("t1"), enforces("true")), tokenSecret("t1", "default", ""))
	p := plugin(t, o, secretBacked(o), strict)
	in := pod()
	for range 2 {
		wantStatus(t, p.Admit(t.Context(), create(in)), nil)
		wantStatus(t, p.Validate(t.Context(), create(in)), nil)
	}
}

func TestMutateSecretBacked(t *testing.T) {
	cfg := admission.Config{TokenVolume: admission.SecretBacked}
	got := pod()
	wantStatus(t, admission.Mutate(cfg, create(got), account("default"), ""), noToken("default"))
	wantPod(t, got, pod())
	wantStatus(t, admission.Mutate(cfg, create(got), account("default"), "t1"), nil)
	wantPod(t, got, pod(runsAs("default"), withVolumes(secretVolume("t1", "t1")), withMounts(tokenMount("t1")), noPulls))
}
