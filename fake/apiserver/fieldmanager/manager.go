package fieldmanager

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/internal/patch"
)

// schema reads the schema of all kinds when it is needed first, once for all.
var schema = sync.OnceValue(func() managedfields.TypeConverter { return applyconfigurations.NewTypeConverter(scheme.Scheme) })

// A Manager is a [fake.FieldManager]. It is safe for concurrent use.
type Manager struct {
	mu       sync.Mutex
	managers map[key]*managedfields.FieldManager
}

var _ fake.FieldManager = (*Manager)(nil)

type key struct{ kind, subresource string }

// New returns a Manager.
func New() *Manager { return &Manager{managers: map[key]*managedfields.FieldManager{}} }

// Update implements [fake.FieldManager].
func (m *Manager) Update(live, next fake.Object, subresource, manager string) (fake.Object, error) {
	f, err := m.of(live, subresource)
	if err != nil {
		return nil, err
	}
	if subresource != "" { // which can't change them
		next.SetManagedFields(nil)
	}
	managed, err := f.Update(live, next, manager)
	if err != nil { // the API server stores it all the same
		next.SetManagedFields(live.GetManagedFields())
		return next, nil
	}
	return typed(managed, next)
}

// Apply implements [fake.FieldManager].
func (m *Manager) Apply(live fake.Object, configuration *unstructured.Unstructured, subresource, manager string, force bool) (fake.Object, error) {
	f, err := m.of(live, subresource)
	if err != nil {
		return nil, err
	}
	applied, err := f.Apply(live, configuration, manager, force)
	if err != nil {
		if status := apierrors.APIStatus(nil); errors.As(err, &status) {
			return nil, err
		}
		text := err.Error()
		if _, secret := live.(*corev1.Secret); secret && !namesFields(text) {
			text = "failed to create typed patch object: a field is of another type"
		}
		return nil, patch.NotTyped(text)
	}
	return typed(applied, live)
}

// namesFields reports whether an error about a configuration shows no more of it than the
// paths of its fields.
func namesFields(text string) bool {
	return strings.HasSuffix(text, ": field not declared in schema") && !strings.Contains(text, ", got ")
}

// of returns the field manager for the kind of o.
func (m *Manager) of(o fake.Object, subresource string) (*managedfields.FieldManager, error) {
	gvk := o.GetObjectKind().GroupVersionKind()
	k := key{gvk.Kind, subresource}
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.managers[k]; f != nil {
		return f, nil
	}
	f, err := managedfields.NewDefaultFieldManager(schema(), scheme.Scheme, noDefaults{}, scheme.Scheme, gvk, gvk.GroupVersion(), subresource,
		map[fieldpath.APIVersion]fieldpath.Filter{fieldpath.APIVersion(gvk.Version): fieldpath.NewExcludeSetFilter(reset(k))})
	if err != nil {
		return nil, err
	}
	m.managers[k] = f
	return f, nil
}

// reset returns the fields that writes of a kind or a subresource of it don't change, so
// nobody owns them by such a write.
func reset(k key) *fieldpath.Set {
	switch {
	case k.subresource == "finalize":
		return fieldpath.NewSet(fieldpath.MakePathOrDie("status"))
	case k.subresource != "":
		set := fieldpath.NewSet(fieldpath.MakePathOrDie("metadata", "deletionTimestamp"), fieldpath.MakePathOrDie("metadata", "ownerReferences"))
		if k.subresource == "status" {
			set.Insert(fieldpath.MakePathOrDie("spec"))
		} else {
			set.Insert(fieldpath.MakePathOrDie("status"))
		}
		return set
	case k.kind == "Namespace", k.kind == "Pod", k.kind == "Node":
		return fieldpath.NewSet(fieldpath.MakePathOrDie("status"))
	}
	return fieldpath.NewSet()
}

// typed returns o, which may have become unstructured on its way, as an object of the
// type of like.
func typed(o runtime.Object, like fake.Object) (fake.Object, error) {
	switch o := o.(type) {
	case fake.Object:
		if u, ok := o.(runtime.Unstructured); ok {
			into, err := scheme.Scheme.New(like.GetObjectKind().GroupVersionKind())
			if err != nil {
				return nil, err
			}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.UnstructuredContent(), into); err != nil {
				return nil, patch.NotTyped("the apply configuration does not fit")
			}
			return into.(fake.Object), nil
		}
		return o, nil
	}
	return nil, fmt.Errorf("got a %T", o)
}

// noDefaults leaves defaults to the Cluster.
type noDefaults struct{}

func (noDefaults) Default(runtime.Object) {}
