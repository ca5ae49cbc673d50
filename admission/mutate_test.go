package admission_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/furthervolume"
	"github.com/kubesa/serviceaccount/admission/internal/admissiontest"
)

func TestAutomount(t *testing.T) {
	// ADM-30..33, ADM-33t, A11
	for _, tt := range []struct {
		account, pod string
		want         bool
	}{
		{"unset", "unset", true},
		{"false", "unset", false},
		{"true", "unset", true},
		{"unset", "false", false},
		{"unset", "true", true},
		{"false", "true", true},
		{"true", "false", false},
		{"true", "true", true},
		{"false", "false", false},
	} {
		t.Run("account "+tt.account+", pod "+tt.pod, func(t *testing.T) {
			o := have(account("default", func(a *corev1.ServiceAccount) { a.AutomountServiceAccountToken = automount(tt.account) }))
			for _, disabled := range []bool{false, true} {
				in := pod(func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = automount(tt.pod) })
				p := plugin(t, o, func(c *admission.Config) { c.DisableTokenMount = disabled })
				wantStatus(t, p.Admit(t.Context(), create(in)), nil)
				want := tt.want && !disabled
				if got := len(in.Spec.Volumes) == 1 && len(in.Spec.Containers[0].VolumeMounts) == 1; got != want {
					t.Errorf("disabled %v: mounted is %v, want %v", disabled, got, want)
				}
				if !want && len(in.Spec.Volumes)+len(in.Spec.Containers[0].VolumeMounts) != 0 {
					t.Errorf("disabled %v: got a volume or a mount, want neither", disabled)
				}
			}
		})
	}
}

// containers returns a spec whose containers have the mounts given.
func containers(mounts ...corev1.VolumeMount) []corev1.Container {
	return []corev1.Container{{Name: "c", VolumeMounts: mounts}}
}

