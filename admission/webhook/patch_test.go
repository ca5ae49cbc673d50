package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/furthervolume"
	"github.com/kubesa/serviceaccount/admission/internal/admissiontest"
	"github.com/kubesa/serviceaccount/admission/webhook"
)

// An operation is one of a JSON Patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// ours matches the paths that a patch may touch.
var ours = regexp.MustCompile(`^/spec(/serviceAccountName|/serviceAccount|/imagePullSecrets|/volumes(/-)?|/(initContainers|containers)/\d+(/(volumeMounts|env)(/-)?)?)?$`)

// applyPatch does what RFC 6902 says to doc, written from the RFC. It fails on
// whatever a patch of ours must not do.
func applyPatch(doc any, patch []byte) (any, error) {
	var operations []operation
	if err := decode(string(patch), &operations); err != nil {
		return nil, err
	}
	for _, o := range operations {
		if !ours.MatchString(o.Path) {
			return nil, fmt.Errorf("the patch touches %s", o.Path)
		}
		var err error
		if doc, err = change(doc, strings.Split(o.Path, "/")[1:], o); err != nil {
			return nil, fmt.Errorf("%s %s: %w", o.Op, o.Path, err)
		}
	}
	return doc, nil
}

// change returns doc after o, whose path below doc is given.
func change(doc any, path []string, o operation) (any, error) {
	last := len(path) == 1
	switch doc := doc.(type) {
	case map[string]any:
		old, ok := doc[path[0]]
		switch {
		case last && o.Op == "add" && (!ok || isEmpty(old)), last && o.Op == "replace" && ok && old == nil:
			doc[path[0]] = o.Value
			return doc, nil
		case last || !ok:
			return nil, fmt.Errorf("%s has the value %v", path[0], old)
		}
		changed, err := change(old, path[1:], o)
		doc[path[0]] = changed
		return doc, err
	case []any:
		if last && o.Op == "add" && path[0] == "-" {
			return append(doc, o.Value), nil
		}
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= len(doc) {
			return nil, fmt.Errorf("no element %s", path[0])
		}
		if last && o.Op == "replace" && doc[i] == nil {
			doc[i] = o.Value
			return doc, nil
		}
		if last {
			return nil, fmt.Errorf("element %s has the value %v", path[0], doc[i])
		}
		doc[i], err = change(doc[i], path[1:], o)
		return doc, err
	}
	return nil, fmt.Errorf("%s is looked for in %v", path[0], doc)
}

// isEmpty reports whether nothing is lost if value is overwritten. An account's name may
// be, by another: the deprecated one follows the other.
func isEmpty(value any) bool {
	list, isList := value.([]any)
	_, isText := value.(string)
	return value == nil || isText || isList && len(list) == 0
}

// decode reads JSON without losing digits of numbers.
func decode(text string, dst any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return d.Decode(dst)
}

// checkRaw sends the pod in object through the handler of p and compares that with what
// Admit does to the typed pod. It returns whether the pod was patched.
func checkRaw(p *admission.Plugin, respond func(object string) (patch []byte, status *metav1.Status), object string, req func(*corev1.Pod) admission.Request) (bool, error) {
	var before, after any
	typed, patched := new(corev1.Pod), new(corev1.Pod)
	if err := errors.Join(utiljson.Unmarshal([]byte(object), typed), decode(object, &before), decode(object, &after)); err != nil {
		return false, err
	}
	err := p.Admit(context.Background(), req(typed))
	patch, status := respond(object)
	var want *metav1.Status
	if e, ok := errors.AsType[*apierrors.StatusError](err); ok {
		want = &e.ErrStatus
	}
	if diff := cmp.Diff(want, status); diff != "" || status != nil {
		return false, wrong("the status (-Admit +handler)", diff)
	}
	if patch == nil {
		patch = []byte("[]")
	}
	if after, err = applyPatch(after, patch); err != nil {
		return false, fmt.Errorf("%w in the patch %s", err, patch)
	}
	text, err := json.Marshal(after)
	if err != nil {
		return false, err
	}
	if err := utiljson.Unmarshal(text, patched); err != nil {
		return false, err
	}
	if diff := cmp.Diff(typed, patched, cmpopts.EquateEmpty()); diff != "" {
		return false, wrong("the pod (-Admit +patched)", diff)
	}
	withoutOurs(before, after)
	if diff := cmp.Diff(before, after); diff != "" {
		return false, wrong("what is not ours (-before +after)", diff)
	}
	again, status := respond(string(text))
	if again != nil || status != nil {
		return false, fmt.Errorf("the second time got the patch %s and the status %v, want neither", again, status)
	}
	return string(patch) != "[]", nil
}

