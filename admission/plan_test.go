package admission_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission"
)

// carryOut returns a copy of in to which plan has been done, going by the steps alone.
func carryOut(t *testing.T, plan admission.Plan, in *corev1.Pod) *corev1.Pod {
	t.Helper()
	out := in.DeepCopy()
	for _, step := range plan {
		if (step.Action == admission.Keep) != (step.Value == nil) {
			t.Fatalf("the step %+v is to keep a value and has one, or the other way round", step)
		}
		if step.Action == admission.Keep {
			continue
		}
		list, i := out.Spec.Containers, 0
		switch field := step.Field; {
		case field == "spec.serviceAccountName":
			out.Spec.ServiceAccountName = step.Value.(string)
		case field == "spec.serviceAccount":
			out.Spec.DeprecatedServiceAccount = step.Value.(string)
		case field == "spec.imagePullSecrets":
			out.Spec.ImagePullSecrets = step.Value.([]corev1.LocalObjectReference)
		case field == "spec.volumes":
			out.Spec.Volumes = append(out.Spec.Volumes, step.Value.(corev1.Volume))
		case strings.HasPrefix(field, "spec.initContainers"):
			list = out.Spec.InitContainers
			fallthrough
		default:
			if _, err := fmt.Sscanf(field[strings.IndexByte(field, '['):], "[%d].volumeMounts", &i); err != nil {
				t.Fatalf("the step %q: %v", step, err)
			}
			list[i].VolumeMounts = append(list[i].VolumeMounts, step.Value.(corev1.VolumeMount))
		}
	}
	return out
}