func TestMount(t *testing.T) {
	longest := "kube-api-access-" + strings.Repeat("x", 63-len("kube-api-access-"))
	other := corev1.VolumeMount{Name: "data", MountPath: "/data"}
	ours := tokenMount(tokenVolumeName)
	at := func(path string) corev1.VolumeMount {
		return corev1.VolumeMount{Name: "my-custom-mount", MountPath: path}
	}
	emptyDir := func(name string) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
	}
	ephemeral := []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug"}}}
	type spec = corev1.PodSpec
	tests := []struct {
		name   string
		config func(*admission.Config)
		in     spec
		want   spec // but for the account and the pull secrets
	}{
		{
			// ADM-37, ADM-42, ADM-43, ADM-44, ADM-T8, ADM-T11
			name: "container",
			in:   spec{Containers: containers()},
			want: spec{Containers: containers(ours), Volumes: []corev1.Volume{tokenVolume(tokenVolumeName)}},
		},
		{
			// ADM-34, ADM-T11
			name: "init container, not the ephemeral one",
			in:   spec{InitContainers: containers(), EphemeralContainers: ephemeral},
			want: spec{InitContainers: containers(ours), EphemeralContainers: ephemeral, Volumes: []corev1.Volume{tokenVolume(tokenVolumeName)}},
		},
		{
			name: "appended after what is there",
			in:   spec{InitContainers: containers(other), Containers: containers(other, at("/x")), Volumes: []corev1.Volume{emptyDir("data")}},
			want: spec{
				InitContainers: containers(other, ours), Containers: containers(other, at("/x"), ours),
				Volumes: []corev1.Volume{emptyDir("data"), tokenVolume(tokenVolumeName)},
			},
		},
		{
			// ADM-35, ADM-38, ADM-T12
			name: "mounted already",
			in:   spec{InitContainers: containers(at(mountPath)), Containers: containers(other, at(mountPath))},
			want: spec{InitContainers: containers(at(mountPath)), Containers: containers(other, at(mountPath))},
		},
		{
			// A reinvocation finds the volume of the first call and a sidecar added since.
			name: "one container of two",
			in:   spec{Containers: append(containers(ours), containers()...), Volumes: []corev1.Volume{tokenVolume(tokenVolumeName)}},
			want: spec{Containers: append(containers(ours), containers(ours)...), Volumes: []corev1.Volume{tokenVolume(tokenVolumeName)}},
		},
		{name: "no containers", in: spec{}, want: spec{}}, // ADM-38
		{
			name: "25 containers", // one more than makeRoom has place for
			in:   spec{Containers: slices.Repeat(containers(), 25)},
			want: spec{Containers: slices.Repeat(containers(ours), 25), Volumes: []corev1.Volume{tokenVolume(tokenVolumeName)}},
		},
		{
			name: "25 init containers",
			in:   spec{InitContainers: slices.Repeat(containers(), 25)},
			want: spec{InitContainers: slices.Repeat(containers(ours), 25), Volumes: []corev1.Volume{tokenVolume(tokenVolumeName)}},
		},
		{
			// ADM-36: as Kubernetes has it.
			name: "path with a slash",
			in:   spec{Containers: containers(at(mountPath + "/"))},
			want: spec{Containers: containers(at(mountPath+"/"), ours), Volumes: []corev1.Volume{tokenVolume(tokenVolumeName)}},
		},
		// ADM-36 in strict mode, A08
		{name: "path with a slash, strict", config: strict, in: spec{Containers: containers(at(mountPath + "/"))}, want: spec{Containers: containers(at(mountPath + "/"))}},
		{name: "path with two slashes, strict", config: strict, in: spec{Containers: containers(at("/" + mountPath))}, want: spec{Containers: containers(at("/" + mountPath))}},
		{name: "path with /., strict", config: strict, in: spec{Containers: containers(at(mountPath + "/."))}, want: spec{Containers: containers(at(mountPath + "/."))}},
		{name: "path with .., strict", config: strict, in: spec{Containers: containers(at(mountPath + "/x/.."))}, want: spec{Containers: containers(at(mountPath + "/x/.."))}},
		{
			name: "parent and child, strict", config: strict,
			in: spec{Containers: containers(at("/var/run/secrets/kubernetes.io"), at(mountPath+"/x"))},
			want: spec{
				Containers: containers(at("/var/run/secrets/kubernetes.io"), at(mountPath+"/x"), ours),
				Volumes:    []corev1.Volume{tokenVolume(tokenVolumeName)},
			},
		},
		{
			// ADM-39: as Kubernetes has it, the first of them.
			name: "look-alike volume",
			in:   spec{Containers: containers(), Volumes: []corev1.Volume{emptyDir("a"), emptyDir("kube-api-access-x"), emptyDir("kube-api-access-y")}},
			want: spec{Containers: containers(tokenMount("kube-api-access-x")), Volumes: []corev1.Volume{emptyDir("a"), emptyDir("kube-api-access-x"), emptyDir("kube-api-access-y")}},
		},
		{
			// A15
			name: "look-alike volumes, the first with a name that no volume can have",
			in:   spec{Containers: containers(), Volumes: []corev1.Volume{emptyDir(longest + "y"), emptyDir(longest)}},
			want: spec{Containers: containers(tokenMount(longest)), Volumes: []corev1.Volume{emptyDir(longest + "y"), emptyDir(longest)}},
		},
		{
			// ADM-39 in strict mode, A09
			name: "look-alike volume, strict", config: strict,
			in:   spec{Containers: containers(), Volumes: []corev1.Volume{emptyDir("kube-api-access-x")}},
			want: spec{Containers: containers(ours), Volumes: []corev1.Volume{emptyDir("kube-api-access-x"), tokenVolume(tokenVolumeName)}},
		},
		{
			name: "token volume behind a look-alike, strict", config: strict,
			in:   spec{Containers: containers(), Volumes: []corev1.Volume{emptyDir("kube-api-access-x"), tokenVolume("kube-api-access-y")}},
			want: spec{Containers: containers(tokenMount("kube-api-access-y")), Volumes: []corev1.Volume{emptyDir("kube-api-access-x"), tokenVolume("kube-api-access-y")}},
		},
		{
			// ADM-41 in strict mode, A09
			name: "name is taken, strict", config: strict,
			in: spec{Containers: containers(), Volumes: []corev1.Volume{emptyDir(tokenVolumeName), emptyDir("kube-api-access-2")}},
			want: spec{
				Containers: containers(tokenMount("kube-api-access-3")),
				Volumes:    []corev1.Volume{emptyDir(tokenVolumeName), emptyDir("kube-api-access-2"), tokenVolume("kube-api-access-3")},
			},
		},
		{
			// ADM-40
			name: "volume called like the prefix without its dash",
			in:   spec{Containers: containers(), Volumes: []corev1.Volume{emptyDir("kube-api-access")}},
			want: spec{Containers: containers(ours), Volumes: []corev1.Volume{emptyDir("kube-api-access"), tokenVolume(tokenVolumeName)}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := func(*admission.Config) {}
			if tt.config != nil {
				config = tt.config
			}
			p := plugin(t, have(account("default")), config)
			got, want := &corev1.Pod{Spec: tt.in}, &corev1.Pod{Spec: tt.want}
			got = got.DeepCopy()
			runsAs("default")(want)
			want.Spec.ImagePullSecrets = []corev1.LocalObjectReference{}
			decided := got.DeepCopy()
			d, err := p.Decide(t.Context(), create(decided))
			wantStatus(t, err, nil)
			d.Apply(decided)
			wantPod(t, decided, want)
			wantStatus(t, p.Admit(t.Context(), create(got)), nil)
			wantPod(t, got, want)
			// ADM-7, A13
			wantStatus(t, p.Admit(t.Context(), create(got)), nil)
			wantPod(t, got, want)
		})
	}
}

