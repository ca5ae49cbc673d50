package admission_test

import (
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/internal/admissiontest"
)

func TestValidateNeedsAnAccount(t *testing.T) {
	p := plugin(t, have(account("default")))
	want := forbidden("no service account specified for pod shop/web")
	wantStatus(t, p.Validate(t.Context(), create(pod())), want)          // ADM-202
	wantStatus(t, p.Validate(t.Context(), updateEphemeral(pod())), want) // ADM-221
	wantStatus(t, admission.Check(admission.Config{}, create(pod()), account("default")), want)
}

// Other requests are not checked, whatever their pod is.
func TestCheckIgnores(t *testing.T) {
	limited := admissiontest.Account("robot", admissiontest.Enforces("true"))
	secret := admissiontest.Pod(admissiontest.RunsAs("robot"), admissiontest.WithVolumes(admissiontest.SecretVolume("v", "unlisted")), admissiontest.Debug(corev1.Container{Env: admissiontest.SecretEnv("unlisted")}))
	cfg := admission.Config{ServiceAccounts: admissiontest.Have()}
	if err := admission.Check(cfg, admissiontest.Create(secret), limited); err == nil {
		t.Fatal("the pod is allowed when it is created, so this tests nothing")
	}
	for name, change := range map[string]func(*admission.Request){
		"an update":            func(r *admission.Request) { r.Operation = admissionv1.Update },
		"another subresource":  func(r *admission.Request) { r.Subresource = "status" },
		"a status that is set": func(r *admission.Request) { r.Operation, r.Subresource = admissionv1.Update, "status" },
		"a deletion":           func(r *admission.Request) { r.Operation = admissionv1.Delete },
		"no pod":               func(r *admission.Request) { r.Pod = nil },
	} {
		request := admissiontest.Create(secret)
		change(&request)
		if err := admission.Check(cfg, request, limited); err != nil {
			t.Errorf("%s: Check() = %v, want nil", name, err)
		}
	}
}

func TestEnforceAnnotation(t *testing.T) {
	// ADM-204, ADM-205, ADM-206, A06
	for value, enforced := range map[string]bool{
		"1": true, "t": true, "T": true, "true": true, "TRUE": true, "True": true,
		"": false, "0": false, "f": false, "false": false, "yes": false, "on": false, " true": false, "tRUE": false, "garbage": false,
	} {
		for _, global := range []bool{false, true} { // ADM-207
			cfg := admission.Config{LimitSecretReferences: global}
			err := admission.Check(cfg, create(pod(runsAs("a"), withVolumes(secretVolume("v", "s")))), account("a", enforces(value)))
			if got, want := err != nil, enforced || global; got != want {
				t.Errorf("annotation %q, for all %v: refused is %v, want %v", value, global, got, want)
			}
		}
	}
	if err := admission.Check(admission.Config{}, create(pod(runsAs("a"), withVolumes(secretVolume("v", "s")))), account("a")); err != nil {
		t.Errorf("without the annotation: %v, want nil", err)
	}
}

