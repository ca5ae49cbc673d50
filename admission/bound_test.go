package admission_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/furthervolume"
	"github.com/kubesa/serviceaccount/admission/internal/admissiontest"
)

// A hostile request has lists of n elements, or texts of n words, that make
// decisions as costly as they can be.
type hostile struct {
	name    string
	config  func(*admission.Config)
	pod     func(n int) *corev1.Pod
	account func(n int) *corev1.ServiceAccount // nil for one without lists
	update  bool                               // of ephemeral containers
}

// strictLimit is what takes most checks.
func strictLimit(c *admission.Config) { c.Strict, c.LimitSecretReferences = true, true }

func repeat[T any](n int, element func(i int) T) []T {
	list := make([]T, n)
	for i := range list {
		list[i] = element(i)
	}
	return list
}

func name(prefix string) func(i int) string {
	return func(i int) string { return fmt.Sprint(prefix, i) }
}

var hostiles = []hostile{
	{name: "containers", pod: func(n int) *corev1.Pod {
		return pod(func(p *corev1.Pod) { p.Spec.Containers = make([]corev1.Container, n) })
	}},
	{name: "opted out containers", config: func(c *admission.Config) { c.OptOutAnnotation = "example.com/no-token" }, pod: func(n int) *corev1.Pod {
		return pod(func(p *corev1.Pod) {
			p.Annotations = map[string]string{"example.com/no-token": strings.Join(repeat(n, name("d")), ",")}
			p.Spec.Containers = repeat(n, func(i int) corev1.Container { return corev1.Container{Name: name("c")(i)} })
			p.Spec.InitContainers = p.Spec.Containers
		})
	}},
	{name: "long list of opted out containers", config: func(c *admission.Config) { c.OptOutAnnotation = "example.com/no-token" }, pod: func(n int) *corev1.Pod {
		return pod(func(p *corev1.Pod) {
			p.Annotations = map[string]string{"example.com/no-token": strings.Join(repeat(n, name("")), ",")}
		})
	}},
	{name: "mounts", pod: func(n int) *corev1.Pod {
		return pod(withMounts(repeat(n, func(int) corev1.VolumeMount { return corev1.VolumeMount{MountPath: mountPath + "x"} })...))
	}},
	{name: "mounts in a mess", config: strict, pod: func(n int) *corev1.Pod {
		return pod(withMounts(repeat(n, func(int) corev1.VolumeMount {
			return corev1.VolumeMount{MountPath: "/.././x//../" + mountPath + "/../y"}
		})...))
	}},
	{name: "one long mount", config: strict, pod: func(n int) *corev1.Pod {
		return pod(withMounts(corev1.VolumeMount{MountPath: strings.Repeat("/..//x/", n)}))
	}},
	// What a client does that knows the next name.
	{name: "names that are taken", config: strict, pod: func(n int) *corev1.Pod {
		return pod(withVolumes(corev1.Volume{Name: tokenVolumeName}), withVolumes(repeat(n, func(i int) corev1.Volume {
			return corev1.Volume{Name: fmt.Sprint("kube-api-access-", i+2)}
		})...))
	}},
	{name: "names that are taken, of another audience", pod: func(n int) *corev1.Pod {
		return pod(withVolumes(repeat(n, func(i int) corev1.Volume {
			v := tokenVolume(fmt.Sprint("kube-api-access-", i+2))
			if i == 0 {
				v.Name = tokenVolumeName
			}
			v.Projected.Sources[0].ServiceAccountToken.Audience = "vault"
			return v
		})...))
	}},
	{name: "names that are taken, SecretBacked", config: func(c *admission.Config) { c.TokenVolume = admission.SecretBacked }, pod: func(n int) *corev1.Pod {
		return pod(withVolumes(corev1.Volume{Name: "t1"}, corev1.Volume{Name: "t1-abc12"}), withVolumes(repeat(n, func(i int) corev1.Volume {
			return corev1.Volume{Name: fmt.Sprint("t1-", i+2)}
		})...))
	}},
	{name: "sources of a look-alike", config: vault, pod: func(n int) *corev1.Pod {
		v := tokenVolume("kube-api-access-x")
		v.Projected.Sources = repeat(n, func(int) corev1.VolumeProjection {
			return corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "other"}}
		})
		return pod(withVolumes(v))
	}},
	{name: "volumes beside the token's", pod: func(n int) *corev1.Pod {
		return pod(withVolumes(tokenVolume("kube-api-access-x")), withVolumes(make([]corev1.Volume, n)...))
	}},
	{name: "further volumes", config: further(furthervolume.Volume{Name: "v", Audience: "v", MountPath: "/v"}), pod: func(n int) *corev1.Pod {
		return pod(func(p *corev1.Pod) { p.Spec.Containers = make([]corev1.Container, n) })
	}},
	{name: "Secret volumes", config: strictLimit, pod: func(n int) *corev1.Pod {
		return pod(runsAs("default"), withVolumes(repeat(n, func(i int) corev1.Volume { return secretVolume("v", name("s")(n-1-i)) })...))
	}, account: listing},
	{name: "environments", config: strictLimit, pod: func(n int) *corev1.Pod {
		return pod(runsAs("default"), inits(corev1.Container{Env: envOf(n)}), main(corev1.Container{EnvFrom: envFromOf(n)}))
	}, account: listing},
	{name: "environments without Secrets", config: strictLimit, pod: func(n int) *corev1.Pod {
		return pod(runsAs("default"), main(corev1.Container{Env: make([]corev1.EnvVar, n), EnvFrom: make([]corev1.EnvFromSource, n)}))
	}, account: listing},
	{name: "pull secrets", config: strictLimit, pod: func(n int) *corev1.Pod {
		return pod(runsAs("default"), pullFrom(repeat(n, func(i int) string { return name("s")(n - 1 - i) })...))
	}, account: listing},
	{name: "projected Secrets", config: strictLimit, pod: func(n int) *corev1.Pod {
		v := tokenVolume("v")
		v.Projected.Sources = repeat(n, func(i int) corev1.VolumeProjection {
			return corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: name("s")(n - 1 - i)}}}
		})
		return pod(runsAs("default"), withVolumes(v))
	}, account: listing},
	{name: "ephemeral containers", config: strictLimit, update: true, pod: func(n int) *corev1.Pod {
		return pod(runsAs("default"), debug(corev1.Container{Env: envOf(n), EnvFrom: envFromOf(n)}), func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, make([]corev1.EphemeralContainer, n)...)
		})
	}, account: listing},
	{name: "mirror pod", pod: func(n int) *corev1.Pod {
		v := tokenVolume("v")
		v.Projected.Sources = make([]corev1.VolumeProjection, n)
		return pod(mirror, withVolumes(v), withVolumes(make([]corev1.Volume, n)...), pullFrom(make([]string, n)...),
			main(corev1.Container{Env: make([]corev1.EnvVar, n), EnvFrom: make([]corev1.EnvFromSource, n)}),
			func(p *corev1.Pod) { p.Spec.InitContainers = make([]corev1.Container, n) })
	}},
}