func TestManyLookAlikeVolumes(t *testing.T) {
	// A09
	in := pod()
	for i := range 100 {
		in.Spec.Volumes = append(in.Spec.Volumes, corev1.Volume{Name: fmt.Sprintf("kube-api-access-%d", i)})
	}
	in.Spec.Volumes = append(in.Spec.Volumes, corev1.Volume{Name: tokenVolumeName})
	wantStatus(t, plugin(t, have(account("default")), strict).Admit(t.Context(), create(in)), nil)
	seen := map[string]bool{}
	for _, v := range in.Spec.Volumes {
		if seen[v.Name] {
			t.Errorf("there are two volumes called %s", v.Name)
		}
		seen[v.Name] = true
	}
	last := in.Spec.Volumes[len(in.Spec.Volumes)-1]
	if mounted := in.Spec.Containers[0].VolumeMounts[0].Name; last.Projected == nil || mounted != last.Name {
		t.Errorf("mounts %s, want the new token volume %s", mounted, last.Name)
	}
}

func TestGeneratedNames(t *testing.T) {
	// CST-4, CST-19
	p := plugin(t, have(account("default")), func(c *admission.Config) { c.NewName = nil })
	seen := map[string]bool{}
	for range 100 {
		in := pod()
		wantStatus(t, p.Admit(t.Context(), create(in)), nil)
		name := in.Spec.Volumes[0].Name
		suffix := strings.TrimPrefix(name, "kube-api-access-")
		if len(suffix) != 5 || strings.Trim(suffix, "bcdfghjklmnpqrstvwxz2456789") != "" {
			t.Fatalf("got the name %q, want kube-api-access- and 5 characters", name)
		}
		seen[name] = true
	}
	if len(seen) < 90 {
		t.Errorf("100 names were only %d different ones", len(seen))
	}
}

func TestOptOut(t *testing.T) {
	const key = "example.com/no-token"
	in := func() *corev1.Pod {
		return pod(func(p *corev1.Pod) {
			p.Annotations = map[string]string{key: "proxy, log", "": "app"}
			p.Spec.Containers = []corev1.Container{{Name: "app"}, {Name: "proxy"}, {Name: "log"}, {Name: "prox"}}
		})
	}
	for _, tt := range []struct {
		name       string
		annotation string
		want       []int // mounts of each container
	}{
		{"off by default", "", []int{1, 1, 1, 1}},
		{"on", key, []int{1, 0, 0, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := in()
			p := plugin(t, have(account("default")), func(c *admission.Config) { c.OptOutAnnotation = tt.annotation })
			wantStatus(t, p.Admit(t.Context(), create(got)), nil)
			for i, c := range got.Spec.Containers {
				if len(c.VolumeMounts) != tt.want[i] {
					t.Errorf("container %s has %d mounts, want %d", c.Name, len(c.VolumeMounts), tt.want[i])
				}
			}
		})
	}
}

func TestMountsDoNotShareRoom(t *testing.T) {
	in := pod(func(p *corev1.Pod) { p.Spec.Containers = append(containers(), containers()...) })
	cloud := furthervolume.Volume{Name: "v", Audience: "v", MountPath: "/v", Env: []furthervolume.EnvVar{{Name: "X", Value: "x"}}}
	wantStatus(t, plugin(t, have(account("default")), further(cloud)).Admit(t.Context(), create(in)), nil)
	first := &in.Spec.Containers[0]
	if spare := cap(first.VolumeMounts) - len(first.VolumeMounts); spare != 0 {
		t.Errorf("the first container's mounts have room for %d more", spare)
	}
	first.VolumeMounts = append(first.VolumeMounts, corev1.VolumeMount{Name: "late", MountPath: "/late"})
	if got := in.Spec.Containers[1].VolumeMounts[0]; !reflect.DeepEqual(got, tokenMount(tokenVolumeName)) {
		t.Errorf("appending to the first container's mounts changed the second's to %v", got)
	}
}

