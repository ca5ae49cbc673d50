package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"github.com/kubesa/serviceaccount/sacontroller"
)

// A store keeps objects in a file, as JSON under namespace/name in a bucket for each kind. Its errors
// are those of the Kubernetes API. What it returns is the caller's own.
type store struct {
	db      *bolt.DB
	changed func(sacontroller.Event) // is told of every write, once it is on disk
}

func openStore(file string, changed func(sacontroller.Event)) (*store, error) {
	db, err := bolt.Open(file, 0o600, &bolt.Options{Timeout: 5 * time.Second})
	if err != nil {
		return nil, err
	}
	return &store{db, changed}, db.Update(func(tx *bolt.Tx) (err error) {
		for _, bucket := range []string{"Namespace", "ServiceAccount", "Secret", "Pod", tokenIndex} {
			_, failed := tx.CreateBucketIfNotExists([]byte(bucket))
			err = errors.Join(err, failed)
		}
		return err
	})
}

// A change is a transaction, and what to tell of it when it is on disk.
type change struct {
	*bolt.Tx
	events []sacontroller.Event
}

// do runs f in a transaction that begin, db.View or db.Update, begins and ends.
func (s *store) do(ctx context.Context, begin func(func(*bolt.Tx) error) error, f func(*change) error) error {
	c, err := new(change), ctx.Err()
	if err == nil {
		err = begin(func(tx *bolt.Tx) error { c.Tx = tx; return f(c) })
	}
	for i := 0; err == nil && i < len(c.events); i++ {
		s.changed(c.events[i])
	}
	return err
}

// An object is a pointer to a type of k8s.io/api/core/v1.
type object[T any] interface {
	*T
	metav1.Object
	runtime.Object
}

// kindOf returns the name of T, which is that of its bucket too. resourceOf is for errors.
func kindOf[T any]() string { return reflect.TypeFor[T]().Name() }

func resourceOf[T any]() schema.GroupResource {
	return corev1.Resource(strings.ToLower(kindOf[T]()) + "s")
}

// key joins what names an object. Names have no slash, so no two objects share a key.
func key(namespace, name string) []byte { return []byte(namespace + "/" + name) }

// read returns an object. It has to be the very one that is wanted.
func read[T any, P object[T]](c *change, namespace, name string, want metav1.Preconditions) (P, error) {
	data := c.Bucket([]byte(kindOf[T]())).Get(key(namespace, name))
	if data == nil {
		return nil, apierrors.NewNotFound(resourceOf[T](), name)
	}
	o := P(new(T))
	if err := json.Unmarshal(data, o); err != nil {
		return nil, err
	}
	if ptr.Deref(want.UID, o.GetUID()) != o.GetUID() || ptr.Deref(want.ResourceVersion, o.GetResourceVersion()) != o.GetResourceVersion() {
		return nil, apierrors.NewConflict(resourceOf[T](), name, errors.New("it has changed"))
	}
	return o, nil
}

// scan returns the objects whose keys begin with prefix.
func scan[T any, P object[T]](c *change, prefix []byte) (found []P, err error) {
	cursor := c.Bucket([]byte(kindOf[T]())).Cursor()
	for k, v := cursor.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = cursor.Next() {
		o := P(new(T))
		found, err = append(found, o), errors.Join(err, json.Unmarshal(v, o))
	}
	return found, err
}

// put writes o in the place of old, if there is one, and its key in the index.
func put[T any, P object[T]](c *change, old, o P) error {
	kind, at := corev1.SchemeGroupVersion.WithKind(kindOf[T]()), field.NewPath("metadata")
	if errs := validation.ValidateObjectMetaAccessor(o, kind.Kind != "Namespace", validation.NameIsDNSSubdomain, at); len(errs) > 0 {
		return apierrors.NewInvalid(kind.GroupKind(), o.GetName(), errs)
	}
	event := sacontroller.Event{Type: watch.Added, Object: o}
	if old != nil {
		event = sacontroller.Event{Type: watch.Modified, Object: o, Old: old}
	}
	bucket := c.Bucket([]byte(kind.Kind))
	version, err := bucket.NextSequence()
	o.SetResourceVersion(strconv.FormatUint(version, 10))
	o.GetObjectKind().SetGroupVersionKind(kind)
	data, failed := json.Marshal(o)
	c.events = append(c.events, event)
	return errors.Join(err, failed, c.reindex(old, o), bucket.Put(key(o.GetNamespace(), o.GetName()), data))
}