func wrong(what, diff string) error {
	if diff == "" {
		return nil
	}
	return fmt.Errorf("%s:\n%s", what, diff)
}

// withoutOurs takes from before and after what a patch may add. What before has in
// lists stays in after and is compared.
func withoutOurs(before, after any) {
	b, a := spec(before), spec(after)
	if b == nil {
		delete(before.(map[string]any), "spec")
		delete(after.(map[string]any), "spec")
		return
	}
	for _, key := range []string{"serviceAccountName", "serviceAccount"} {
		delete(b, key)
		delete(a, key)
	}
	cutList(b, a, "imagePullSecrets")
	cutList(b, a, "volumes")
	for _, key := range []string{"initContainers", "containers"} {
		bs, _ := b[key].([]any)
		for i, c := range bs {
			if c == nil {
				b[key].([]any)[i], a[key].([]any)[i] = 0, 0
				continue
			}
			for _, list := range []string{"volumeMounts", "env"} {
				cutList(c.(map[string]any), a[key].([]any)[i].(map[string]any), list)
			}
		}
	}
}

func spec(doc any) map[string]any {
	spec, _ := doc.(map[string]any)["spec"].(map[string]any)
	return spec
}

// cutList cuts a's list to the length of b's.
func cutList(b, a map[string]any, key string) {
	bl, _ := b[key].([]any)
	al, _ := a[key].([]any)
	if len(bl) == 0 {
		delete(b, key)
		delete(a, key)
	} else if len(al) > len(bl) {
		a[key] = al[:len(bl)]
	}
}

