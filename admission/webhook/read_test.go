package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/furthervolume"
	"github.com/kubesa/serviceaccount/admission/internal/admissiontest"
	"github.com/kubesa/serviceaccount/admission/webhook"
	"github.com/kubesa/serviceaccount/internal/podsecrets/podsecretstest"
)

// checkObject fails unless a webhook with cfg does to the pod in object what Admit does.
func checkObject(t *testing.T, object string, cfg ...func(*admission.Config)) {
	t.Helper()
	p := plugin(t, have(account("default", admissiontest.Lists("mine"))), cfg...)
	h := newHandler(t, p, webhook.Config{})
	_, err := checkRaw(p, func(object string) ([]byte, *metav1.Status) {
		got := respond(t, h, reviewOf(object))
		return got.Patch, got.Result
	}, object, create)
	if err != nil {
		t.Errorf("%s: %v", object, err)
	}
}

// Every reference to a Secret is read: in strict pods (ADM-218), and in mirror pods
// (ADM-70, ADM-72).
func TestReferencesOfThePod(t *testing.T) {
	for field, spec := range podsecretstest.Fields() {
		p := pod()
		p.Spec = *spec
		checkObject(t, rawPod(t, p), admissiontest.Strict, limit)
		mirror(p)
		checkObject(t, rawPod(t, p))
		if t.Failed() {
			t.Fatal(field.Path)
		}
	}
}

// A null is an absent value, wherever it is: each object of a pod gets one for each of
// the fields that it may have.
func TestNullsOfThePod(t *testing.T) {
	names := []string{
		"projected", "secret", "azureFile", "cephfs", "csi", "serviceAccountToken", "configMap", "downwardAPI", "clusterTrustBundle", "podCertificate",
		"fieldRef", "resourceFieldRef", "labelSelector", "secretRef", "secretKeyRef", "optional", "mode", "items", "path", "name",
	}
	signer := "kubernetes.io/kube-apiserver-serving"
	bundle := admissiontest.TokenVolume("kube-api-access-y")
	bundle.Projected.Sources[1] = corev1.VolumeProjection{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{SignerName: &signer, LabelSelector: &metav1.LabelSelector{}, Path: "ca.crt"}}
	c := corev1.Container{Name: "c", Env: append(secretEnv("mine"), corev1.EnvVar{Name: "X", Value: "x"}), EnvFrom: secretEnvFrom("mine")}
	for _, tt := range []struct {
		pod *corev1.Pod
		cfg func(*admission.Config)
	}{
		{pod(withVolumes(admissiontest.TokenVolume("kube-api-access-x"))), admissiontest.Strict},
		{pod(withVolumes(bundle)), func(c *admission.Config) { c.RootCASigner = signer }},
		{pod(withVolumes(secretVolume("v", "mine")), admissiontest.Main(c), debug(c)), func(c *admission.Config) { c.Strict, c.LimitSecretReferences = true, true }},
		{pod(mirror, withVolumes(secretVolume("v", "mine"))), admissiontest.Strict},
	} {
		raw := rawPod(t, tt.pod)
		for at := range raw {
			if raw[at] != '{' {
				continue
			}
			for i, field := range names {
				if (at+i)%4 != 0 && os.Getenv("SERVICEACCOUNT_LONG") == "" {
					continue
				}
				object := raw[:at+1] + `"` + field + `":null` + strings.TrimSuffix(","+raw[at+1:], ",}")
				var before, after map[string]any
				if json.Unmarshal([]byte(object), &after) != nil || json.Unmarshal([]byte(raw), &before) != nil || hasTwice(object, at, field) {
					continue
				}
				if checkObject(t, object, tt.cfg); t.Failed() {
					return
				}
			}
		}
	}
}

// hasTwice reports whether the object that begins at has two members called field.
func hasTwice(text string, at int, field string) bool {
	d := json.NewDecoder(strings.NewReader(text[at:]))
	depth, n, key := 0, 0, false
	for {
		token, err := d.Token()
		if err != nil {
			return true
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			key = depth == 1
			continue
		case json.Delim('}'), json.Delim(']'):
			if depth--; depth == 0 {
				return n > 1
			}
			if depth == 1 {
				key = true
			}
			continue
		}
		if depth == 1 {
			if key && token == field {
				n++
			}
			key = !key
		}
	}
}

