package objects_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/kubesa/serviceaccount/apiserver/internal/objects"
)

// An internalSecret is the internal type of a server that has one. Those called "bad"
// can't be converted.
type internalSecret struct {
	metav1.TypeMeta
	Secret corev1.Secret
}

func (s *internalSecret) DeepCopyObject() runtime.Object {
	other := *s
	s.Secret.DeepCopyInto(&other.Secret)
	return &other
}

// secretKind is in a group, so that it is seen where it is used.
var secretKind = schema.GroupVersionKind{Group: "example.org", Version: "v1", Kind: "Secret"}

// schemeOf returns a scheme with internalSecret.
func schemeOf(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	scheme.AddKnownTypeWithName(schema.GroupVersionKind{Group: "example.org", Version: runtime.APIVersionInternal, Kind: "Secret"}, &internalSecret{})
	errBad := errors.New("bad")
	toServed := func(a, b any, _ conversion.Scope) error {
		if a.(*internalSecret).Secret.Name == "bad" {
			return errBad
		}
		*b.(*corev1.Secret) = a.(*internalSecret).Secret
		return nil
	}
	toInternal := func(a, b any, _ conversion.Scope) error {
		if a.(*corev1.Secret).Name == "bad" {
			return errBad
		}
		b.(*internalSecret).Secret = *a.(*corev1.Secret)
		return nil
	}
	if err := errors.Join(scheme.AddConversionFunc((*internalSecret)(nil), (*corev1.Secret)(nil), toServed), scheme.AddConversionFunc((*corev1.Secret)(nil), (*internalSecret)(nil), toInternal)); err != nil {
		t.Fatal(err)
	}
	return scheme
}

func secret(name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: "1"}, Data: map[string][]byte{"password": []byte("hunter2")}}
}

// A server works with its internal types if it has some, and an object that is of no type
// is an error without its contents.
func TestHub(t *testing.T) {
	for _, tt := range []struct {
		name    string
		scheme  *runtime.Scheme
		object  runtime.Object
		want    string // type of what the server works with
		wantErr string // of Served
	}{
		{name: "no scheme", object: secret("a"), want: "*v1.Secret"},
		{name: "no internal types", scheme: runtime.NewScheme(), object: secret("a"), want: "*v1.Secret"},
		{name: "served", scheme: schemeOf(t), object: secret("a"), want: "*objects_test.internalSecret"},
		{name: "internal", scheme: schemeOf(t), object: &internalSecret{Secret: *secret("a")}, want: "*objects_test.internalSecret"},
		{name: "internal without a scheme", object: &internalSecret{Secret: *secret("a")}, want: "*v1.Secret", wantErr: "a *objects_test.internalSecret is not a Secret"},
		{name: "bad", scheme: schemeOf(t), object: &internalSecret{Secret: *secret("bad")}, want: "*objects_test.internalSecret", wantErr: "a *objects_test.internalSecret is not a Secret"},
		{name: "other", scheme: schemeOf(t), object: &corev1.Pod{}, want: "*objects_test.internalSecret", wantErr: "a *v1.Pod is not a Secret"},
		{name: "nil", scheme: schemeOf(t), want: "*objects_test.internalSecret", wantErr: "a <nil> is not a Secret"},
		{name: "nil Secret", scheme: schemeOf(t), object: (*corev1.Secret)(nil), want: "*objects_test.internalSecret", wantErr: "a *v1.Secret is not a Secret"},
		{name: "nil internal Secret", scheme: schemeOf(t), object: (*internalSecret)(nil), want: "*objects_test.internalSecret", wantErr: "is not a Secret"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hub := objects.Hub[corev1.Secret, *corev1.Secret]{Scheme: tt.scheme, Kind: secretKind}
			if got := typeOf(hub.New()); got != tt.want {
				t.Errorf("New() is a %s, want a %s", got, tt.want)
			}
			served, err := hub.Served(tt.object)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) || strings.Contains(err.Error(), "hunter2") || !apierrors.IsInternalError(err) {
					t.Errorf("Served() = %v, want %q", err, tt.wantErr)
				}
				return
			}
			if err != nil || served.Name != "a" {
				t.Fatalf("Served() = %+v, %v", served, err)
			}
			internal, err := hub.Internal(served)
			if got := typeOf(internal); err != nil || got != tt.want {
				t.Errorf("Internal() is a %s, %v; want a %s", got, err, tt.want)
			}
		})
	}
	hub := objects.Hub[corev1.Secret, *corev1.Secret]{Scheme: schemeOf(t), Kind: secretKind}
	if _, err := hub.Internal(secret("bad")); !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "converting a Secret: bad") {
		t.Errorf("Internal() = %v, want 500", err)
	}
}

func typeOf(object runtime.Object) string { return reflect.TypeOf(object).String() }

// A store is the storage of one object, which can only be read.
type store struct {
	object  runtime.Object
	err     error
	info    request.RequestInfo // of the last request
	options metav1.GetOptions
}

func (s *store) Get(ctx context.Context, _ string, o *metav1.GetOptions) (runtime.Object, error) {
	s.seen(ctx)
	s.options = *o
	o.ResourceVersion = "changed"
	return s.object, s.err
}

func (s *store) seen(ctx context.Context) {
	info, ok := request.RequestInfoFrom(ctx)
	if ok && request.NamespaceValue(ctx) == info.Namespace {
		s.info = *info
	}
}

// An updatable store can be changed too.
type updatable struct{ store }

func (s *updatable) New() runtime.Object { return nil }