func envOf(n int) []corev1.EnvVar {
	return repeat(n, func(i int) corev1.EnvVar {
		return corev1.EnvVar{ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name("s")(n - 1 - i)}}}}
	})
}

func envFromOf(n int) []corev1.EnvFromSource {
	return repeat(n, func(i int) corev1.EnvFromSource {
		return corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: name("s")(n - 1 - i)}}}
	})
}

// listing is an account that lists n Secrets and pull secrets.
func listing(n int) *corev1.ServiceAccount {
	list := repeat(n, name("s"))
	return account("default", lists(list...), pulls(list...))
}

// request returns the request of size n, the account and the configuration.
func (h *hostile) request(n int) (admission.Request, *corev1.ServiceAccount, admission.Config) {
	cfg := admission.Config{NewName: fixedName, DisableWait: true}
	if h.config != nil {
		h.config(&cfg)
	}
	req, a := create(h.pod(n)), account("default")
	if h.update {
		req = updateEphemeral(req.Pod)
	}
	if h.account != nil {
		a = h.account(n)
	}
	a.Secrets = append(a.Secrets, corev1.ObjectReference{Name: "t1"})
	return req, a, cfg
}

func sizeOf(t *testing.T, objects ...any) (bytes int) {
	t.Helper()
	for _, o := range objects {
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		bytes += len(text)
	}
	return bytes
}

