package admission_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission"
)

func secretNames(spec *corev1.PodSpec) []string {
	var names []string
	admission.VisitSecretNames(spec, func(name string) bool {
		names = append(names, name)
		return true
	})
	return names
}

func TestVisitSecretNamesOrder(t *testing.T) {
	// ADM-70, ADM-71
	c := func(n string) corev1.Container {
		return corev1.Container{Env: secretEnv(n + "env"), EnvFrom: secretEnvFrom(n + "from")}
	}
	in := pod(withVolumes(secretVolume("v", "volume"), secretVolume("w", "")), debug(c("debug-")), pullFrom("pull", ""), inits(c("init-")), main(c("")), debug(corev1.Container{EnvFrom: secretEnvFrom(""), Env: secretEnv("")}))
	want := []string{"pull", "init-from", "init-env", "from", "env", "debug-from", "debug-env", "volume"}
	if diff := cmp.Diff(want, secretNames(&in.Spec)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestVisitSecretNamesTakesTheFirstSource(t *testing.T) {
	// ADM-72: the order of the sources, found by taking away the first each time.
	ref := func(name string) *corev1.LocalObjectReference { return &corev1.LocalObjectReference{Name: name} }
	v := corev1.Volume{VolumeSource: corev1.VolumeSource{
		AzureFile: &corev1.AzureFileVolumeSource{SecretName: "AzureFile"}, CephFS: &corev1.CephFSVolumeSource{SecretRef: ref("CephFS"), SecretFile: "file"},
		Cinder: &corev1.CinderVolumeSource{SecretRef: ref("Cinder")}, FlexVolume: &corev1.FlexVolumeSource{SecretRef: ref("FlexVolume")},
		Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{LocalObjectReference: *ref("Projected")}}}},
		RBD:       &corev1.RBDVolumeSource{SecretRef: ref("RBD")}, Secret: &corev1.SecretVolumeSource{SecretName: "Secret"},
		ScaleIO: &corev1.ScaleIOVolumeSource{SecretRef: ref("ScaleIO")}, ISCSI: &corev1.ISCSIVolumeSource{SecretRef: ref("ISCSI")},
		StorageOS: &corev1.StorageOSVolumeSource{SecretRef: ref("StorageOS")}, CSI: &corev1.CSIVolumeSource{NodePublishSecretRef: ref("CSI")},
	}}
	for _, field := range []string{"AzureFile", "CephFS", "Cinder", "FlexVolume", "Projected", "RBD", "Secret", "ScaleIO", "ISCSI", "StorageOS", "CSI"} {
		if got := secretNames(&corev1.PodSpec{Volumes: []corev1.Volume{v}}); !slices.Equal(got, []string{field}) {
			t.Errorf("got %q, want only %s", got, field)
		}
		f := reflect.ValueOf(&v.VolumeSource).Elem().FieldByName(field)
		f.SetZero()
	}
	if got := secretNames(&corev1.PodSpec{Volumes: []corev1.Volume{v}}); got != nil {
		t.Errorf("got %q from a volume without a source", got)
	}
	// A source without a name counts all the same.
	v.AzureFile, v.Secret = &corev1.AzureFileVolumeSource{}, &corev1.SecretVolumeSource{SecretName: "s"}
	if got := secretNames(&corev1.PodSpec{Volumes: []corev1.Volume{v}}); got != nil {
		t.Errorf("got %q, want nothing: the first source has no name", got)
	}
}

