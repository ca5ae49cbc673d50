package admission_test

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/admission"
)

func TestNewReportsEveryMistake(t *testing.T) {
	good := admission.Config{ServiceAccounts: have()}
	tests := []struct {
		name   string
		change func(*admission.Config)
		fields []string
	}{
		{name: "good", change: func(*admission.Config) {}},
		// ADM-8
		{"no getter", func(c *admission.Config) { c.ServiceAccounts = nil }, []string{"ServiceAccounts"}},
		{"typed nil getter", func(c *admission.Config) { c.ServiceAccounts = (*objects)(nil) }, []string{"ServiceAccounts"}},
		{"typed nil live getter", func(c *admission.Config) { c.Live = (*objects)(nil) }, []string{"Live"}},
		{"negative wait", func(c *admission.Config) { c.WaitTimeout = -1 }, []string{"WaitTimeout"}},
		{"secret-backed without Secrets", func(c *admission.Config) { c.TokenVolume = admission.SecretBacked }, []string{"Secrets"}},
		{"typed nil Secrets that nobody needs", func(c *admission.Config) { c.Secrets = (*objects)(nil) }, []string{"Secrets"}},
		{"unknown volume", func(c *admission.Config) { c.TokenVolume = 7 }, []string{"TokenVolume"}},
		{"bad account", func(c *admission.Config) { c.DefaultAccount = "A b" }, []string{"DefaultAccount"}},
		{"bad ConfigMap", func(c *admission.Config) { c.RootCAConfigMap = "/" }, []string{"RootCAConfigMap"}},
		{"relative path", func(c *admission.Config) { c.MountPath = "var/run" }, []string{"MountPath"}},
		{"path with a slash at the end", func(c *admission.Config) { c.MountPath = "/token/" }, []string{"MountPath"}},
		{"the root", func(c *admission.Config) { c.MountPath = "/" }, []string{"MountPath"}},
		{"path with a colon", func(c *admission.Config) { c.MountPath = "/a:b" }, []string{"MountPath"}},
		{"nine minutes", func(c *admission.Config) { c.TokenLifetime = 9 * time.Minute }, []string{"TokenLifetime"}},
		{"ten minutes", func(c *admission.Config) { c.TokenLifetime = 10 * time.Minute }, nil},
		{"half a second", func(c *admission.Config) { c.TokenLifetime = time.Hour + time.Second/2 }, []string{"TokenLifetime"}},
		{"above 2^32 s", func(c *admission.Config) { c.TokenLifetime = (1<<32 + 1) * time.Second }, []string{"TokenLifetime"}},
		{"bad annotation", func(c *admission.Config) { c.OptOutAnnotation = "a/b/c" }, []string{"OptOutAnnotation"}},
		{
			"several", func(c *admission.Config) { c.ServiceAccounts, c.MountPath, c.TokenLifetime = nil, "x", 1 },
			[]string{"ServiceAccounts", "MountPath", "TokenLifetime"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			p, err := admission.New(cfg)
			var got []string
			if joined, ok := err.(interface{ Unwrap() []error }); ok {
				for _, e := range joined.Unwrap() {
					ce, ok := errors.AsType[*admission.ConfigError](e)
					if !ok {
						t.Fatalf("New() = %v, want only ConfigErrors", e)
					}
					got = append(got, ce.Field)
				}
			}
			if !reflect.DeepEqual(got, tt.fields) || (err == nil) != (p != nil) {
				t.Errorf("New() reports %q (%v), want %q", got, err, tt.fields)
			}
		})
	}
}

func TestIgnored(t *testing.T) {
	// ADM-1, ADM-3, ADM-5, ADM-T1
	for _, op := range []admissionv1.Operation{admissionv1.Create, admissionv1.Update, admissionv1.Delete, admissionv1.Connect, ""} {
		for _, subresource := range []string{"", "ephemeralcontainers", "status", "binding"} {
			req := admission.Request{Operation: op, Subresource: subresource}
			want := op != admissionv1.Create && op != admissionv1.Update ||
				subresource != "ephemeralcontainers" && (op == admissionv1.Update || subresource != "")
			if got := req.Ignored(); got != want {
				t.Errorf("Ignored() of %s %q = %v, want %v", op, subresource, got, want)
			}
		}
	}
}