// randomJSON returns a pod as some other program, or some newer Kubernetes, may write
// it: with fields that are not known here at any depth, nulls in the place of
// lists and containers, missing fields, white space and escapes.
func randomJSON(t testing.TB, r *rand.Rand, p *corev1.Pod) string {
	var doc map[string]any
	if err := decode(rawPod(t, p), &doc); err != nil {
		t.Fatal(err)
	}
	delete(doc, "status")
	disturb(r, doc)
	switch s := spec(doc); {
	case r.IntN(30) == 0:
		delete(doc, "spec")
	case r.IntN(30) == 0:
		doc["spec"] = nil
	default:
		for _, key := range []string{"volumes", "imagePullSecrets", "initContainers", "containers"} {
			if list, _ := s[key].([]any); len(list) == 0 && r.IntN(2) == 0 {
				s[key] = []any{nil, []any{}}[r.IntN(2)]
			} else if key != "volumes" && r.IntN(10) == 0 {
				s[key] = append(list, nil)
			}
		}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if r.IntN(2) == 0 {
		var out bytes.Buffer
		if err := json.Indent(&out, text, "\t", " \r"); err != nil {
			t.Fatal(err)
		}
		text = out.Bytes()
	}
	if r.IntN(3) == 0 {
		text = bytes.ReplaceAll(text, []byte(`"mountPath"`), []byte(`"\u006dountPath"`))
		text = bytes.ReplaceAll(text, []byte(`"/var/run`), []byte(`"\/var\u002Frun`))
	}
	return string(text)
}

// disturb puts unknown fields into objects, and nulls for lists of mounts.
func disturb(r *rand.Rand, value any) {
	switch value := value.(type) {
	case map[string]any:
		keys := make([]string, 0, len(value))
		for key := range value {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, key := range keys {
			if key != "annotations" && key != "labels" {
				disturb(r, value[key])
			}
		}
		if _, ok := value["image"]; ok && value["volumeMounts"] == nil && r.IntN(3) == 0 {
			value["volumeMounts"] = []any{nil, []any{}}[r.IntN(2)]
		}
		if r.IntN(3) == 0 {
			odd := []any{"ü\u2028\x00\"", json.Number("1.50e+400"), json.Number("-0.0"), json.Number("12345678901234567890"), nil, true, []any{}, map[string]any{"": nil, "volumeMounts": []any{map[string]any{}}}}
			value["new/~1~0 "+string("abc"[r.IntN(3)])] = odd[r.IntN(len(odd))]
		}
	case []any:
		for _, element := range value {
			disturb(r, element)
		}
	}
}

// checkSeed checks the patch of one random pod, and reports whether there was one.
func checkSeed(t *testing.T, p *admission.Plugin, h http.Handler, seed uint64, object string) (patched bool) {
	t.Helper()
	patched, err := checkRaw(p, func(object string) ([]byte, *metav1.Status) {
		got := respond(t, h, reviewOf(object))
		return got.Patch, got.Result
	}, object, create)
	if err != nil {
		t.Fatalf("seed %d: %v\n%s", seed, err, object)
	}
	return patched
}

func TestPatchesAreWhatAdmitDoes(t *testing.T) {
	// ADM-7, A13, and invariants P1 and P2, for raw JSON with unknown fields.
	patched := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		p, _, _ := randomPlugin(t, r)
		h := newHandler(t, p, webhook.Config{})
		object := randomJSON(t, r, randomPod(r))
		if checkSeed(t, p, h, seed, object) {
			patched++
		}
	}
	if patched < 75 {
		t.Errorf("%d of 300 pods were patched: the pods do not test much", patched)
	}
}

// The same for further volumes, with their variables and what they depend on (WEB-17).
func TestFurtherPatchesAreWhatAdmitDoes(t *testing.T) {
	further := []furthervolume.Volume{{
		Name: "cloud", When: furthervolume.Condition{PodLabel: "cloud=yes"}, Audience: "cloud", MountPath: "/var/run/cloud",
		PodLifetime: "cloud/seconds", SkipContainers: "cloud/skip",
		Env: []furthervolume.EnvVar{{Name: "ROLE", AccountAnnotation: "cloud/role", Group: "g"}, {Name: "FILE", TokenFile: true, Group: "g"}, {Name: "OTHER", PodAnnotation: "cloud/other", Value: "x"}},
	}, {Name: "vault", Audience: "vault", MountPath: "/var/run/vault"}}
	p := plugin(t, have(account("default", func(a *corev1.ServiceAccount) { a.Annotations = map[string]string{"cloud/role": "r"} })), func(c *admission.Config) { c.FurtherVolumes = further })
	h := newHandler(t, p, webhook.Config{})
	patched := 0
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		random := randomPod(r)
		random.Spec.ServiceAccountName, random.Spec.DeprecatedServiceAccount = "", ""
		some := func(values ...string) string { return values[r.IntN(len(values))] }
		random.Labels = map[string]string{"cloud": some("yes", "no"), "app": "web"}
		if random.Annotations == nil {
			random.Annotations = map[string]string{}
		}
		for key, value := range map[string]string{"cloud/seconds": some("", "600", "900"), "cloud/skip": some("", "a", "b,c"), "cloud/other": some("", "o"), "more": "x"} {
			random.Annotations[key] = value
		}
		for i := range random.Spec.Containers {
			if name := some("", "", "ROLE", "FILE", "OTHER", "PATH"); name != "" {
				random.Spec.Containers[i].Env = append(random.Spec.Containers[i].Env, corev1.EnvVar{Name: name, Value: "own"})
			}
		}
		object := randomJSON(t, r, random)
		if checkSeed(t, p, h, seed, object) {
			patched++
		}
	}
	if patched < 50 {
		t.Errorf("%d of 200 pods were patched: the pods do not test much", patched)
	}
}