func (s *updatable) Update(ctx context.Context, _ string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc, _ rest.ValidateObjectUpdateFunc, create bool, _ *metav1.UpdateOptions) (runtime.Object, bool, error) {
	s.seen(ctx)
	if s.err != nil || create {
		return nil, false, s.err
	}
	updated, err := info.UpdatedObject(ctx, s.object)
	if err == nil {
		s.object = updated
	}
	return updated, false, err
}

// Storage is asked as a request would ask it (SRV-25), with options of its own.
func TestGet(t *testing.T) {
	s := &store{object: &internalSecret{Secret: *secret("a")}}
	resource := objects.NewResource[corev1.Secret](schemeOf(t), s, "secrets", secretKind)
	for range 2 {
		got, err := resource.Get(t.Context(), "shop", "a")
		if err != nil || got.Name != "a" || s.options.ResourceVersion != "" {
			t.Errorf("Get() = %+v, %v, read with %+v", got, err, s.options)
		}
	}
	want := request.RequestInfo{IsResourceRequest: true, Verb: "get", APIGroup: "example.org", APIVersion: "v1", Namespace: "shop", Resource: "secrets", Name: "a", Parts: []string{"secrets", "a"}}
	if diff := cmp.Diff(want, s.info); diff != "" {
		t.Errorf("the request (-want +got):\n%s", diff)
	}
	cached := resource.Cached()
	if _, err := cached.Get(t.Context(), "shop", "a"); err != nil || s.options.ResourceVersion != "0" {
		t.Errorf("read with %+v from the cache, %v; want resource version 0", s.options, err)
	}
	s.err = errors.New("down")
	if got, err := resource.Get(t.Context(), "shop", "a"); got != nil || err != s.err || s.options.ResourceVersion != "" {
		t.Errorf("Get() = %v, %v, read with %+v; want the error of the storage", got, err, s.options)
	}
}

// A patch changes what it names of the current object, if that is the one it is for.
func TestPatch(t *testing.T) {
	for _, tt := range []struct {
		name, patch string
		typ         types.PatchType
		object      runtime.Object
		err         error
		readOnly    bool
		wantErr     string
	}{
		{name: "good", patch: `{"metadata":{"uid":"1","labels":{"a":"b"}}}`},
		{name: "no precondition", patch: `{"metadata":{"labels":{"a":"b"}}}`},
		{name: "another UID", patch: `{"metadata":{"uid":"2","labels":{"a":"b"}}}`, wantErr: `secrets.example.org "a": precondition failed: UID in precondition: 2, UID in object meta: 1`},
		{name: "no UID", patch: `{"metadata":{"uid":null}}`, wantErr: "UID in precondition: , UID in object meta: 1"},
		{name: "no JSON", patch: `{`, wantErr: "apiserver: the merge patch can't be applied to a Secret"},
		{name: "another type", patch: `{"data":"hunter2"}`, wantErr: "apiserver: the merge patch can't be applied to a Secret"},
		{name: "a JSON patch", typ: types.JSONPatchType, patch: `[]`, wantErr: "patch is not supported on resources of kind \"secrets.example.org\""},
		{name: "read-only storage", readOnly: true, patch: `{}`, wantErr: "patch is not supported on resources of kind \"secrets.example.org\""},
		{name: "another object", object: &corev1.Pod{}, patch: `{}`, wantErr: "a *v1.Pod is not a Secret"},
		{name: "storage down", err: errors.New("down"), patch: `{}`, wantErr: "down"},
		{name: "what the server can't work with", patch: `{"metadata":{"name":"bad"}}`, wantErr: "converting a Secret: bad"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &updatable{store{object: tt.object, err: tt.err}}
			if s.object == nil {
				s.object = &internalSecret{Secret: *secret("a")}
			}
			var storage rest.Getter = s
			if tt.readOnly {
				storage = &s.store
			}
			if tt.typ == "" {
				tt.typ = types.MergePatchType
			}
			resource := objects.NewResource[corev1.Secret](schemeOf(t), storage, "secrets", secretKind)
			got, err := resource.Patch(t.Context(), "shop", "a", tt.typ, []byte(tt.patch))
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) || strings.Contains(err.Error(), "hunter2") || got != nil {
					t.Errorf("Patch() = %v, %v, want %q", got, err, tt.wantErr)
				}
				return
			}
			want := secret("a")
			want.Labels = map[string]string{"a": "b"}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("Patch() = %v (-want +got):\n%s", err, diff)
			}
			if s.info.Verb != "patch" || s.info.Namespace != "shop" || s.info.Name != "a" {
				t.Errorf("the request was %+v", s.info)
			}
		})
	}
}

// A change that can't be made is an error, and nothing is stored.
func TestUpdate(t *testing.T) {
	s := &updatable{store{object: secret("a")}}
	resource := objects.NewResource[corev1.Secret](nil, s, "secrets", secretKind)
	errNo := errors.New("no")
	if _, err := resource.Update(t.Context(), "update", "shop", "a", func(*corev1.Secret) (*corev1.Secret, error) { return nil, errNo }); !errors.Is(err, errNo) {
		t.Errorf("Update() = %v, want %v", err, errNo)
	}
	got, err := resource.Update(t.Context(), "update", "shop", "a", func(old *corev1.Secret) (*corev1.Secret, error) {
		changed := old.DeepCopy()
		changed.Type = "x"
		return changed, nil
	})
	if err != nil || got.Type != "x" || s.object.(*corev1.Secret).Type != "x" || s.info.Verb != "update" {
		t.Errorf("Update() = %+v, %v, as %+v", got, err, s.info)
	}
}
