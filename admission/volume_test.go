package admission_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/internal/admissiontest"
)

// vault gives the pods of a second Plugin tokens for another audience.
func vault(c *admission.Config) {
	c.Audience, c.MountPath = "vault", "/var/run/secrets/vault"
}

// volumeFor is the token volume of a Plugin with the changes.
func volumeFor(t *testing.T, name string, changes ...func(*admission.Config)) corev1.Volume {
	t.Helper()
	changes = append(changes, func(c *admission.Config) { c.NewName = func(string) string { return name } })
	in := pod()
	wantStatus(t, plugin(t, have(account("default")), changes...).Admit(t.Context(), create(in)), nil)
	return in.Spec.Volumes[0]
}

// ADM-39 as we differ, and ADM-7: one Plugin for each audience, in any order, as
// often as the API server likes. Each mount has the token that was asked for.
func TestTwoAudiences(t *testing.T) {
	plugins := map[string]*admission.Plugin{
		"api":   plugin(t, have(account("default")), func(c *admission.Config) { c.NewName = nil }),
		"vault": plugin(t, have(account("default")), vault, func(c *admission.Config) { c.NewName = nil }),
		"long":  plugin(t, have(account("default")), func(c *admission.Config) { c.NewName, c.MountPath, c.TokenLifetime = nil, "/long", 24*time.Hour }),
	}
	want := map[string]struct {
		audience string
		lifetime int64
	}{mountPath: {"", 3607}, "/var/run/secrets/vault": {"vault", 3607}, "/long": {"", 86400}}
	for _, order := range []string{"api vault long", "vault api long", "vault api long long vault api", "api api", "vault vault api"} {
		t.Run(order, func(t *testing.T) {
			in := pod(main(corev1.Container{Name: "sidecar"}), inits(corev1.Container{Name: "first"}))
			ran := map[string]bool{}
			for name := range strings.SplitSeq(order, " ") {
				ran[name] = true
				wantStatus(t, plugins[name].Admit(t.Context(), create(in)), nil)
			}
			volumes := map[string]corev1.Volume{}
			for _, v := range in.Spec.Volumes {
				volumes[v.Name] = v
			}
			if len(volumes) != len(ran) || len(in.Spec.Volumes) != len(ran) {
				t.Fatalf("got %d volumes, want one for each of %s", len(in.Spec.Volumes), order)
			}
			for _, c := range append(in.Spec.InitContainers, in.Spec.Containers...) {
				if len(c.VolumeMounts) != len(ran) {
					t.Errorf("container %s has %d mounts, want %d", c.Name, len(c.VolumeMounts), len(ran))
				}
				for _, m := range c.VolumeMounts {
					token := volumes[m.Name].Projected.Sources[0].ServiceAccountToken
					if w := want[m.MountPath]; token.Audience != w.audience || *token.ExpirationSeconds != w.lifetime || token.Path != "token" {
						t.Errorf("container %s has at %s a token for %q that lives %d s, want %+v", c.Name, m.MountPath, token.Audience, *token.ExpirationSeconds, w)
					}
				}
			}
		})
	}
}

// A volume of the pod's author is mounted only if it is what is asked for.
func TestVolumeOfThePod(t *testing.T) {
	const (
		unlike   = "; kube-api-access-x does not project exactly that"
		audience = "; kube-api-access-x projects a token for another audience than "
	)
	type expectation struct {
		// Why another volume is added: by a Plugin for "vault", and a Plugin that is
		// strict. Empty if the one that is there is mounted.
		vault, strict string
		byName        bool // a Plugin with the rules of Kubernetes mounts it too
	}
	exceptions := map[string]expectation{
		"as asked for":                  {"", "", true},
		"without what is defaulted":     {"", "", true},
		"CA not optional":               {"", "", true},
		"another audience":              {audience + `"vault"`, audience + "the API server's", false},
		"another audience and lifetime": {audience + `"vault"`, audience + "the API server's", false},
		"another lifetime":              {"; kube-api-access-x projects a token that lives for another time than 3607 s", "; kube-api-access-x projects a token that lives for another time than 3607 s", true},
		"default lifetime":              {"; kube-api-access-x projects a token that lives for another time than 3607 s", "; kube-api-access-x projects a token that lives for another time than 3607 s", true},
		"another file":                  {"; kube-api-access-x projects its token as another file than token", "; kube-api-access-x projects its token as another file than token", true},
		"no token":                      {"; kube-api-access-x projects no token", "; kube-api-access-x projects no token", true},
		"nothing projected":             {"; kube-api-access-x projects no token", "; kube-api-access-x projects no token", true},
	}
	for _, vc := range admissiontest.VolumeChanges() {
		t.Run(vc.Name, func(t *testing.T) {
			tt, ok := exceptions[vc.Name]
			if !ok {
				tt = expectation{unlike, unlike, true}
			}
			for _, c := range []struct {
				name   string
				config func(*admission.Config)
				added  bool
				why    string
			}{
				{"vault", vault, tt.vault != "", tt.vault},
				{"audience", func(c *admission.Config) { c.Audience = "vault" }, tt.vault != "", tt.vault},
				{"strict", strict, tt.strict != "", tt.strict},
				{"Kubernetes", func(*admission.Config) {}, !tt.byName, tt.strict},
				{"path", func(c *admission.Config) { c.MountPath = "/token" }, tt.strict != "", tt.strict},
			} {
				v := volumeFor(t, "kube-api-access-x", c.config)
				vc.Change(&v)
				in := pod(withVolumes(v))
				p := plugin(t, have(account("default")), c.config)
				d, err := p.Decide(t.Context(), create(in))
				wantStatus(t, err, nil)
				wantStatus(t, p.Admit(t.Context(), create(in)), nil)
				mounted, volumes := in.Spec.Containers[0].VolumeMounts[0].Name, len(in.Spec.Volumes)
				if added := mounted != "kube-api-access-x"; added != c.added || added != (volumes == 2) {
					t.Errorf("%s: mounts %s of %d volumes, want that another was added is %v", c.name, mounted, volumes, c.added)
				}
				text := "keep spec.volumes (kube-api-access-x is taken for the token's volume)"
				if c.added {
					text = "namespace" + c.why + ")\n"
				}
				if !strings.Contains(d.String(), text) {
					t.Errorf("%s: the decision is\n%s\nwant %q", c.name, d, text)
				}
				wantStatus(t, p.Admit(t.Context(), create(in)), nil) // ADM-7
				if len(in.Spec.Volumes) != volumes || len(in.Spec.Containers[0].VolumeMounts) != 1 {
					t.Errorf("%s: the second time the pod got more", c.name)
				}
			}
		})
	}
}