func TestLimit(t *testing.T) {
	const notAllowed = " is not allowed because service account a does not reference that secret"
	type change = func(*corev1.Pod)
	c := func(env []corev1.EnvVar, from []corev1.EnvFromSource) corev1.Container {
		return corev1.Container{Name: "c", Env: env, EnvFrom: from}
	}
	tests := []struct {
		name    string
		changes []change
		want    string // after the words about the pod
	}{
		// ADM-T13, ADM-T16, ADM-219
		{name: "all allowed", changes: []change{
			withVolumes(secretVolume("v", "foo")), inits(c(secretEnv("foo"), secretEnvFrom("foo"))),
			main(c(secretEnv("foo"), secretEnvFrom("foo"))), pullFrom("registry"),
		}},
		{name: "nothing referred to"},
		// ADM-210, ADM-T14, ADM-T15
		{"volume", []change{withVolumes(secretVolume("ok", "foo"), secretVolume("v", "s"))}, `volume with secret.secretName="s"` + notAllowed},
		// ADM-211
		{"init env", []change{inits(c(secretEnv("s"), nil))}, `init container c with envVar PASSWORD referencing secret.secretName="s"` + notAllowed},
		// ADM-212
		{"init envFrom", []change{inits(c(nil, secretEnvFrom("s")))}, `init container c with envFrom referencing secret.secretName="s"` + notAllowed},
		// ADM-213
		{"env", []change{main(c(secretEnv("s"), nil))}, `container c with envVar PASSWORD referencing secret.secretName="s"` + notAllowed},
		// ADM-214
		{"envFrom", []change{main(c(nil, secretEnvFrom("s")))}, `container c with envFrom referencing secret.secretName="s"` + notAllowed},
		// ADM-215, ADM-T16, A03
		{
			"pull secret", []change{pullFrom("registry", "s")},
			`imagePullSecrets[1].name="s" is not allowed because service account a does not reference that imagePullSecret`,
		},
		{
			"a Secret of the account as pull secret", []change{pullFrom("foo")},
			`imagePullSecrets[0].name="foo" is not allowed because service account a does not reference that imagePullSecret`,
		},
		// ADM-216
		{"volume first", []change{pullFrom("s"), main(c(secretEnv("s"), nil)), inits(c(secretEnv("s"), nil)), withVolumes(secretVolume("v", "s"))}, `volume with`},
		{"then init containers", []change{pullFrom("s"), main(c(secretEnv("s"), nil)), inits(c(nil, secretEnvFrom("s")))}, `init container c with envFrom`},
		{"then containers", []change{pullFrom("s"), main(c(nil, secretEnvFrom("s")))}, `container c with envFrom`},
		{"env before envFrom", []change{main(c(secretEnv("s"), secretEnvFrom("s")))}, `container c with envVar`},
		// ADM-217
		{"volume without a name", []change{withVolumes(secretVolume("v", ""))}, `volume with secret.secretName=""` + notAllowed},
		{"env without a name", []change{main(c(secretEnv(""), nil))}, `container c with envVar PASSWORD referencing secret.secretName=""` + notAllowed},
		{"envFrom without a name", []change{main(c(nil, secretEnvFrom("")))}, `container c with envFrom referencing secret.secretName=""` + notAllowed},
	}
	a := account("a", lists("foo"), pulls("registry"))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := pod(append(tt.changes, runsAs("a"))...)
			before := in.DeepCopy()
			for _, err := range []error{
				plugin(t, have(a), limit).Validate(t.Context(), create(in)),
				plugin(t, have(a), limit, strict).Validate(t.Context(), create(in)),
				admission.Check(admission.Config{LimitSecretReferences: true}, create(in), a),
				plugin(t, have(account("a", lists("foo"), pulls("registry"), enforces("true")))).Admit(t.Context(), create(in.DeepCopy())),
			} {
				if tt.want == "" || strings.HasSuffix(tt.want, "that secret") || strings.HasSuffix(tt.want, "that imagePullSecret") {
					var want *metav1.Status
					if tt.want != "" {
						want = forbidden(tt.want)
					}
					wantStatus(t, err, want)
				} else if err == nil || !strings.HasPrefix(err.Error(), `pods "web" is forbidden: `+tt.want) {
					t.Errorf("got %v, want a refusal that starts with %q", err, tt.want)
				}
			}
			wantPod(t, in, before)
			// ADM-223: no limit, no check.
			wantStatus(t, plugin(t, have(a)).Validate(t.Context(), create(in)), nil)
		})
	}
}

func TestEphemeralContainers(t *testing.T) {
	c := func(env []corev1.EnvVar, from []corev1.EnvFromSource) func(*corev1.Pod) {
		return debug(corev1.Container{Name: "c", Env: env, EnvFrom: from})
	}
	const notAllowed = ` referencing secret.secretName="s" is not allowed because service account a does not reference that secret`
	tests := []struct {
		name    string
		changes []func(*corev1.Pod)
		want    string
	}{
		{name: "allowed", changes: []func(*corev1.Pod){c(secretEnv("foo"), secretEnvFrom("foo"))}},
		// ADM-225, ADM-226: a Status of 403 instead of a plain error, with its text. A01
		{"env", []func(*corev1.Pod){c(secretEnv("s"), nil)}, "ephemeral container c with envVar PASSWORD" + notAllowed},
		{"envFrom", []func(*corev1.Pod){c(nil, secretEnvFrom("s"))}, "ephemeral container c with envFrom" + notAllowed},
		{"the second one", []func(*corev1.Pod){c(secretEnv("foo"), nil), c(nil, secretEnvFrom("s"))}, "ephemeral container c with envFrom" + notAllowed},
		// ADM-224
		{name: "only ephemeral containers are checked", changes: []func(*corev1.Pod){
			withVolumes(secretVolume("v", "s")), main(corev1.Container{Env: secretEnv("s")}),
			inits(corev1.Container{EnvFrom: secretEnvFrom("s")}), pullFrom("s"),
		}},
	}
	a := account("a", lists("foo"))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := pod(append(tt.changes, runsAs("a"))...)
			var want *metav1.Status
			if tt.want != "" {
				want = unwrapped(tt.want)
			}
			wantStatus(t, plugin(t, have(a), limit).Validate(t.Context(), updateEphemeral(in)), want)
			wantStatus(t, admission.Check(admission.Config{LimitSecretReferences: true}, updateEphemeral(in), a), want)
			wantStatus(t, plugin(t, have(a)).Validate(t.Context(), updateEphemeral(in)), nil) // ADM-223
		})
	}
}

