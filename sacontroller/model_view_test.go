package sacontroller_test

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// A view is what the informers of one process hold: for each kind the state of some
// moment in the past, another for each kind. They follow a watch, or list again
// after theirs broke: then changes in between are missed, and an object that was
// deleted and created again is one that was modified.
type view struct {
	cluster *fake.Cluster
	source  *fake.Reader
	kinds   [4]map[string]object
	watches [4]*fake.Watch
	waiting [4][]watch.Event  // delivered by the watch, not yet seen
	lent    map[object]object // what was given out, and copies from before
}

type object interface {
	metav1.Object
	runtime.Object
}

const (
	viewNamespaces = iota
	viewAccounts
	viewSecrets
	viewConfigMaps
)

var viewResources = [4]string{"namespaces", "serviceaccounts", "secrets", "configmaps"}

func newView(cluster *fake.Cluster) *view {
	return &view{cluster: cluster, source: cluster.Reader(), lent: map[object]object{}}
}

// follow sees the next n changes of one kind, all if n is negative, and returns
// them.
func (v *view) follow(kind, n int) []sacontroller.Change {
	v.waiting[kind] = append(v.waiting[kind], v.watches[kind].Pending()...)
	var changes []sacontroller.Change
	for ; n != 0 && len(v.waiting[kind]) > 0; n-- {
		e := v.waiting[kind][0]
		v.waiting[kind] = v.waiting[kind][1:]
		o := e.Object.(object)
		key := o.GetNamespace() + "/" + o.GetName()
		change := sacontroller.Change{Type: e.Type, Object: o}
		if e.Type == watch.Deleted {
			delete(v.kinds[kind], key)
		} else {
			if was := v.kinds[kind][key]; was != nil {
				change.Old = was
			}
			v.kinds[kind][key] = o
		}
		changes = append(changes, change)
	}
	return changes
}

// list looks at one kind again, starts a new watch, and returns what changed.
func (v *view) list(kind int) []sacontroller.Change {
	ctx := context.Background()
	now := map[string]object{}
	switch kind {
	case viewNamespaces:
		list, _ := v.source.ListNamespaces(ctx)
		index(now, list)
	case viewAccounts:
		list, _ := v.source.ListServiceAccounts(ctx, "")
		index(now, list)
	case viewSecrets:
		list, _ := v.source.ListSecrets(ctx, "")
		index(now, list)
	case viewConfigMaps:
		list, _ := v.source.ListConfigMaps(ctx, "")
		index(now, list)
	}
	if v.watches[kind] != nil {
		v.watches[kind].Stop()
	}
	v.waiting[kind] = nil
	w, err := v.cluster.Watch(ctx, viewResources[kind], "", metav1.ListOptions{ResourceVersion: v.cluster.Revision()})
	if err != nil {
		panic(err)
	}
	v.watches[kind] = w
	before := v.kinds[kind]
	v.kinds[kind] = now
	var events []sacontroller.Change
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if now[key] == nil {
			events = append(events, sacontroller.Change{Type: watch.Deleted, Object: before[key]})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(now)) {
		switch was, is := before[key], now[key]; {
		case was == nil:
			events = append(events, sacontroller.Change{Type: watch.Added, Object: is})
		case was.GetResourceVersion() != is.GetResourceVersion():
			events = append(events, sacontroller.Change{Type: watch.Modified, Object: is, Old: was})
		}
	}
	return events
}

func index[T object](m map[string]object, list []T) {
	for _, o := range list {
		m[o.GetNamespace()+"/"+o.GetName()] = o
	}
}

// resync returns every object as added.
func (v *view) resync() []sacontroller.Change {
	var events []sacontroller.Change
	for _, kind := range v.kinds {
		for _, key := range slices.Sorted(maps.Keys(kind)) {
			events = append(events, sacontroller.Change{Type: watch.Added, Object: kind[key]})
		}
	}
	return events
}

// changed returns what a controller did to the objects that it was lent, and takes
// them back (S9).
func (v *view) changed() string {
	defer clear(v.lent)
	for o, before := range v.lent {
		if d := cmp.Diff(before, o); d != "" {
			return fmt.Sprintf("S9: a controller changed a cached %T (-before +after):\n%s", o, d)
		}
	}
	return ""
}

func lend[T object](v *view, kind int, namespace, name string) (T, error) {
	o, ok := v.kinds[kind][namespace+"/"+name].(T)
	if !ok {
		var zero T
		return zero, apierrors.NewNotFound(corev1.Resource("objects"), name)
	}
	v.lent[o] = o.DeepCopyObject().(object)
	return o, nil
}

func (v *view) GetNamespace(_ context.Context, name string) (*corev1.Namespace, error) {
	return lend[*corev1.Namespace](v, viewNamespaces, "", name)
}

func (v *view) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return lend[*corev1.ServiceAccount](v, viewAccounts, namespace, name)
}

func (v *view) GetSecret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	return lend[*corev1.Secret](v, viewSecrets, namespace, name)
}

func (v *view) GetConfigMap(_ context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	return lend[*corev1.ConfigMap](v, viewConfigMaps, namespace, name)
}

func (v *view) TokenSecrets(_ context.Context, namespace, account string) ([]*corev1.Secret, error) {
	var found []*corev1.Secret
	for _, key := range slices.Sorted(maps.Keys(v.kinds[viewSecrets])) {
		s := v.kinds[viewSecrets][key].(*corev1.Secret)
		if s.Namespace == namespace && s.Type == corev1.SecretTypeServiceAccountToken && s.Annotations[corev1.ServiceAccountNameKey] == account {
			v.lent[s] = s.DeepCopy()
			found = append(found, s)
		}
	}
	return found, nil
}