func TestRequestsOfOthersAreIgnored(t *testing.T) {
	// The getter fails, so that whoever looks something up is found out.
	o := failing(errors.New("asked"))
	p := plugin(t, o, limit, strict)
	bad := func() *corev1.Pod { return pod(withVolumes(secretVolume("v", "forbidden"))) }
	tests := []struct {
		name string
		req  admission.Request
	}{
		// ADM-3, A10
		{"create of status", admission.Request{Operation: admissionv1.Create, Subresource: "status", Pod: bad()}},
		{"create of a binding", admission.Request{Operation: admissionv1.Create, Subresource: "binding", Pod: bad()}},
		{"create of an eviction", admission.Request{Operation: admissionv1.Create, Subresource: "eviction", Pod: bad()}},
		{"resize", admission.Request{Operation: admissionv1.Update, Subresource: "resize", Pod: bad()}},
		{"exec", admission.Request{Operation: admissionv1.Connect, Subresource: "exec", Pod: bad()}},
		// ADM-4, ADM-T3
		{"no pod", admission.Request{Operation: admissionv1.Create}},
		{"no pod, ephemeral containers", admission.Request{Operation: admissionv1.Update, Subresource: "ephemeralcontainers"}},
		// ADM-5, ADM-200
		{"update", admission.Request{Operation: admissionv1.Update, Pod: bad()}},
		{"delete", admission.Request{Operation: admissionv1.Delete, Pod: bad()}},
		{"connect", admission.Request{Operation: admissionv1.Connect, Pod: bad()}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.req.Pod.DeepCopy()
			cfg := admission.Config{LimitSecretReferences: true}
			for what, err := range map[string]error{
				"Admit":    p.Admit(t.Context(), tt.req),
				"Validate": p.Validate(t.Context(), tt.req),
				"Mutate":   admission.Mutate(cfg, tt.req, account("default"), ""),
				"Check":    admission.Check(cfg, tt.req, account("default")),
			} {
				if err != nil {
					t.Errorf("%s() = %v, want nil", what, err)
				}
			}
			wantPod(t, tt.req.Pod, before)
		})
	}
	if n := o.Reads.Load(); n != 0 {
		t.Errorf("accounts were looked up %d times, want 0", n)
	}
}

// Whoever forgets the operation gets no pod past the checks (ADM-1 as we differ).
func TestUnknownOperations(t *testing.T) {
	p := plugin(t, failing(errors.New("asked")))
	for _, operation := range []admissionv1.Operation{"", "create", "PATCH", "*"} {
		req := admission.Request{Operation: operation, Namespace: "shop", Pod: pod()}
		_, decided := p.Decide(t.Context(), req)
		for what, err := range map[string]error{
			"Admit": p.Admit(t.Context(), req), "Validate": p.Validate(t.Context(), req), "Decide": decided,
			"Mutate": admission.Mutate(admission.Config{}, req, account("default"), ""), "Check": admission.Check(admission.Config{}, req, account("default")),
		} {
			if want := fmt.Sprintf("admission: unknown operation %q", operation); !apierrors.IsBadRequest(err) || err.Error() != want {
				t.Errorf("%s() = %v, want %s", what, err, want)
			}
		}
		wantPod(t, req.Pod, pod())
	}
}

func TestAdmitOfEphemeralContainersChangesNothing(t *testing.T) {
	// ADM-5, ADM-220, ADM-T14: only Validate acts.
	p := plugin(t, failing(errors.New("asked")), limit)
	req := updateEphemeral(pod(func(p *corev1.Pod) {
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Env: secretEnv("s")}}}
	}))
	before := req.Pod.DeepCopy()
	wantStatus(t, p.Admit(t.Context(), req), nil)
	wantPod(t, req.Pod, before)
}

