package admission_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/furthervolume"
)

func further(volumes ...furthervolume.Volume) func(*admission.Config) {
	return func(c *admission.Config) { c.FurtherVolumes = volumes }
}

func TestFurtherVolumesOfAConfig(t *testing.T) {
	good := func(n int) []furthervolume.Volume {
		return repeat(n, func(i int) furthervolume.Volume {
			return furthervolume.Volume{Name: fmt.Sprint("v", i), Audience: "a", MountPath: fmt.Sprint("/v", i)}
		})
	}
	for _, tt := range []struct {
		name    string
		volumes []furthervolume.Volume
		change  func(*furthervolume.Volume) // of the last
		want    string
	}{
		{name: "none"},
		{name: "as many as may be", volumes: good(32)},
		{name: "too many", volumes: good(33), want: "FurtherVolumes has 33 volumes, want at most 32"},
		{name: "invalid", volumes: good(1), change: func(v *furthervolume.Volume) { v.Audience = "" }, want: "FurtherVolumes[0].Audience is empty"},
		{name: "a name twice", volumes: good(2), change: func(v *furthervolume.Volume) { v.Name = "v0" }, want: `FurtherVolumes[1].Name is "v0"`},
		{name: "the name of a token volume", volumes: good(1), change: func(v *furthervolume.Volume) { v.Name = "kube-api-access-x" }, want: `FurtherVolumes[0].Name is "kube-api-access-x"`},
		{name: "a path twice", volumes: good(2), change: func(v *furthervolume.Volume) { v.MountPath = "/v0" }, want: `FurtherVolumes[1].MountPath is "/v0", but another volume is mounted at "/v0"`},
		{name: "a path in another", volumes: good(2), change: func(v *furthervolume.Volume) { v.MountPath = "/v0/x" }, want: `FurtherVolumes[1].MountPath is "/v0/x"`},
		{name: "a path around the token", volumes: good(1), change: func(v *furthervolume.Volume) { v.MountPath = "/var/run" }, want: `FurtherVolumes[0].MountPath is "/var/run"`},
	} {
		if tt.change != nil {
			tt.change(&tt.volumes[len(tt.volumes)-1])
		}
		_, err := admission.New(admission.Config{ServiceAccounts: have(), FurtherVolumes: tt.volumes})
		if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) || strings.Count(got, "\n") > 0 {
			t.Errorf("%s: New() = %v, want %q alone", tt.name, err, tt.want)
		}
	}
}