func TestPatch(t *testing.T) {
	const (
		mount    = `{"name":"kube-api-access-abc12","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}`
		volume   = `{"name":"kube-api-access-abc12","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}},{"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"apiVersion":"v1","fieldPath":"metadata.namespace"}}]}}],"defaultMode":420}}`
		volumeOf = `{"name":"q1","projected":{"sources":[{"serviceAccountToken":{"audience":"q1","expirationSeconds":3600,"path":"token"}}]}}`
		mountOf  = `{"name":"q1","readOnly":true,"mountPath":"/q1"}`
		names    = `{"op":"add","path":"/spec/serviceAccountName","value":"default"},{"op":"add","path":"/spec/serviceAccount","value":"default"}`
	)
	tests := []struct{ name, object, want string }{
		{"no spec", `{}`, `[{"op":"add","path":"/spec","value":{}},` + names + `]`},
		{"spec is null", `{"spec":null}`, `[{"op":"add","path":"/spec","value":{}},` + names + `]`},
		{"no lists", `{"spec":{"containers":[{}]}}`, `[` + names + `,{"op":"add","path":"/spec/volumes","value":[` + volume + `]},{"op":"add","path":"/spec/containers/0/volumeMounts","value":[` + mount + `]}]`},
		{"null lists", `{"spec":{"volumes":null,"containers":[{"volumeMounts":null}],"initContainers":null}}`, `[` + names + `,{"op":"add","path":"/spec/volumes","value":[` + volume + `]},{"op":"add","path":"/spec/containers/0/volumeMounts","value":[` + mount + `]}]`},
		{"empty lists", `{"spec":{"volumes":[],"initContainers":[{"volumeMounts":[]}]}}`, `[` + names + `,{"op":"add","path":"/spec/volumes/-","value":` + volume + `},{"op":"add","path":"/spec/initContainers/0/volumeMounts/-","value":` + mount + `}]`},
		{"null container", `{"spec":{"serviceAccountName":"default","serviceAccount":"default","containers":[null]}}`, `[{"op":"add","path":"/spec/volumes","value":[` + volume + `]},{"op":"replace","path":"/spec/containers/0","value":{"volumeMounts":[` + mount + `]}}]`},
		{"generated name", `{"metadata":{"generateName":"web-"},"spec":{"automountServiceAccountToken":false,"serviceAccount":"default"}}`, `[{"op":"add","path":"/spec/serviceAccountName","value":"default"}]`},
		{"pull secrets", `{"spec":{"serviceAccountName":"robot","serviceAccount":"robot"}}`, `[{"op":"add","path":"/spec/imagePullSecrets","value":[{"name":"registry"},{}]}]`},
		{"null container, two volumes", `{"metadata":{"labels":{"two":"yes"}},"spec":{"automountServiceAccountToken":false,"serviceAccountName":"default","serviceAccount":"default","containers":[null]}}`, `[{"op":"add","path":"/spec/volumes","value":[` + volumeOf + `]},{"op":"replace","path":"/spec/containers/0","value":{"volumeMounts":[` + mountOf + `]}},{"op":"add","path":"/spec/containers/0/env","value":[{"name":"A","value":"a"}]},{"op":"add","path":"/spec/containers/0/env/-","value":{"name":"B","value":"b"}},` +
			`{"op":"add","path":"/spec/volumes/-","value":` + strings.ReplaceAll(volumeOf, "q1", "q2") + `},{"op":"add","path":"/spec/containers/0/volumeMounts/-","value":` + strings.ReplaceAll(mountOf, "q1", "q2") + `}]`},
		{"nothing to do", `{"spec":{"serviceAccountName":"default","serviceAccount":"default"}}`, ``},
	}
	further := func(c *admission.Config) {
		when := furthervolume.Condition{PodLabel: "two=yes"}
		c.FurtherVolumes = []furthervolume.Volume{
			{Name: "q1", When: when, Audience: "q1", MountPath: "/q1", Env: []furthervolume.EnvVar{{Name: "A", Value: "a"}, {Name: "B", Value: "b"}}},
			{Name: "q2", When: when, Audience: "q2", MountPath: "/q2"},
		}
	}
	h := handlerOf(t, have(account("default"), account("robot", pulls("registry", ""))), further)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := respond(t, h, reviewOf(tt.object))
			if diff := cmp.Diff(tt.want, string(got.Patch)); diff != "" || !got.Allowed {
				t.Errorf("allowed is %v; patch (-want +got):\n%s", got.Allowed, diff)
			}
		})
	}
}