// As many items as are kept are not too many, and what is not kept does not count (H02).
func TestHandlerCountsItems(t *testing.T) {
	const most = 20_000
	list := func(n int, element, spec string) string {
		return fmt.Sprintf(spec, strings.TrimSuffix(strings.Repeat(element+",", n), ","))
	}
	env := func(c *admission.Config) {
		c.FurtherVolumes = []furthervolume.Volume{{Name: "x", When: furthervolume.Condition{PodLabel: "no"}, Audience: "x", MountPath: "/x", Env: []furthervolume.EnvVar{{Name: "X", Value: "x"}}}}
	}
	for _, tt := range []struct {
		name, object string
		cfg          func(*admission.Config)
		many         bool
	}{
		{name: "volumes", object: list(most, `{}`, `{"spec":{"volumes":[%s]}}`)},
		{name: "too many volumes", object: list(most+1, `{}`, `{"spec":{"volumes":[%s]}}`), many: true},
		{name: "too many references of variables", object: list(most, `{"valueFrom":{"secretKeyRef":{}}}`, `{"spec":{"containers":[{"env":[%s]}]}}`), many: true},
		{name: "too many sources of variables", object: list(most, `{"secretRef":{}}`, `{"spec":{"containers":[{"envFrom":[%s]}]}}`), many: true},
		{name: "variables that nobody needs", object: list(most, `{}`, `{"spec":{"containers":[{"env":[%s]}]}}`)},
		{name: "too many variables", object: list(most, `{}`, `{"spec":{"containers":[{"env":[%s]}]}}`), cfg: env, many: true},
		{name: "variables of ephemeral containers", object: list(most, `{}`, `{"spec":{"ephemeralContainers":[{"env":[%s]}]}}`), cfg: env},
		{name: "something else is wrong first", object: list(most+1, `{}`, `{"spec":{"serviceAccountName":7,"volumes":[%s]}}`)},
	} {
		var cfg []func(*admission.Config)
		if tt.cfg != nil {
			cfg = append(cfg, tt.cfg)
		}
		got := respond(t, handlerOf(t, have(account("default")), cfg...), reviewOf(tt.object))
		if many := got.Result != nil && strings.Contains(got.Result.Message, "more than 20000"); many != tt.many || got.Allowed == (many || strings.Contains(tt.name, "wrong")) {
			t.Errorf("%s: allowed is %v, status %v", tt.name, got.Allowed, got.Result)
		}
	}
}

// Annotations that decisions don't depend on, items of sources, and more volumes than are
// kept, take no memory (H02).
func TestHandlerKeepsNothingElse(t *testing.T) {
	h := hostileHandler(t, nil)
	for name, tt := range map[string]struct {
		most   int // bytes of memory for each of the body
		object string
	}{
		"annotations": {10, `{"metadata":{"annotations":{` + repeat(100_000, func(i int) string { return fmt.Sprintf(`"%d":""`, i) }) + `}}}`},
		"items":       {25, `{"spec":{"volumes":[{"secret":{"items":[` + repeat(300_000, same(`{}`)) + `]}}]}}`},
		"volumes":     {200, `{"spec":{"volumes":[` + repeat(100_000, same(`{}`)) + `]}}`}, // of which 20,000 are kept
	} {
		body := reviewOf(tt.object)
		allocated := admissiontest.AllocatedBy(func() {
			if _, err := webhook.Review(t.Context(), h, body); err != nil {
				t.Error(err)
			}
		})
		if most := uint64(tt.most * len(body)); allocated > most {
			t.Errorf("%s: %d bytes of memory for a body of %d, want at most %d", name, allocated, len(body), most)
		}
	}
}

// Patches are written into memory that is used again, unless it is a lot.
func TestHandlerReusesPatches(t *testing.T) {
	h := hostileHandler(t, nil)
	body := reviewOf(`{"spec":{"containers":[` + repeat(500, same(`null`)) + `]}}`)
	var text []byte
	review := func() {
		var err error
		if text, err = webhook.Review(t.Context(), h, body); err != nil {
			t.Fatal(err)
		}
	}
	review()
	first := admissiontest.AllocatedBy(review)
	for range 5 { // the pool may be emptied at any time
		first = min(first, admissiontest.AllocatedBy(review))
	}
	fresh := admissiontest.AllocatedBy(func() { h = hostileHandler(t, nil); review() })
	if patch := uint64(len(text)) * 3 / 4; first+patch > fresh {
		t.Errorf("a review takes %d bytes of memory and the first one of a handler %d, want at least the patch of %d bytes more", first, fresh, patch)
	}
}

// A request whose time is over when it has been read is decided if that takes no time,
// and the patch of a long one is not written.
func TestReviewWhoseTimeIsOver(t *testing.T) {
	h := hostileHandler(t, nil)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if text, err := webhook.Review(over, h, reviewOf(``, func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Delete })); err != nil || !strings.Contains(string(text), `"allowed":true`) {
		t.Errorf("Review() = %s, %v, want what was decided", text, err)
	}
	if text, err := webhook.Review(over, h, reviewOf(`{"spec":{"containers":[{}]}}`)); err != nil || !strings.Contains(string(text), "the patch was not written in time: context canceled") {
		t.Errorf("Review() = %s, %v, want a denial", text, err)
	}
}

func TestHandlerMaxBytes(t *testing.T) {
	h := newHandler(t, plugin(t, have(account("default"))), webhook.Config{MaxBytes: 100})
	if w := post(h, reviewOf(rawPod(t, pod()))); w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), "100 bytes") {
		t.Errorf("got HTTP %d %s, want 413", w.Code, w.Body)
	}
}
