package admission_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/furthervolume"
)

// carryOut returns a copy of in to which d has been done, going by the values of the
// edits, which must be those of their JSON.
func carryOut(t *testing.T, d admission.Decision, in *corev1.Pod) *corev1.Pod {
	t.Helper()
	out := in.DeepCopy()
	for i := range d.Edits {
		e := &d.Edits[i]
		if e.Keep {
			if e.Value() != nil || e.AppendJSON(nil) != nil {
				t.Fatalf("the edit %q keeps a field and has a value", e)
			}
			continue
		}
		list := out.Spec.Containers
		switch value := e.Value().(type) {
		case string:
			if wantJSON(t, e, value); e.Field == "serviceAccountName" {
				out.Spec.ServiceAccountName = value
			} else {
				out.Spec.DeprecatedServiceAccount = value
			}
		case []corev1.LocalObjectReference:
			wantJSON(t, e, value)
			out.Spec.ImagePullSecrets = value
		case corev1.Volume:
			wantJSON(t, e, value)
			out.Spec.Volumes = append(out.Spec.Volumes, value)
		case corev1.VolumeMount:
			if wantJSON(t, e, value); e.Field == "initContainers" {
				list = out.Spec.InitContainers
			}
			list[e.Container].VolumeMounts = append(list[e.Container].VolumeMounts, value)
		default:
			t.Fatalf("the edit %q has the value %v", e, value)
		}
	}
	return out
}

// wantJSON fails unless the JSON of e is that of value.
func wantJSON[T any](t *testing.T, e *admission.Edit, value T) {
	t.Helper()
	var got T
	if err := json.Unmarshal(e.AppendJSON(nil), &got); err != nil {
		t.Fatalf("AppendJSON() of %q = %s: %v", e, e.AppendJSON(nil), err)
	}
	if diff := cmp.Diff(value, got); diff != "" {
		t.Fatalf("AppendJSON() of %q (-Value +AppendJSON):\n%s", e, diff)
	}
}

func TestDecide(t *testing.T) {
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
			names, newVolume,
			"add to spec.initContainers[0].volumeMounts: kube-api-access-abc12 at /var/run/secrets/kubernetes.io/serviceaccount (container first has nothing mounted there)",
			"add to spec.containers[0].volumeMounts: kube-api-access-abc12 at /var/run/secrets/kubernetes.io/serviceaccount (container app has nothing mounted there)",
			none)},
		{"nothing", pod(runsAs("robot"), withMounts(tokenMount("x")), pullFrom("mine")), nil, lines(
			"keep spec.serviceAccountName (the pod names robot)",
			"keep spec.volumes (no container needs the token)",
			"keep spec.containers[0].volumeMounts (container app has something mounted at /var/run/secrets/kubernetes.io/serviceaccount)",
			"keep spec.imagePullSecrets (the pod has its own)")},
		{"old name, opted out, pull secrets of the account", pod(optOut, func(p *corev1.Pod) { p.Spec.DeprecatedServiceAccount = "robot" }),
			func(c *admission.Config) { c.OptOutAnnotation = "example.com/no-token" }, lines(
				"set spec.serviceAccountName: robot (spec.serviceAccount, its old name, has it)",
				"keep spec.volumes (no container needs the token)",
				"keep spec.containers[0].volumeMounts (container app is listed in the annotation example.com/no-token)",
				"set spec.imagePullSecrets: registry, mirror, third (the pod has none of its own)")},
		{"volume is there", pod(withVolumes(tokenVolume("kube-api-access-x"))), nil, lines(
			names,
			"keep spec.volumes (kube-api-access-x is taken for the token's volume)",
			"add to spec.containers[0].volumeMounts: kube-api-access-x at /var/run/secrets/kubernetes.io/serviceaccount (container app has nothing mounted there)", none)},
		{"pod without a token", pod(off), nil, lines(names, "keep spec.volumes (automountServiceAccountToken of the pod is false)", none)},
		{"account without a token", pod(runsAs("quiet")), nil, lines("keep spec.serviceAccountName (the pod names quiet)", "keep spec.volumes (automountServiceAccountToken of the account is false)", none)},
		{"tokens are off", pod(), func(c *admission.Config) { c.DisableTokenMount = true }, lines(names, "keep spec.volumes (tokens are never mounted here)", none)},
		{"no containers", pod(func(p *corev1.Pod) { p.Spec.Containers = nil }), nil, lines(names, "keep spec.volumes (the pod has no containers)", none)},
		{"no token Secret", pod(), secretBacked, lines(names, "keep spec.volumes (the account has no token Secret)", none)},
		{"token Secret", pod(runsAs("robot"), pullFrom("mine")), secretBacked, lines(
			"keep spec.serviceAccountName (the pod names robot)",
			"add to spec.volumes: t1 (the token is in the Secret t1)",
			"add to spec.containers[0].volumeMounts: t1 at /var/run/secrets/kubernetes.io/serviceaccount (container app has nothing mounted there)",
			"keep spec.imagePullSecrets (the pod has its own)")},
		{"mirror pod", pod(mirror), nil, "keep pod (it is a mirror pod)"},
		{"no pod", nil, nil, "keep pod (there is none)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.config == nil {
				tt.config = func(*admission.Config) {}
			}
			o := have(account("default"), account("robot", lists("t1"), pulls("registry", "mirror", "third")), account("quiet", func(a *corev1.ServiceAccount) {
				a.AutomountServiceAccountToken = new(bool)
			}))
			got, err := plugin(t, o, tt.config).Decide(t.Context(), create(tt.pod))
			if diff := cmp.Diff(tt.want, got.String()); err != nil || diff != "" {
				t.Errorf("Decide() = %v; decision (-want +got):\n%s", err, diff)
			}
			if tt.pod != nil {
				carryOut(t, got, tt.pod)
			}
			if want := strings.Contains("\n"+tt.want, "\nset ") || strings.Contains(tt.want, "add to "); got.Changes() != want {
				t.Errorf("Changes() = %v, want %v", got.Changes(), want)
			}
		})
	}
}