func TestPlan(t *testing.T) {
	const newVolume = "add to spec.volumes: kube-api-access-abc12 (it projects the token, the ConfigMap kube-root-ca.crt and the namespace)"
	lines := func(text ...string) string { return strings.Join(text, "\n") }
	names := lines("set spec.serviceAccountName: default (the pod names no account)", "set spec.serviceAccount: default (it is the old name of spec.serviceAccountName)")
	none := "keep spec.imagePullSecrets (the account has none either)"
	optOut := func(p *corev1.Pod) { p.Annotations = map[string]string{"example.com/no-token": "app"} }
	off := func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = new(bool) }
	secretBacked := func(c *admission.Config) {
		c.TokenVolume, c.Secrets, c.AllowMissingToken = admission.SecretBacked, have(tokenSecret("t1", "robot", "uid-1")), true
	}
	tests := []struct {
		name   string
		pod    *corev1.Pod
		config func(*admission.Config)
		want   string
	}{
		{"everything", pod(inits(corev1.Container{Name: "first"})), nil, lines(
			names,
			"add to spec.initContainers[0].volumeMounts: kube-api-access-abc12 at /var/run/secrets/kubernetes.io/serviceaccount (container first has nothing mounted there)",
			"add to spec.containers[0].volumeMounts: kube-api-access-abc12 at /var/run/secrets/kubernetes.io/serviceaccount (container app has nothing mounted there)",
			newVolume, none)},
		{"nothing", pod(runsAs("robot"), withMounts(tokenMount("x")), pullFrom("mine")), nil, lines(
			"keep spec.serviceAccountName (the pod names robot)",
			"keep spec.containers[0].volumeMounts (container app has something mounted at /var/run/secrets/kubernetes.io/serviceaccount)",
			"keep spec.volumes (no container needs the token)",
			"keep spec.imagePullSecrets (the pod has its own)")},
		{"old name, opted out, pull secrets of the account", pod(optOut, func(p *corev1.Pod) { p.Spec.DeprecatedServiceAccount = "robot" }),
			func(c *admission.Config) { c.OptOutAnnotation = "example.com/no-token" }, lines(
				"set spec.serviceAccountName: robot (spec.serviceAccount, its old name, has it)",
				"keep spec.containers[0].volumeMounts (container app is listed in the annotation example.com/no-token)",
				"keep spec.volumes (no container needs the token)",
				"set spec.imagePullSecrets: registry, mirror (the pod has none of its own)")},
		{"volume is there", pod(withVolumes(tokenVolume("kube-api-access-x"))), nil, lines(
			names,
			"add to spec.containers[0].volumeMounts: kube-api-access-x at /var/run/secrets/kubernetes.io/serviceaccount (container app has nothing mounted there)",
			"keep spec.volumes (kube-api-access-x is taken for the token's volume)", none)},
		{"pod without a token", pod(off), nil, lines(names, "keep spec.volumes (automountServiceAccountToken of the pod is false)", none)},
		{"account without a token", pod(runsAs("quiet")), nil, lines("keep spec.serviceAccountName (the pod names quiet)", "keep spec.volumes (automountServiceAccountToken of the account is false)", none)},
		{"tokens are off", pod(), func(c *admission.Config) { c.DisableTokenMount = true }, lines(names, "keep spec.volumes (tokens are never mounted here)", none)},
		{"no containers", pod(func(p *corev1.Pod) { p.Spec.Containers = nil }), nil, lines(names, "keep spec.volumes (the pod has no containers)", none)},
		{"no token Secret", pod(), secretBacked, lines(names, "keep spec.volumes (the account has no token Secret)", none)},
		{"token Secret", pod(runsAs("robot"), pullFrom("mine")), secretBacked, lines(
			"keep spec.serviceAccountName (the pod names robot)",
			"add to spec.containers[0].volumeMounts: t1 at /var/run/secrets/kubernetes.io/serviceaccount (container app has nothing mounted there)",
			"add to spec.volumes: t1 (the token is in the Secret t1)",
			"keep spec.imagePullSecrets (the pod has its own)")},
		{"mirror pod", pod(mirror), nil, "keep pod (it is a mirror pod)"},
		{"no pod", nil, nil, "keep pod (there is none)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.config == nil {
				tt.config = func(*admission.Config) {}
			}
			o := have(account("default"), account("robot", lists("t1"), pulls("registry", "mirror")), account("quiet", func(a *corev1.ServiceAccount) {
				a.AutomountServiceAccountToken = new(bool)
			}))
			got, err := plugin(t, o, tt.config).Plan(t.Context(), create(tt.pod))
			if diff := cmp.Diff(tt.want, got.String()); err != nil || diff != "" {
				t.Errorf("Plan() = %v; plan (-want +got):\n%s", err, diff)
			}
			if want := strings.Contains("\n"+tt.want, "\nset ") || strings.Contains(tt.want, "add to "); got.Changes() != want {
				t.Errorf("Changes() = %v, want %v", got.Changes(), want)
			}
		})
	}
}

func TestPlanOfOtherRequests(t *testing.T) {
	p := plugin(t, have())
	got, err := p.Plan(t.Context(), updateEphemeral(pod()))
	if want := "keep pod (only pods that are created are changed)"; err != nil || got.String() != want {
		t.Errorf("Plan() = %s (%v), want %s", got, err, want)
	}
	got, err = p.Plan(t.Context(), create(pod()))
	wantStatus(t, err, retry(forbidden(`error looking up service account shop/default: serviceaccount "default" not found`)))
	if got != nil {
		t.Errorf("Plan() = %s with a refusal", got)
	}
	if got := fmt.Sprint(admission.Action(7)); got != "Action(7)" {
		t.Errorf("an unknown action is %s", got)
	}
}

func TestPlanSharesNothing(t *testing.T) {
	a := account("default", pulls("registry"))
	before := a.DeepCopy()
	plan, err := plugin(t, have(a)).Plan(t.Context(), create(pod()))
	if err != nil {
		t.Fatal(err)
	}
	plan[len(plan)-1].Value.([]corev1.LocalObjectReference)[0].Name = "changed"
	wantAccount(t, a, before)
}
