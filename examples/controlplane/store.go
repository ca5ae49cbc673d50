package main

import (
	"bytes"
	"cmp"
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
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens"
)

// A store keeps objects in a file, as JSON under namespace/name in a bucket for each kind. Its errors
// are those of the Kubernetes API; what it returns belongs to the caller.
type store struct {
	db      *bolt.DB
	changed func(sacontroller.Change) // is called after each write, once it is on disk
}

// tokenIndex is the bucket with the key namespace/account/name for each token Secret.
const tokenIndex = "tokensecrets"

func openStore(file string, changed func(sacontroller.Change)) (*store, error) {
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

// A change is a transaction and its events.
type change struct {
	*bolt.Tx
	events []sacontroller.Change
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

// kindOf returns the name of T, which is also the name of its bucket.
func kindOf[T any]() string { return reflect.TypeFor[T]().Name() }

func resourceOf[T any]() schema.GroupResource {
	return corev1.Resource(strings.ToLower(kindOf[T]()) + "s")
}

// key joins namespace and name. Names have no slash, so keys are unique.
func key(namespace, name string) []byte { return []byte(namespace + "/" + name) }

// indexKey returns the key of o in tokenIndex: nil unless o is a token Secret that names an account.
func indexKey(o metav1.Object) []byte {
	secret, _ := o.(*corev1.Secret)
	account, _ := tokens.TokenSecretOwner(secret)
	if len(validation.ValidateServiceAccountName(account, false)) > 0 {
		return nil
	}
	return key(secret.Namespace, account+"/"+secret.Name)
}

// read returns an object. If uid or version is set, the object must have it.
func read[T any, P object[T]](c *change, namespace, name string, uid types.UID, version string) (P, error) {
	data := c.Bucket([]byte(kindOf[T]())).Get(key(namespace, name))
	if data == nil {
		return nil, apierrors.NewNotFound(resourceOf[T](), name)
	}
	o := P(new(T))
	err := json.Unmarshal(data, o)
	if err == nil && (cmp.Or(uid, o.GetUID()) != o.GetUID() || cmp.Or(version, o.GetResourceVersion()) != o.GetResourceVersion()) {
		return nil, apierrors.NewConflict(resourceOf[T](), name, errors.New("it has changed, or is another one"))
	}
	return o, err
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

// put replaces old by o, and updates the index. Either may be nil.
func put[T any, P object[T]](c *change, old, o P) (err error) {
	kind := corev1.SchemeGroupVersion.WithKind(kindOf[T]())
	bucket, index := c.Bucket([]byte(kind.Kind)), c.Bucket([]byte(tokenIndex))
	event := sacontroller.Change{Type: watch.Added, Object: o}
	if old != nil {
		event.Type, event.Old = watch.Modified, old
	}
	if k := indexKey(old); k != nil {
		err = index.Delete(k)
	}
	if o == nil {
		c.events = append(c.events, sacontroller.Change{Type: watch.Deleted, Object: old})
		return errors.Join(err, bucket.Delete(key(old.GetNamespace(), old.GetName())))
	}
	namespaced, checkName := true, validation.NameIsDNSSubdomain
	if kind.Kind == "Namespace" {
		namespaced, checkName = false, validation.NameIsDNSLabel
	}
	if errs := validation.ValidateObjectMetaAccessor(o, namespaced, checkName, field.NewPath("metadata")); len(errs) > 0 {
		return apierrors.NewInvalid(kind.GroupKind(), o.GetName(), errs)
	}
	version, failed := bucket.NextSequence()
	o.SetResourceVersion(strconv.FormatUint(version, 10))
	o.GetObjectKind().SetGroupVersionKind(kind)
	data, malformed := json.Marshal(o)
	if k := indexKey(o); k != nil {
		err = errors.Join(err, index.Put(k, nil))
	}
	c.events = append(c.events, event)
	return errors.Join(err, failed, malformed, bucket.Put(key(o.GetNamespace(), o.GetName()), data))
}

func get[T any, P object[T]](ctx context.Context, s *store, namespace, name string) (o P, err error) {
	err = s.do(ctx, s.db.View, func(c *change) error { o, err = read[T, P](c, namespace, name, "", ""); return err })
	return o, err
}

func list[T any, P object[T]](ctx context.Context, s *store, prefix []byte) (found []P, err error) {
	err = s.do(ctx, s.db.View, func(c *change) error { found, err = scan[T, P](c, prefix); return err })
	return found, err
}

// write stores a copy of sent: as a new object, or as the next version of a stored one.
func write[T any, P object[T]](ctx context.Context, s *store, sent P, isNew bool) (P, error) {
	o := sent.DeepCopyObject().(P)
	return o, s.do(ctx, s.db.Update, func(c *change) error {
		if _, err := read[corev1.Namespace](c, "", o.GetNamespace(), "", ""); o.GetNamespace() != "" && err != nil {
			return err
		}
		old, err := read[T, P](c, o.GetNamespace(), o.GetName(), o.GetUID(), o.GetResourceVersion())
		switch {
		case !isNew && err == nil:
			o.SetUID(old.GetUID())
			o.SetCreationTimestamp(old.GetCreationTimestamp())
		case isNew && apierrors.IsNotFound(err):
			o.SetUID(uuid.NewUUID())
			o.SetCreationTimestamp(metav1.Unix(time.Now().Unix(), 0))
			o.SetDeletionTimestamp(nil)
			o.SetFinalizers(nil) // not supported
		case isNew:
			return apierrors.NewAlreadyExists(resourceOf[T](), o.GetName())
		default:
			return err
		}
		return put(c, old, o)
	})
}

// remove deletes an object, and with a namespace its contents, in one transaction.
func remove[T any, P object[T]](ctx context.Context, s *store, namespace, name string, want *metav1.Preconditions) error {
	want = cmp.Or(want, new(metav1.Preconditions))
	return s.do(ctx, s.db.Update, func(c *change) error {
		o, err := read[T, P](c, namespace, name, ptr.Deref(want.UID, ""), ptr.Deref(want.ResourceVersion, ""))
		if err == nil && kindOf[T]() == "Namespace" {
			err = errors.Join(empty[corev1.Pod](c, name), empty[corev1.Secret](c, name), empty[corev1.ServiceAccount](c, name))
		}
		if err != nil {
			return err
		}
		return put(c, o, nil)
	})
}

func empty[T any, P object[T]](c *change, namespace string) error {
	found, err := scan[T, P](c, key(namespace, ""))
	for _, o := range found {
		err = errors.Join(err, put(c, o, nil))
	}
	return err
}

// replay reports all objects of a kind as if they were new.
func replay[T any, P object[T]](ctx context.Context, s *store) error {
	found, err := list[T, P](ctx, s, nil)
	for _, o := range found {
		s.changed(sacontroller.Change{Type: watch.Added, Object: o})
	}
	return err
}

// The readers, clients and getters of the library.

func (s *store) GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return get[corev1.Namespace](ctx, s, "", name)
}
func (s *store) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return get[corev1.ServiceAccount](ctx, s, namespace, name)
}
func (s *store) CreateServiceAccount(ctx context.Context, o *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	return write(ctx, s, o, true)
}
func (s *store) UpdateServiceAccount(ctx context.Context, o *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	return write(ctx, s, o, false)
}
func (s *store) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return get[corev1.Pod](ctx, s, namespace, name)
}
func (s *store) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return get[corev1.Secret](ctx, s, namespace, name)
}
func (s *store) CreateSecret(ctx context.Context, o *corev1.Secret) (*corev1.Secret, error) {
	return write(ctx, s, o, true)
}
func (s *store) UpdateSecret(ctx context.Context, o *corev1.Secret) (*corev1.Secret, error) {
	return write(ctx, s, o, false)
}
func (s *store) DeleteSecret(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	return remove[corev1.Secret](ctx, s, namespace, name, opts.Preconditions)
}

// TokenSecrets reads the Secrets of the account only, however many others there are.
func (s *store) TokenSecrets(ctx context.Context, namespace, account string) (found []*corev1.Secret, err error) {
	err = s.do(ctx, s.db.View, func(c *change) error {
		at, cursor := key(namespace, account+"/"), c.Bucket([]byte(tokenIndex)).Cursor()
		for k, _ := cursor.Seek(at); bytes.HasPrefix(k, at); k, _ = cursor.Next() {
			o, failed := read[corev1.Secret](c, namespace, string(k[len(at):]), "", "")
			found, err = append(found, o), errors.Join(err, failed)
		}
		return err
	})
	return found, err
}