// Whatever else RootCAConfigMap or TokenLifetime ask for, a volume's name is not enough.
func TestOtherVolumesAskedFor(t *testing.T) {
	for name, config := range map[string]func(*admission.Config){
		"lifetime": func(c *admission.Config) { c.TokenLifetime = time.Hour },
		"CA":       func(c *admission.Config) { c.RootCAConfigMap = "my-ca" },
	} {
		p := plugin(t, have(account("default")), config)
		in := pod(withVolumes(tokenVolume("kube-api-access-x")))
		wantStatus(t, p.Admit(t.Context(), create(in)), nil)
		if diff := cmp.Diff(volumeFor(t, tokenVolumeName, config), in.Spec.Volumes[len(in.Spec.Volumes)-1]); diff != "" || len(in.Spec.Volumes) != 2 {
			t.Errorf("%s: %d volumes; the last (-want +got):\n%s", name, len(in.Spec.Volumes), diff)
		}
	}
}

// A volume without a lifetime has what the v1 API defaults it to (ADM-230).
func TestDefaultLifetime(t *testing.T) {
	for lifetime, want := range map[time.Duration]int{time.Hour: 1, time.Hour + time.Second: 2, time.Hour - time.Second: 2} {
		v := tokenVolume("kube-api-access-x")
		v.Projected.Sources[0].ServiceAccountToken.ExpirationSeconds = nil
		in := pod(withVolumes(v))
		wantStatus(t, plugin(t, have(account("default")), func(c *admission.Config) { c.TokenLifetime = lifetime }).Admit(t.Context(), create(in)), nil)
		if len(in.Spec.Volumes) != want {
			t.Errorf("%v: the pod has %d volumes, want %d", lifetime, len(in.Spec.Volumes), want)
		}
	}
}

// With Strict, a Secret volume of some of the token's keys is not the token's.
func TestSecretVolumeWithItems(t *testing.T) {
	o := have(account("default", lists("t1")), tokenSecret("t1", "default", ""))
	for _, tt := range []struct {
		strict, items bool
		want          string
	}{{false, false, "mine"}, {false, true, "mine"}, {true, false, "mine"}, {true, true, "t1"}} {
		v := secretVolume("mine", "t1")
		if tt.items {
			v.Secret.Items = []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}
		}
		in := pod(withVolumes(v))
		wantStatus(t, plugin(t, o, secretBacked(o), func(c *admission.Config) { c.Strict = tt.strict }).Admit(t.Context(), create(in)), nil)
		if got := in.Spec.Containers[0].VolumeMounts[0].Name; got != tt.want {
			t.Errorf("%+v: mounts %s", tt, got)
		}
	}
}

// The first of many look-alikes is explained, and JSON goes the same way.
func TestVolumeExplained(t *testing.T) {
	p := plugin(t, have(account("default")), vault)
	in := pod(withVolumes(corev1.Volume{Name: "data"}, admissiontest.TokenVolume("kube-api-access-1"), admissiontest.TokenVolume("kube-api-access-2")))
	d, err := p.Decide(t.Context(), create(in))
	wantStatus(t, err, nil)
	const want = `add to spec.volumes: kube-api-access-abc12 (it projects the token, the ConfigMap kube-root-ca.crt and the namespace; kube-api-access-1 projects a token for another audience than "vault")`
	if !strings.Contains(d.String(), want+"\n") {
		t.Errorf("the decision is\n%s\nwant the line\n%s", d, want)
	}
	var added corev1.Volume
	for i := range d.Edits {
		if e := &d.Edits[i]; e.Field == "volumes" {
			if err := json.Unmarshal(e.AppendJSON(nil), &added); err != nil {
				t.Fatal(err)
			}
		}
	}
	if diff := cmp.Diff(volumeFor(t, tokenVolumeName, vault), added); diff != "" {
		t.Errorf("volume (-want +got):\n%s", diff)
	}
}