func TestCreationOfEphemeralContainersIsThatOfAPod(t *testing.T) {
	// ADM-3, ADM-6: it does not happen, and is no way around the checks.
	p := plugin(t, have(account("default")))
	req := create(pod())
	req.Subresource = "ephemeralcontainers"
	wantStatus(t, p.Admit(t.Context(), req), nil)
	want := pod()
	wantStatus(t, p.Admit(t.Context(), create(want)), nil)
	wantPod(t, req.Pod, want)

	cfg := admission.Config{LimitSecretReferences: true}
	refusal := forbidden(`volume with secret.secretName="s" is not allowed because service account default does not reference that secret`)
	req.Pod = pod(runsAs("default"), withVolumes(secretVolume("v", "s")))
	p = plugin(t, have(account("default")), limit)
	wantStatus(t, p.Admit(t.Context(), req), refusal)
	wantStatus(t, p.Validate(t.Context(), req), refusal)
	wantStatus(t, admission.Check(cfg, req, account("default")), refusal)
}

func TestAccountName(t *testing.T) {
	tests := []struct{ name, deprecated, want string }{
		// ADM-10, ADM-11 as seen through the v1 API, ADM-12, ADM-13
		{"", "", "default"},
		{"", "a", "a"},
		{"a", "", "a"},
		{"a", "a", "a"},
		{"a", "b", "a"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%q and %q", tt.name, tt.deprecated), func(t *testing.T) {
			in := pod(func(p *corev1.Pod) {
				p.Spec.ServiceAccountName, p.Spec.DeprecatedServiceAccount = tt.name, tt.deprecated
			})
			if got := admission.AccountName(admission.Config{}, &in.Spec); got != tt.want {
				t.Errorf("AccountName() = %q, want %q", got, tt.want)
			}
			wantStatus(t, plugin(t, have(account(tt.want))).Admit(t.Context(), create(in)), nil)
			if in.Spec.ServiceAccountName != tt.want || in.Spec.DeprecatedServiceAccount != tt.want {
				t.Errorf("names are %q and %q, want both %q", in.Spec.ServiceAccountName, in.Spec.DeprecatedServiceAccount, tt.want)
			}
		})
	}
}

func TestNamesOfOnesOwn(t *testing.T) {
	p := plugin(t, have(account("robot")), func(c *admission.Config) {
		c.DefaultAccount, c.MountPath, c.RootCAConfigMap = "robot", "/token", "my-ca"
		c.Audience, c.TokenLifetime = "vault", 20*time.Minute
	})
	got := pod()
	wantStatus(t, p.Admit(t.Context(), create(got)), nil)

	volume := tokenVolume(tokenVolumeName)
	*volume.Projected.Sources[0].ServiceAccountToken.ExpirationSeconds = 1200
	volume.Projected.Sources[0].ServiceAccountToken.Audience = "vault"
	volume.Projected.Sources[1].ConfigMap.Name = "my-ca"
	mount := tokenMount(tokenVolumeName)
	mount.MountPath = "/token"
	wantPod(t, got, pod(runsAs("robot"), withVolumes(volume), withMounts(mount), func(p *corev1.Pod) {
		p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{}
	}))
}

func TestNamespaceOfThePodCountsIfTheRequestHasNone(t *testing.T) {
	req := create(pod())
	req.Namespace = ""
	wantStatus(t, plugin(t, have(account("default"))).Admit(t.Context(), req), nil)
}

func TestParallelAdmission(t *testing.T) {
	// A14: one account and one plugin, many pods. Run with -race.
	a := account("default", pulls("registry"))
	before := a.DeepCopy()
	p := plugin(t, have(a))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			in := pod()
			if err := p.Admit(t.Context(), create(in)); err != nil {
				t.Error(err)
			}
			in.Spec.ImagePullSecrets[0].Name = "mine"
			*in.Spec.Volumes[0].Projected.DefaultMode = 0
		})
	}
	wg.Wait()
	if !reflect.DeepEqual(a, before) {
		t.Errorf("the account became %v", a)
	}
}