func FuzzHandler(f *testing.F) {
	for _, body := range []string{
		reviewOf(rawPod(f, pod())), reviewOf(rawPod(f, pod(mirror))), reviewOf(rawPod(f, pod(debug(corev1.Container{Env: secretEnv("s")}))), ephemeralUpdate),
		reviewOf(`{"spec":{"volumes":null,"containers":[null,{"volumeMounts":null,"x":1e5}]}}`), reviewOf(`{}`), bigReview(f, 1), `{"request":null}`, "\ufeff{}", `[[[`,
	} {
		f.Add(body)
	}
	var last webhook.Event
	p, err := admission.New(admission.Config{ServiceAccounts: have(account("default", pulls("registry"))), NewName: fixedName, DisableWait: true})
	if err != nil {
		f.Fatal(err)
	}
	h := newHandler(f, p, webhook.Config{Observe: func(_ context.Context, o webhook.Event) { last = o }})
	f.Fuzz(func(t *testing.T, body string) {
		w := post(h, body)
		if last.Panic != nil {
			t.Fatalf("panic: %v\n%s", last.Panic, last.Stack)
		}
		if w.Code != http.StatusOK {
			if w.Code != http.StatusBadRequest && w.Code != http.StatusRequestEntityTooLarge || last.Allowed {
				t.Fatalf("got HTTP %d and allowed %v", w.Code, last.Allowed)
			}
			return
		}
		if !json.Valid([]byte(body)) {
			t.Fatal("what is not JSON was answered")
		}
		if !last.Allowed || last.Operation != "CREATE" || last.Resource != "pods" {
			return
		}
		var review struct {
			Request struct {
				UID    string
				Object json.RawMessage
			}
		}
		var typed corev1.Pod
		if json.Unmarshal([]byte(body), &review) != nil || utiljson.Unmarshal(review.Request.Object, &typed) != nil {
			return // a pod that an API server would not have let through
		}
		_, err := checkRaw(p, func(object string) ([]byte, *metav1.Status) {
			var answer struct {
				Response struct {
					Patch  []byte
					Status *metav1.Status
				}
			}
			w := post(h, reviewOf(object))
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatalf("%v in %s", err, w.Body)
			}
			return answer.Response.Patch, answer.Response.Status
		}, string(review.Request.Object), create)
		if err != nil {
			t.Fatal(err)
		}
	})
}