func TestEveryPlaceOfEveryContainerIsChecked(t *testing.T) {
	// A02: six places. Ephemeral containers come by an update of their own; that
	// they are refused on create too is strict mode.
	a := account("a")
	for kind, add := range map[string]func(corev1.Container) func(*corev1.Pod){"init": inits, "main": main, "ephemeral": debug} {
		for place, c := range map[string]corev1.Container{"env": {Env: secretEnv("s")}, "envFrom": {EnvFrom: secretEnvFrom("s")}} {
			in := pod(runsAs("a"), add(c))
			req := create(in)
			if kind == "ephemeral" {
				req = updateEphemeral(in)
			}
			if err := admission.Check(admission.Config{LimitSecretReferences: true}, req, a); err == nil {
				t.Errorf("%s of %s container: allowed, want a refusal", place, kind)
			}
			if err := admission.Check(admission.Config{LimitSecretReferences: true, Strict: true}, create(in), a); err == nil {
				t.Errorf("%s of %s container: allowed in strict mode, want a refusal", place, kind)
			}
			// Invariant P5: the verdict is the same for what is allowed.
			if err := admission.Check(admission.Config{LimitSecretReferences: true}, req, account("a", lists("s"))); err != nil {
				t.Errorf("%s of %s container: %v, want nil", place, kind, err)
			}
		}
	}
}

func TestStrictLimit(t *testing.T) {
	// ADM-218, A04
	ref := &corev1.LocalObjectReference{Name: "s"}
	sources := map[string]corev1.VolumeSource{
		"projected": {Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ConfigMap: &corev1.ConfigMapProjection{}}, {Secret: &corev1.SecretProjection{LocalObjectReference: *ref}},
		}}},
		"csi.nodePublishSecretRef": {CSI: &corev1.CSIVolumeSource{NodePublishSecretRef: ref}},
		"azureFile.secretName":     {AzureFile: &corev1.AzureFileVolumeSource{SecretName: "s"}},
		"cephfs.secretRef":         {CephFS: &corev1.CephFSVolumeSource{SecretRef: ref}},
		"cinder.secretRef":         {Cinder: &corev1.CinderVolumeSource{SecretRef: ref}},
		"flexVolume.secretRef":     {FlexVolume: &corev1.FlexVolumeSource{SecretRef: ref}},
		"rbd.secretRef":            {RBD: &corev1.RBDVolumeSource{SecretRef: ref}},
		"iscsi.secretRef":          {ISCSI: &corev1.ISCSIVolumeSource{SecretRef: ref}},
		"scaleIO.secretRef":        {ScaleIO: &corev1.ScaleIOVolumeSource{SecretRef: ref}},
		"storageos.secretRef":      {StorageOS: &corev1.StorageOSVolumeSource{SecretRef: ref}},
	}
	for field, source := range sources {
		t.Run(field, func(t *testing.T) {
			req := create(pod(runsAs("a"), withVolumes(corev1.Volume{Name: "v", VolumeSource: source})))
			cfg := admission.Config{LimitSecretReferences: true}
			wantStatus(t, admission.Check(cfg, req, account("a")), nil)
			cfg.Strict = true
			wantStatus(t, admission.Check(cfg, req, account("a")), forbidden(fmt.Sprintf(
				`volume v with %s referencing secret.secretName="s" is not allowed because service account a does not reference that secret`, field)))
			wantStatus(t, admission.Check(cfg, req, account("a", lists("s"))), nil)
			cfg.LimitSecretReferences = false
			wantStatus(t, admission.Check(cfg, req, account("a")), nil)
		})
	}
	t.Run("second source of a volume that is not valid", func(t *testing.T) {
		both := corev1.VolumeSource{AzureFile: &corev1.AzureFileVolumeSource{SecretName: "foo"}, CSI: sources["csi.nodePublishSecretRef"].CSI}
		req := create(pod(runsAs("a"), withVolumes(corev1.Volume{Name: "v", VolumeSource: both})))
		if err := admission.Check(admission.Config{LimitSecretReferences: true, Strict: true}, req, account("a", lists("foo"))); err == nil {
			t.Error("allowed, want a refusal")
		}
	})
	t.Run("sources without a reference", func(t *testing.T) {
		req := create(pod(runsAs("a"), withVolumes(
			corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{}}},
			corev1.Volume{Name: "w", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		)))
		wantStatus(t, admission.Check(admission.Config{LimitSecretReferences: true, Strict: true}, req, account("a")), nil)
	})
}