// However many mounts a container gets, those that it has are copied once.
func TestMountsAreCopiedOnce(t *testing.T) {
	allocated := func(volumes int) uint64 {
		in := pod(withMounts(make([]corev1.VolumeMount, 2000)...))
		d, err := plugin(t, have(account("default")), further(repeat(volumes, func(i int) furthervolume.Volume {
			return furthervolume.Volume{Name: name("v")(i), Audience: "v", MountPath: name("/v")(i)}
		})...)).Decide(t.Context(), create(in))
		wantStatus(t, err, nil)
		return admissiontest.AllocatedBy(func() { d.Apply(in) })
	}
	if one, ten := allocated(1), allocated(10); ten > 2*one {
		t.Errorf("%d bytes of memory for one further volume and %d for ten", one, ten)
	}
}

// A template whose slices have room left is shared by many pods.
func TestSlicesOfThePodAreNotAppendedTo(t *testing.T) {
	cloud := furthervolume.Volume{Name: "v", Audience: "v", MountPath: "/v", Env: []furthervolume.EnvVar{{Name: "X", Value: "x"}}}
	for name, config := range map[string]func(*admission.Config){
		"a token and a further volume": further(cloud),
		"a further volume alone":       func(c *admission.Config) { further(cloud)(c); c.DisableTokenMount = true },
	} {
		volumes := append(make([]corev1.Volume, 0, 4), corev1.Volume{Name: "data"})
		template := func() corev1.Container {
			return corev1.Container{
				VolumeMounts: append(make([]corev1.VolumeMount, 0, 4), corev1.VolumeMount{Name: "data", MountPath: "/data"}),
				Env:          append(make([]corev1.EnvVar, 0, 4), corev1.EnvVar{Name: "DATA"}),
			}
		}
		containers := []corev1.Container{template(), template()}
		in := pod(func(p *corev1.Pod) { p.Spec.Volumes, p.Spec.Containers = volumes, nil }, inits(containers[0]), main(containers[1]))
		wantStatus(t, plugin(t, have(account("default")), config).Admit(t.Context(), create(in)), nil)
		if got := volumes[:2][1].Name; got != "" {
			t.Errorf("%s: the template's volumes now have room taken by %s", name, got)
		}
		for i, c := range containers {
			if mount, variable := c.VolumeMounts[:2][1].Name, c.Env[:2][1].Name; mount+variable != "" {
				t.Errorf("%s: the template's container %d now has room taken by the mount %q and the variable %q", name, i, mount, variable)
			}
		}
	}
}

func TestImagePullSecrets(t *testing.T) {
	refs := func(names ...string) []corev1.LocalObjectReference {
		list := []corev1.LocalObjectReference{}
		for _, n := range names {
			list = append(list, corev1.LocalObjectReference{Name: n})
		}
		return list
	}
	for _, tt := range []struct {
		name    string
		account []string
		pod     []corev1.LocalObjectReference
		want    []corev1.LocalObjectReference
	}{
		{"from the account", []string{"foo", "bar"}, nil, refs("foo", "bar")},           // ADM-50, ADM-T18
		{"from the account, empty list", []string{"foo"}, refs(), refs("foo")},          // ADM-50
		{"neither has any", nil, nil, refs()},                                           // ADM-51
		{"the pod's own", []string{"foo", "bar"}, refs("foo"), refs("foo")},             // ADM-52, ADM-T17
		{"the pod's own, others", []string{"foo", "bar"}, refs("other"), refs("other")}, // ADM-52
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := account("default", pulls(tt.account...))
			before := a.DeepCopy()
			got := pod(func(p *corev1.Pod) { p.Spec.ImagePullSecrets = tt.pod })
			wantStatus(t, plugin(t, have(a)).Admit(t.Context(), create(got)), nil)
			want := got.DeepCopy()
			want.Spec.ImagePullSecrets = tt.want
			wantPod(t, got, want)
			for i := range got.Spec.ImagePullSecrets {
				got.Spec.ImagePullSecrets[i].Name = "changed"
			}
			wantAccount(t, a, before)
		})
	}
}

func TestMutateNeedsAnAccount(t *testing.T) {
	in := pod()
	before := in.DeepCopy()
	if err := admission.Mutate(admission.Config{}, create(in), nil, ""); err == nil {
		t.Error("Mutate() = nil without an account, want an error")
	}
	wantPod(t, in, before)
	if err := admission.Check(admission.Config{}, create(pod(runsAs("a"))), nil); err == nil {
		t.Error("Check() = nil without an account, want an error")
	}
}

func TestMutateDoesWhatAdmitDoes(t *testing.T) {
	a := account("robot", pulls("registry"))
	admitted, mutated := pod(runsAs("robot")), pod(runsAs("robot"))
	wantStatus(t, plugin(t, have(a)).Admit(t.Context(), create(admitted)), nil)
	wantStatus(t, admission.Mutate(admission.Config{NewName: fixedName}, create(mutated), a, ""), nil)
	wantPod(t, mutated, admitted)
}