// A decision about further volumes is rendered as all others are, and its values may be
// changed.
func TestFurtherVolumesAreEdits(t *testing.T) {
	v := furthervolume.Volume{
		Name: "v", When: furthervolume.Condition{PodLabel: "a", PodAnnotation: "b"}, Audience: "vault", MountPath: "/v",
		Env: []furthervolume.EnvVar{{Name: "X", Value: "x"}, {Name: "Y", Value: "y"}},
	}
	p := plugin(t, have(account("default", pulls("registry", ""))), further(v, furthervolume.Volume{Name: "w", Audience: "w", MountPath: "/w"},
		furthervolume.Volume{Name: "u", When: furthervolume.Condition{AccountLabel: "u"}, Audience: "u", MountPath: "/u"}), func(c *admission.Config) { c.OptOutAnnotation = "example.com/no-token" })
	if got, want := fmt.Sprint(p.PodAnnotations(), p.PodLabels(), p.NeedsEnv()), "[kubernetes.io/config.mirror example.com/no-token b] [a] true"; got != want {
		t.Errorf("decisions depend on %s, want %s", got, want)
	}
	if plugin(t, have(), further(furthervolume.Volume{Name: "w", Audience: "w", MountPath: "/w"})).NeedsEnv() {
		t.Error("NeedsEnv() without variables")
	}
	if !plugin(t, have(), further(furthervolume.Volume{Name: "w", Audience: "w", MountPath: "/w", Env: v.Env[:1]})).NeedsEnv() {
		t.Error("not NeedsEnv() with one variable")
	}
	v.Env[0].Name = "changed" // which is too late
	mounts := []corev1.VolumeMount{{Name: "own", MountPath: "/own"}, {Name: "next"}}
	in := pod(runsAs("default"), main(corev1.Container{Name: "c", VolumeMounts: mounts[:1], Env: make([]corev1.EnvVar, 0, 9)}), func(p *corev1.Pod) {
		p.Labels, p.Annotations = map[string]string{"a": "1"}, map[string]string{"b": "2"}
		p.Spec.AutomountServiceAccountToken = automount("false")
	})
	d, err := p.Decide(t.Context(), create(in))
	if err != nil {
		t.Fatal(err)
	}
	c := len(in.Spec.Containers) - 1
	want := fmt.Sprintf(`keep spec.serviceAccountName (the pod names default)
keep spec.volumes (automountServiceAccountToken of the pod is false)
add to spec.volumes: v (it projects a token for "vault" that lives for 3600 s)
add to spec.containers[0].volumeMounts: v at /v (container %[2]s has nothing mounted there)
add to spec.containers[0].env: X (container %[2]s doesn't have it)
add to spec.containers[0].env: Y (container %[2]s doesn't have it)
`, c, in.Spec.Containers[0].Name)
	if got := d.String(); !strings.HasPrefix(got, want) {
		t.Errorf("String() = %s\nwant it to begin with\n%s", got, want)
	}
	for i := range d.Edits {
		e := &d.Edits[i]
		text, err := json.Marshal(e.Value())
		if got := string(e.AppendJSON(nil)); !e.Keep && (err != nil || got != string(text)) {
			t.Errorf("AppendJSON() = %s, want %s", got, text)
		}
		if v, ok := e.Value().(corev1.Volume); ok {
			v.Projected.Sources[0].ServiceAccountToken.Audience = "changed"
		}
	}
	if unwanted := d.Edits[len(d.Edits)-2].String(); unwanted != "keep spec.volumes (u: the label of the account u is missing)" {
		t.Errorf("the edit of a volume that the pod does not get is %q", unwanted)
	}
	d.Apply(in)
	if got := in.Spec.Volumes[len(in.Spec.Volumes)-2].Projected.Sources[0].ServiceAccountToken.Audience; got != "vault" {
		t.Errorf("the audience is %q, want what was decided", got)
	}
	last := &in.Spec.Containers[c]
	if diff := cmp.Diff([]corev1.VolumeMount{mounts[0], {Name: "v", ReadOnly: true, MountPath: "/v"}, {Name: "w", ReadOnly: true, MountPath: "/w"}}, last.VolumeMounts); diff != "" || mounts[1].Name != "next" {
		t.Errorf("mounts (-want +got):\n%s\nand the next is %v", diff, mounts[1])
	}
	if diff := cmp.Diff([]corev1.EnvVar{{Name: "X", Value: "x"}, {Name: "Y", Value: "y"}}, last.Env); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
}

// A pod that a further volume denies is called as in all other denials (ADM-20).
func TestFurtherVolumeDenies(t *testing.T) {
	p := plugin(t, have(account("default")), further(furthervolume.Volume{Name: "v", Audience: "vault", MountPath: "/v"}))
	in := pod(runsAs("default"), withVolumes(corev1.Volume{Name: "v"}))
	before := in.DeepCopy()
	wantStatus(t, p.Admit(t.Context(), create(in)), forbidden(`the pod has a volume v that does not project a token for "vault" as token`))
	wantPod(t, in, before)
}

func TestWarnings(t *testing.T) {
	// A06
	for value, warned := range map[string]bool{"true": false, "false": false, "yes": true, "": true} {
		d, err := plugin(t, have(account("default", enforces(value)))).Decide(t.Context(), create(pod()))
		if err != nil || len(d.Warnings) > 0 != warned {
			t.Errorf("%q: Decide() warns of %q (%v), want a warning %v", value, d.Warnings, err, warned)
		}
	}
	for name, p := range map[string]*admission.Plugin{"without it": plugin(t, have(account("default"))), "limited anyway": plugin(t, have(account("default", enforces("yes"))), limit)} {
		if d, err := p.Decide(t.Context(), create(pod())); err != nil || d.Warnings != nil {
			t.Errorf("%s: Decide() warns of %q (%v)", name, d.Warnings, err)
		}
	}
}

func TestTokenVolumeString(t *testing.T) {
	if got, want := fmt.Sprint(admission.Projected, admission.SecretBacked, admission.TokenVolume(7)), "Projected SecretBacked TokenVolume(7)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