// drop deletes o, and its key from the index.
func drop[T any, P object[T]](c *change, o P) error {
	c.events = append(c.events, sacontroller.Event{Type: watch.Deleted, Object: o})
	return errors.Join(c.reindex(o, nil), c.Bucket([]byte(kindOf[T]())).Delete(key(o.GetNamespace(), o.GetName())))
}

func get[T any, P object[T]](ctx context.Context, s *store, namespace, name string) (o P, err error) {
	err = s.do(ctx, s.db.View, func(c *change) error {
		o, err = read[T, P](c, namespace, name, metav1.Preconditions{})
		return err
	})
	return o, err
}

// list returns the objects of namespace. That of namespaces is empty.
func list[T any, P object[T]](ctx context.Context, s *store, namespace string) (found []P, err error) {
	err = s.do(ctx, s.db.View, func(c *change) error { found, err = scan[T, P](c, key(namespace, "")); return err })
	return found, err
}

func create[T any, P object[T]](ctx context.Context, s *store, sent P) (P, error) {
	o := sent.DeepCopyObject().(P)
	o.SetUID(uuid.NewUUID())
	o.SetCreationTimestamp(metav1.Unix(time.Now().Unix(), 0))
	o.SetDeletionTimestamp(nil)
	o.SetFinalizers(nil) // nothing here waits for them
	return o, s.do(ctx, s.db.Update, func(c *change) error {
		if o.GetNamespace() != "" {
			if _, err := read[corev1.Namespace](c, "", o.GetNamespace(), metav1.Preconditions{}); err != nil {
				return err
			}
		}
		if c.Bucket([]byte(kindOf[T]())).Get(key(o.GetNamespace(), o.GetName())) != nil {
			return apierrors.NewAlreadyExists(resourceOf[T](), o.GetName())
		}
		return put(c, nil, o)
	})
}

// update replaces the object that sent was made of. Without a resourceVersion it replaces any.
func update[T any, P object[T]](ctx context.Context, s *store, sent P) (P, error) {
	o, want := sent.DeepCopyObject().(P), metav1.Preconditions{}
	if o.GetResourceVersion() != "" {
		want = metav1.Preconditions{UID: ptr.To(o.GetUID()), ResourceVersion: ptr.To(o.GetResourceVersion())}
	}
	return o, s.do(ctx, s.db.Update, func(c *change) error {
		old, err := read[T, P](c, o.GetNamespace(), o.GetName(), want)
		if err != nil {
			return err
		}
		o.SetUID(old.GetUID())
		o.SetCreationTimestamp(old.GetCreationTimestamp())
		return put(c, old, o)
	})
}

// remove deletes an object; a namespace with all that is in it, in one transaction.
func remove[T any, P object[T]](ctx context.Context, s *store, namespace, name string, opts metav1.DeleteOptions) error {
	return s.do(ctx, s.db.Update, func(c *change) error {
		o, err := read[T, P](c, namespace, name, ptr.Deref(opts.Preconditions, metav1.Preconditions{}))
		if err != nil {
			return err
		}
		if kindOf[T]() != "Namespace" {
			return drop(c, o)
		}
		return errors.Join(drop(c, o), clearOf[corev1.Pod](c, name), clearOf[corev1.Secret](c, name), clearOf[corev1.ServiceAccount](c, name))
	})
}

func clearOf[T any, P object[T]](c *change, namespace string) error {
	found, err := scan[T, P](c, key(namespace, ""))
	for _, o := range found {
		err = errors.Join(err, drop(c, o))
	}
	return err
}

// replay tells of every object of a kind as if it was new.
func replay[T any, P object[T]](ctx context.Context, s *store) error {
	return s.do(ctx, s.db.View, func(c *change) error {
		found, err := scan[T, P](c, nil)
		for _, o := range found {
			c.events = append(c.events, sacontroller.Event{Type: watch.Added, Object: o})
		}
		return err
	})
}
