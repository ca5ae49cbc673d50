package trim

import (
	"testing"
	"unsafe"

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

// Token Secrets with the same CA bundle hold it once, and the names of their data and
// annotations. Another bundle isn't touched.
func TestTrimShares(t *testing.T) {
	secret := func(name, ca string) *corev1.Secret {
		s := &corev1.Secret{
			ObjectMeta: metaOf(name), Type: corev1.SecretTypeServiceAccountToken,
			Data: map[string][]byte{"ca.crt": []byte(ca), "token": []byte("token of " + name)},
		}
		s.Annotations = map[string]string{corev1.ServiceAccountNameKey: name}
		return received(t, s)
	}
	trimmer := new(Trimmer)
	trim := func(s *corev1.Secret) *corev1.Secret {
		got, err := trimmer.Trim(s)
		if err != nil {
			t.Fatal(err)
		}
		return got.(*corev1.Secret)
	}
	a, b, other := trim(secret("a", "bundle")), trim(secret("b", "bundle")), trim(secret("c", "others"))
	text := func(s string) *byte { return unsafe.StringData(s) }
	key := func(m map[string]string) *byte {
		for k := range m {
			return text(k)
		}
		return nil
	}
	dataKey := func(s *corev1.Secret, name string) *byte {
		for k := range s.Data {
			if k == name {
				return text(k)
			}
		}
		return nil
	}
	for what, pair := range map[string][2]*byte{
		"the CA bundle":         {&a.Data["ca.crt"][0], &b.Data["ca.crt"][0]},
		"the namespace":         {text(a.Namespace), text(b.Namespace)},
		"the type":              {text(string(a.Type)), text(string(b.Type))},
		"the annotation's name": {key(a.Annotations), key(b.Annotations)},
		"the name of the token": {dataKey(a, "token"), dataKey(b, "token")},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is in memory twice", what)
		}
	}
	if got := string(other.Data["ca.crt"]); got != "others" {
		t.Errorf("another bundle became %q", got)
	}
	if got := string(a.Data["ca.crt"]); got != "bundle" {
		t.Errorf("the first bundle became %q", got)
	}
}
