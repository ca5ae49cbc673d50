package admission_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/admission"
)

// impossible are names that no object has, and that lead elsewhere if they become
// a part of a path.
var impossible = []string{
	"../../../namespaces/kube-system/secrets/x", "a/b", "/", ".", "..", "a%2fb", "a?watch=true", "a#b", `a\b`, " ", "a b", "Robot", "a_b", "-a", "a-", "a..b",
	"a\x00b", "a\nb", "ä", "\xff", strings.Repeat("a", 254), strings.Repeat("a", 1<<20),
}

// asked is a getter and a wait that must not be asked.
type asked struct{ t *testing.T }

func (a asked) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	a.t.Errorf("GetServiceAccount(%.40q, %.40q) was called", namespace, name)
	return nil, apierrors.NewNotFound(schema.GroupResource{}, name)
}

func (a asked) wait(_ context.Context, namespace, name string) error {
	a.t.Errorf("Wait(%.40q, %.40q) was called", namespace, name)
	return nil
}

// ADM-16 as we differ: a name that can't be is answered as one that does not exist,
// in a text of bounded length.
func TestImpossibleNamesAreNotLookedUp(t *testing.T) {
	p, err := admission.New(admission.Config{ServiceAccounts: asked{t}, Live: asked{t}, Wait: asked{t}.wait})
	if err != nil {
		t.Fatal(err)
	}
	cut := func(name string) string {
		if len(name) > 253 {
			return name[:253] + "…"
		}
		return name
	}
	for _, name := range impossible {
		want := forbidden(fmt.Sprintf("error looking up service account shop/%s: serviceaccount %q not found", cut(name), cut(name)))
		wantStatus(t, p.Admit(t.Context(), create(pod(runsAs(name)))), want)
		wantStatus(t, p.Validate(t.Context(), create(pod(runsAs(name)))), want)
		wantStatus(t, p.Validate(t.Context(), updateEphemeral(pod(runsAs(name)))), want)
		wantStatus(t, p.Admit(t.Context(), create(pod(func(p *corev1.Pod) { p.Spec.DeprecatedServiceAccount = name }))), want)
	}
	for _, namespace := range append(impossible, "", "with.dots", strings.Repeat("a", 64)) {
		want := forbidden(fmt.Sprintf("error looking up service account %s/default: serviceaccount %q not found", cut(namespace), "default"))
		for _, req := range []admission.Request{create(pod()), create(pod(runsAs("default")))} {
			req.Namespace, req.Pod.Namespace = namespace, ""
			wantStatus(t, p.Admit(t.Context(), req), want)
		}
		req := updateEphemeral(pod(runsAs("default")))
		req.Namespace, req.Pod.Namespace = "", namespace
		wantStatus(t, p.Validate(t.Context(), req), want)
	}
}

// ADM-103, ADM-104 as we differ: an account's Secrets are read at most 32 times for
// one pod, each once, and none whose name can't be.
func TestSecretsThatAnAccountLists(t *testing.T) {
	many := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("s%d", i))
		}
		return list
	}
	tooMany := forbidden("service account shop/default has no token among the first 32 secrets that it lists: list the token before them")
	for _, tt := range []struct {
		name    string
		listed  []string
		reads   int32
		mounted bool
		denial  string // text
	}{
		{"impossible names before it", append(append([]string{""}, impossible...), "token"), 1, true, ""},
		{"only impossible names", impossible, 0, false, "No API token found"},
		{"30,000 times the same before it", append(strings.Split(strings.Repeat("s ", 30_000), " "), "token"), 2, true, ""},
		{"31 before it", append(many(31), "token"), 32, true, ""},
		{"32 before it", append(many(32), "token"), 32, false, tooMany.Message},
		{"exactly 32, no token", many(32), 32, false, "No API token found"},
		{"30,000 before it", append(many(30_000), "token"), 32, false, tooMany.Message},
	} {
		t.Run(tt.name, func(t *testing.T) {
			secrets := have(tokenSecret("token", "default", ""))
			o := have(account("default", lists(tt.listed...)))
			in := pod()
			err := plugin(t, o, secretBacked(secrets)).Admit(t.Context(), create(in))
			if reads := secrets.Reads.Swap(0); reads != tt.reads {
				t.Errorf("Secrets were read %d times, want %d", reads, tt.reads)
			}
			if (err == nil) != tt.mounted || err != nil && !strings.Contains(err.Error(), tt.denial) || (len(in.Spec.Volumes) == 1) != tt.mounted {
				t.Errorf("Admit() = %v with %d volumes, want %q", err, len(in.Spec.Volumes), tt.denial)
			}
			if tt.denial == tooMany.Message {
				wantStatus(t, err, tooMany) // not retryable: the account has to change
			}
			in = pod()
			wantStatus(t, plugin(t, o, secretBacked(secrets), func(c *admission.Config) { c.AllowMissingToken = true }).Admit(t.Context(), create(in)), nil)
			if reads := secrets.Reads.Load(); reads != tt.reads || (len(in.Spec.Volumes) == 1) != tt.mounted {
				t.Errorf("AllowMissingToken: %d volumes after %d reads, want a mount %v and %d reads", len(in.Spec.Volumes), reads, tt.mounted, tt.reads)
			}
		})
	}
}

// ADM-20, ADM-210..216, ADM-225 as we differ: whatever a denial names, its text is
// short, and valid UTF-8.
func TestLongNamesInDenials(t *testing.T) {
	long := strings.Repeat("ä", 1<<20)
	tests := map[string]func(*corev1.Pod){
		"Secret volume":       withVolumes(secretVolume(long, long)),
		"init container":      inits(corev1.Container{Name: long, Env: secretEnv(long)}),
		"container":           main(corev1.Container{Name: long, EnvFrom: secretEnvFrom(long)}),
		"variable":            main(corev1.Container{Env: []corev1.EnvVar{{Name: long, ValueFrom: secretEnv(long)[1].ValueFrom}}}),
		"pull secret":         pullFrom(long),
		"ephemeral container": debug(corev1.Container{Name: long, EnvFrom: secretEnvFrom(long)}),
		"projected":           withVolumes(corev1.Volume{Name: long, VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{NodePublishSecretRef: &corev1.LocalObjectReference{Name: long}}}}),
		"no account":          runsAs(""),
	}
	p := plugin(t, have(account("a")), limit, strict)
	for name, change := range tests {
		for _, named := range []func(*admission.Request){
			func(req *admission.Request) { req.Name = long },
			func(req *admission.Request) { req.Pod.Name = long },
			func(req *admission.Request) { req.Pod.GenerateName = long },
		} {
			req := create(pod(runsAs("a"), change))
			req.Name, req.Pod.Name = "", ""
			named(&req)
			err := p.Validate(t.Context(), req)
			text, marshalErr := json.Marshal(err)
			if err == nil || marshalErr != nil || len(text) > 4096 || !utf8.ValidString(err.Error()) {
				t.Errorf("%s: Validate() = %.300v, want a denial of at most 4096 bytes; it has %d", name, err, len(text))
			}
		}
	}
}