// A decision takes steps and memory that are linear in the size of the pod and its
// account, at most a step a byte.
func TestDecisionsAreLinear(t *testing.T) {
	// A15
	const n = 600
	for i := range hostiles {
		h := &hostiles[i]
		t.Run(h.name, func(t *testing.T) {
			measure := func(n int) (size, steps, allocated float64) {
				req, a, cfg := h.request(n)
				counted, err := admission.Steps(cfg, req, a, "t1")
				if err != nil {
					t.Fatal(err)
				}
				bytes := sizeOf(t, req.Pod, a)
				if counted > bytes || counted < n {
					t.Errorf("%d steps for %d bytes, want at least %d and at most one a byte", counted, bytes, n)
				}
				p := h.plugin(t, cfg, a)
				return float64(bytes), float64(counted), float64(admissiontest.AllocatedBy(func() { wantStatus(t, act(t.Context(), p, req), nil) }))
			}
			size, steps, allocated := measure(n)
			size4, steps4, allocated4 := measure(4 * n)
			if steps4/steps > 1.2*size4/size {
				t.Errorf("%v steps for %v bytes and %v for %v", steps, size, steps4, size4)
			}
			if allocated4 > 2*size4/size*allocated+64<<10 { // maps grow by doubling
				t.Errorf("%v bytes of memory for %v of the pod and %v for %v", allocated, size, allocated4, size4)
			}
		})
	}
}

func (h *hostile) plugin(t *testing.T, cfg admission.Config, a *corev1.ServiceAccount) *admission.Plugin {
	t.Helper()
	cfg.ServiceAccounts = have(a)
	if cfg.TokenVolume == admission.SecretBacked {
		cfg.Secrets = have(tokenSecret("t1", "default", ""))
	}
	p, err := admission.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// act admits a pod, or validates an update.
func act(ctx context.Context, p *admission.Plugin, req admission.Request) error {
	if req.Subresource != "" {
		return p.Validate(ctx, req)
	}
	return p.Admit(ctx, req)
}

// A decision that takes long ends when its request does: whenever it looks at the
// context and finds it done, the pod is denied, retryably, and stays as it was.
func TestLongDecisionsEndInTime(t *testing.T) {
	const n = 1100
	for i := range hostiles {
		h := &hostiles[i]
		t.Run(h.name, func(t *testing.T) {
			req, a, cfg := h.request(n)
			p, before := h.plugin(t, cfg, a), req.Pod.DeepCopy()
			all := &admissiontest.EndingContext{Context: t.Context(), Until: 1 << 30}
			wantStatus(t, act(all, p, admission.Request{Operation: req.Operation, Subresource: req.Subresource, Namespace: req.Namespace, Pod: req.Pod.DeepCopy()}), nil)
			if all.Looks == 0 {
				t.Fatal("the context was never looked at")
			}
			for until := 0; until < all.Looks; until += 1 + all.Looks/6 {
				err := act(&admissiontest.EndingContext{Context: t.Context(), Until: until}, p, req)
				if seconds, retry := apierrors.SuggestsClientDelay(err); !apierrors.IsTimeout(err) || !retry || seconds != 1 {
					t.Fatalf("Admit() = %v after %d looks, want a retryable timeout", err, until)
				}
			}
			wantPod(t, req.Pod, before)
		})
	}
}
