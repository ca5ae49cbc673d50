package trim

import (
	"maps"
	"slices"
	"testing"
	"unsafe"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// received returns object as it is when it was decoded: it shares no memory.
func received[T runtime.Object](t *testing.T, object T) T {
	t.Helper()
	type wire interface {
		Marshal() ([]byte, error)
		Unmarshal([]byte) error
	}
	data, err := any(object).(wire).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	decoded := object.DeepCopyObject().(T)
	if err := any(decoded).(wire).Unmarshal(data); err != nil {
		t.Fatal(err)
	}
	return decoded
}

func metaOf(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: "shop", Name: name, ResourceVersion: "7",
		Labels:        map[string]string{"app": "web"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
	}
}

// What is dropped is dropped, the rest stays as it is, and a second time nothing
// changes: client-go may show an object twice.
func TestTrimKeepsTheRest(t *testing.T) {
	bare := func(name string) metav1.ObjectMeta {
		m := metaOf(name)
		m.ManagedFields = nil
		return m
	}
	spec := corev1.PodSpec{NodeName: "node-1"}
	secret := corev1.Secret{
		ObjectMeta: metaOf("a"), Type: corev1.SecretTypeServiceAccountToken,
		Data: map[string][]byte{"ca.crt": []byte("bundle"), "namespace": []byte("shop"), "token": []byte("t"), "more": nil},
	}
	secret.Annotations = map[string]string{corev1.ServiceAccountNameKey: "a", corev1.ServiceAccountUIDKey: "u", "more": "x"}
	wantSecret := *secret.DeepCopy()
	wantSecret.ManagedFields = nil
	for _, tt := range []struct{ object, want runtime.Object }{
		{&corev1.Namespace{ObjectMeta: metaOf("a")}, &corev1.Namespace{ObjectMeta: bare("a")}},
		{&corev1.ServiceAccount{ObjectMeta: metaOf("a")}, &corev1.ServiceAccount{ObjectMeta: bare("a")}},
		{&metav1.PartialObjectMetadata{ObjectMeta: metaOf("a")}, &corev1.ServiceAccount{ObjectMeta: bare("a")}},
		{&secret, &wantSecret},
		{&corev1.ConfigMap{ObjectMeta: metaOf("a"), Data: map[string]string{"ca.crt": "bundle", "more": ""}},
			&corev1.ConfigMap{ObjectMeta: bare("a"), Data: map[string]string{"ca.crt": "bundle", "more": ""}}},
		{&corev1.Secret{ObjectMeta: metaOf("a"), Data: map[string][]byte{"key": []byte("x")}}, &corev1.Secret{ObjectMeta: bare("a"), Data: map[string][]byte{"key": []byte("x")}}},
		{&corev1.ConfigMap{ObjectMeta: metaOf("a"), Data: map[string]string{"key": "x"}}, &corev1.ConfigMap{ObjectMeta: bare("a"), Data: map[string]string{"key": "x"}}},
		{&certificatesv1.ClusterTrustBundle{ObjectMeta: metaOf("a")}, &certificatesv1.ClusterTrustBundle{ObjectMeta: bare("a")}},
		{&corev1.Pod{ObjectMeta: metaOf("a"), Spec: spec, Status: corev1.PodStatus{Phase: corev1.PodRunning}},
			&corev1.Pod{ObjectMeta: bare("a"), Spec: spec}},
	} {
		trimmer := new(Trimmer)
		var got any = tt.object.DeepCopyObject()
		for range 2 {
			var err error
			if got, err = trimmer.Trim(got); err != nil {
				t.Fatal(err)
			}
			if !apiequality.Semantic.DeepEqual(got, tt.want) {
				t.Errorf("trim(%T) = %v\nwant %v", tt.object, got, tt.want)
			}
		}
	}
}

// Token Secrets and ConfigMaps with the same CA bundle hold it once, and the names of their
// data and annotations. Another bundle isn't touched.
func TestTrimShares(t *testing.T) {
	trimmer := new(Trimmer)
	trim := func(object any) any {
		got, err := trimmer.Trim(object)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	secret := func(name, ca string) *corev1.Secret {
		s := &corev1.Secret{
			ObjectMeta: metaOf(name), Type: corev1.SecretTypeServiceAccountToken,
			Data: map[string][]byte{"ca.crt": []byte(ca), "namespace": []byte("shop"), "token": []byte("token of " + name)},
		}
		s.Annotations = map[string]string{corev1.ServiceAccountNameKey: name, corev1.ServiceAccountUIDKey: "uid of " + name}
		return trim(received(t, s)).(*corev1.Secret)
	}
	configMap := func(name, ca string) *corev1.ConfigMap {
		return trim(received(t, &corev1.ConfigMap{ObjectMeta: metaOf(name), Data: map[string]string{"ca.crt": ca}})).(*corev1.ConfigMap)
	}
	a, b, other := secret("a", "bundle"), secret("b", "bundle"), secret("c", "others")
	c, d, another := configMap("c", "bundle"), configMap("d", "bundle"), configMap("e", "others")
	shared := func(what, a, b string) {
		t.Helper()
		if a != b || unsafe.StringData(a) != unsafe.StringData(b) {
			t.Errorf("%s is in memory twice: %q and %q", what, a, b)
		}
	}
	shared("the namespace", a.Namespace, b.Namespace)
	shared("the type", string(a.Type), string(b.Type))
	shared("the CA bundle of ConfigMaps", c.Data["ca.crt"], d.Data["ca.crt"])
	for _, pair := range [][2][]string{{sorted(a.Annotations), sorted(b.Annotations)}, {sorted(a.Data), sorted(b.Data)}, {sorted(c.Data), sorted(d.Data)}} {
		for i, name := range pair[0] {
			shared("a name", name, pair[1][i])
		}
	}
	if &a.Data["ca.crt"][0] != &b.Data["ca.crt"][0] {
		t.Error("the CA bundle of Secrets is in memory twice")
	}
	if x, y, z := string(a.Data["ca.crt"]), string(other.Data["ca.crt"]), another.Data["ca.crt"]; x != "bundle" || y != "others" || z != "others" {
		t.Errorf("the bundles became %q, %q and %q", x, y, z)
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