func TestVisitSecretNamesStops(t *testing.T) {
	// ADM-72
	in := pod(pullFrom("pull"), main(corev1.Container{Env: secretEnv("env"), EnvFrom: secretEnvFrom("from")}), withVolumes(secretVolume("v", "volume"), secretVolume("w", "other")))
	for _, tt := range []struct {
		stopAt string
		seen   []string
		want   bool
	}{
		{"", []string{"pull", "from", "env", "volume", "other"}, true},
		{"pull", []string{"pull"}, false},
		{"from", []string{"pull", "from", "volume", "other"}, true},
		{"volume", []string{"pull", "from", "env", "volume"}, false},
	} {
		var seen []string
		got := admission.VisitSecretNames(&in.Spec, func(name string) bool {
			seen = append(seen, name)
			return name != tt.stopAt
		})
		if got != tt.want || !slices.Equal(seen, tt.seen) {
			t.Errorf("stopping at %q: returned %v after %q, want %v after %q", tt.stopAt, got, seen, tt.want, tt.seen)
		}
	}
}

// notNames are the fields of a pod that have "secret" in their paths and are not names of Secrets.
var notNames = []string{
	"Volumes.CephFS.SecretFile", // a path on the node
	"Volumes.Secret.DefaultUser",
	"Volumes.Secret.DefaultMode", // settings of the volume
	"Volumes.Secret.Optional",
	"Volumes.Secret.Items.Key",
	"Volumes.Secret.Items.Mode",
	"Volumes.Secret.Items.Path",
	"Volumes.Secret.Items.User",
	"Volumes.Projected.Sources.Secret.Optional",
	"Volumes.Projected.Sources.Secret.Items.Key",
	"Volumes.Projected.Sources.Secret.Items.Mode",
	"Volumes.Projected.Sources.Secret.Items.Path",
	"Volumes.Projected.Sources.Secret.Items.User",
}

func TestEveryFieldThatNamesASecretIsVisited(t *testing.T) {
	// A05: a new field of k8s.io/api fails here until it is visited or listed above.
	paths := secretPaths(reflect.TypeFor[corev1.PodSpec](), "", nil)
	if len(paths) < 20 {
		t.Fatalf("the walk found only %q", paths)
	}
	cfg := admission.Config{LimitSecretReferences: true, Strict: true}
	for _, path := range paths {
		in := pod()
		set(reflect.ValueOf(&in.Spec).Elem(), strings.Split(path, "."))
		visited := slices.Contains(secretNames(&in.Spec), "found")
		leaf := path[strings.LastIndex(path, ".")+1:]
		isName := !slices.Contains(notNames, path) && leaf != "Key" && leaf != "Optional"
		if visited != isName {
			t.Errorf("%s: visited is %v, want %v", path, visited, isName)
		}
		runsAs("a")(in)
		// Invariant P3: what strict mode allows, the account lists.
		if refused := admission.Check(cfg, create(in), account("a")) != nil; isName && !refused {
			t.Errorf("%s: strict mode allows it", path)
		}
		if err := admission.Check(cfg, create(in), account("a", lists("found", ""), pulls("found", ""))); err != nil {
			t.Errorf("%s: %v, though the account lists it", path, err)
		}
	}
}

// secretPaths returns the paths of the leaves below typ whose path has the word
// secret in it.
func secretPaths(typ reflect.Type, path string, seen []reflect.Type) []string {
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice:
		return secretPaths(typ.Elem(), path, seen)
	case reflect.Struct:
		if slices.Contains(seen, typ) {
			return nil
		}
		var found []string
		for field := range typ.Fields() {
			if !field.IsExported() || field.Type == reflect.TypeFor[corev1.PersistentVolumeClaimTemplate]() {
				continue
			}
			below := path
			if !field.Anonymous {
				below = strings.TrimPrefix(path+"."+field.Name, ".")
			}
			found = append(found, secretPaths(field.Type, below, append(seen, typ))...)
		}
		return found
	}
	if strings.Contains(strings.ToLower(path), "secret") {
		return []string{path}
	}
	return nil
}

// set makes what is on the way to the leaf at path below v, and names it "found" if
// it is a text.
func set(v reflect.Value, path []string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		set(v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		set(v.Index(0), path)
	case reflect.Struct:
		set(v.FieldByName(path[0]), path[1:])
	case reflect.String:
		v.SetString("found")
	}
}