// What tells a volume of the pod from the one that is asked for is read as typed pods
// have it (ADM-39).
func TestVolumesOfThePod(t *testing.T) {
	for _, vc := range admissiontest.VolumeChanges() {
		for name, config := range map[string]func(*admission.Config){
			"Kubernetes": func(*admission.Config) {},
			"strict":     admissiontest.Strict,
			"vault":      func(c *admission.Config) { c.Audience = "vault" },
		} {
			p := plugin(t, have(account("default")), config)
			h := newHandler(t, p, webhook.Config{})
			for _, audience := range []string{"", "vault"} {
				v := admissiontest.TokenVolume("kube-api-access-x")
				v.Projected.Sources[0].ServiceAccountToken.Audience = audience
				vc.Change(&v)
				_, err := checkRaw(p, func(object string) ([]byte, *metav1.Status) {
					got := respond(t, h, reviewOf(object))
					return got.Patch, got.Result
				}, rawPod(t, pod(withVolumes(v))), create)
				if err != nil {
					t.Errorf("%s, %s, audience %q: %v", vc.Name, name, audience, err)
				}
			}
		}
	}
}

// The same for one that projects trust bundles.
func TestTrustBundlesOfThePod(t *testing.T) {
	signer := "kubernetes.io/kube-apiserver-serving"
	p := plugin(t, have(account("default")), func(c *admission.Config) { c.RootCASigner = signer })
	h := newHandler(t, p, webhook.Config{})
	for _, vc := range admissiontest.TrustBundleChanges() {
		v := admissiontest.TokenVolume("kube-api-access-x")
		v.Projected.Sources[1] = corev1.VolumeProjection{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{
			SignerName: &signer, LabelSelector: &metav1.LabelSelector{}, Path: "ca.crt",
		}}
		vc.Change(&v)
		raw, null := rawPod(t, pod(withVolumes(v))), `"name":null,`
		if vc.Name == "none of them" {
			null += `"labelSelector":null,`
		}
		for _, text := range []string{raw, strings.Replace(raw, `"clusterTrustBundle":{`, `"clusterTrustBundle":{`+null, 1)} {
			if vc.Name == "by name" && text != raw {
				continue // two names
			}
			_, err := checkRaw(p, func(object string) ([]byte, *metav1.Status) {
				got := respond(t, h, reviewOf(object))
				return got.Patch, got.Result
			}, text, create)
			if err != nil {
				t.Errorf("%s: %v", vc.Name, err)
			}
		}
	}
}

// A number or a text of another form than the field's is denied, as what is no pod.
func TestVolumesThatAreNone(t *testing.T) {
	h := handlerOf(t, have(account("default")))
	for field, value := range map[string]string{
		`"defaultMode":`: `"420"`,
		`"sources":`:     `{}`,
		`"sources":[{"serviceAccountToken":{"expirationSeconds":`: `"3607"}}]`,
		`"sources":[{"serviceAccountToken":{"audience":`:          `7}}]`,
		`"sources":[{"configMap":{"optional":`:                    `"no"}}]`,
		`"sources":[{"configMap":{"items":[{"mode":`:              `1.5}]}}]`,
		`"sources":[{"downwardAPI":{"items":[{"fieldRef":`:        `"metadata.name"}]}}]`,
		`"sources":[{"clusterTrustBundle":`:                       `true}]`,
		`"sources":[{"clusterTrustBundle":{"name":`:               `7}}]`,
	} {
		got := respond(t, h, reviewOf(`{"spec":{"volumes":[{"projected":{`+field+value+`}}]}}`))
		if got.Allowed || !strings.Contains(got.Result.Message, "the object is not a pod: not a") {
			t.Errorf("%s%s: got %+v, want a denial", field, value, got)
		}
	}
	// A mode that is none makes it another volume; whether it is valid, the API server says.
	for _, mode := range []string{"4294967716", "-420", "-1"} {
		object := strings.Replace(rawPod(t, pod(withVolumes(admissiontest.TokenVolume("kube-api-access-x")))), `"defaultMode":420`, `"defaultMode":`+mode, 1)
		got := respond(t, handlerOf(t, have(account("default")), admissiontest.Strict), reviewOf(object))
		if !strings.Contains(string(got.Patch), `"path":"/spec/volumes/-"`) {
			t.Errorf("mode %s: the patch is %s, want another volume", mode, got.Patch)
		}
	}
}