func TestDecideOtherRequests(t *testing.T) {
	p := plugin(t, have(account("robot")), limit)
	validate := create(pod(runsAs("robot")))
	validate.ValidateOnly = true
	update := create(pod())
	update.Operation = admissionv1.Update
	for want, req := range map[string]admission.Request{
		"keep pod (only pods that are created are changed)": updateEphemeral(pod(runsAs("robot"))),
		"keep pod (other requests are ignored)":             update,
		"keep pod (it is only validated)":                   validate,
	} {
		before := req.Pod.DeepCopy()
		got, err := p.Decide(t.Context(), req)
		if err != nil || got.String() != want || got.Changes() {
			t.Errorf("Decide() = %s (%v), want %s", got, err, want)
		}
		wantStatus(t, p.Admit(t.Context(), req), nil)
		wantStatus(t, admission.Mutate(admission.Config{}, req, account("robot"), ""), nil)
		wantPod(t, req.Pod, before)
	}
	for name, tt := range map[string]struct {
		req  admission.Request
		want *metav1.Status
	}{
		"no account": {create(pod()), retry(forbidden(`error looking up service account shop/default: serviceaccount "default" not found`))},
		"ephemeral container": {
			updateEphemeral(pod(runsAs("robot"), debug(corev1.Container{Name: "c", EnvFrom: secretEnvFrom("s")}))),
			unwrapped(`ephemeral container c with envFrom referencing secret.secretName="s" is not allowed because service account robot does not reference that secret`),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := p.Decide(t.Context(), tt.req)
			wantStatus(t, err, tt.want)
			if got.Changes() {
				t.Errorf("Decide() = %s with a denial", got)
			}
		})
	}
}

func TestDecisionsShareNothing(t *testing.T) {
	a := account("default", pulls("registry"))
	before := a.DeepCopy()
	d, err := plugin(t, have(a)).Decide(t.Context(), create(pod()))
	if err != nil {
		t.Fatal(err)
	}
	d.Edits[len(d.Edits)-1].Value().([]corev1.LocalObjectReference)[0].Name = "changed"
	wantAccount(t, a, before)
}

// A15: names in a pod are of any length and of any bytes; a decision says of each edit what
// fits on a line.
func TestDecisionsAreLinesOfText(t *testing.T) {
	const long = 10_000
	odd := "\x1b[31m\nset spec.serviceAccountName: admin (the pod names no account)\r\u202e" + strings.Repeat("x", long)
	p := plugin(t, have(account("default", pulls(odd))), further(furthervolume.Volume{Name: "v", Audience: "vault", MountPath: "/v"}),
		func(c *admission.Config) { c.OptOutAnnotation = "example.com/no-token" })
	in := pod(runsAs("default"), withVolumes(corev1.Volume{Name: "kube-api-access-\n" + odd[:40]}, corev1.Volume{Name: "kube-api-access-" + odd}),
		main(corev1.Container{Name: odd}), main(corev1.Container{Name: odd, VolumeMounts: []corev1.VolumeMount{{MountPath: mountPath}, {MountPath: "/v"}}}))
	d, err := p.Decide(t.Context(), create(in))
	if err != nil {
		t.Fatal(err)
	}
	text := d.String()
	if lines := strings.Split(text, "\n"); len(lines) != len(d.Edits) || len(text) > 700*len(lines) {
		t.Errorf("%d edits are %d bytes in %d lines, want one each:\n%.3000s", len(d.Edits), len(text), len(lines), text)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }) {
		t.Errorf("the text is %q", text)
	}
}
