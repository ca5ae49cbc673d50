// Package admissiontest has the objects of the tests of admission and its webhook:
// accounts, Secrets and pods, and a getter of them.
package admissiontest

import (
	"context"
	"runtime"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/admission"
)

// Objects is a getter of what it holds, keyed by namespace/name. It counts reads.
type Objects struct {
	Accounts map[string]*corev1.ServiceAccount
	Secrets  map[string]*corev1.Secret
	Err      error // of every read, if set
	Reads    atomic.Int32
	Appear   int32 // if above 0, the read from which on accounts are there
}

// Have returns a getter of the accounts and Secrets in list.
func Have(list ...any) *Objects {
	o := &Objects{Accounts: map[string]*corev1.ServiceAccount{}, Secrets: map[string]*corev1.Secret{}}
	for _, object := range list {
		switch object := object.(type) {
		case *corev1.ServiceAccount:
			o.Accounts[object.Namespace+"/"+object.Name] = object
		case *corev1.Secret:
			o.Secrets[object.Namespace+"/"+object.Name] = object
		}
	}
	return o
}

// Failing returns a getter whose reads fail with err.
func Failing(err error) *Objects { return &Objects{Err: err} }

func (o *Objects) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	n := o.Reads.Add(1)
	if o.Err != nil {
		return nil, o.Err
	}
	if account := o.Accounts[namespace+"/"+name]; account != nil && n >= o.Appear {
		return account, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccounts"}, name)
}

func (o *Objects) GetSecret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	o.Reads.Add(1)
	if o.Err != nil {
		return nil, o.Err
	}
	if secret := o.Secrets[namespace+"/"+name]; secret != nil {
		return secret, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, name)
}

// Account returns the account shop/name with the changes.
func Account(name string, changes ...func(*corev1.ServiceAccount)) *corev1.ServiceAccount {
	a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: "uid-1"}}
	for _, change := range changes {
		change(a)
	}
	return a
}

// Lists makes an account list secrets.
func Lists(secrets ...string) func(*corev1.ServiceAccount) {
	return func(a *corev1.ServiceAccount) {
		for _, s := range secrets {
			a.Secrets = append(a.Secrets, corev1.ObjectReference{Name: s})
		}
	}
}

// Pulls gives an account image pull secrets.
func Pulls(secrets ...string) func(*corev1.ServiceAccount) {
	return func(a *corev1.ServiceAccount) {
		for _, s := range secrets {
			a.ImagePullSecrets = append(a.ImagePullSecrets, corev1.LocalObjectReference{Name: s})
		}
	}
}

// Enforces gives an account the annotation that limits its pods.
func Enforces(value string) func(*corev1.ServiceAccount) {
	return func(a *corev1.ServiceAccount) {
		a.Annotations = map[string]string{admission.EnforceAnnotation: value}
	}
}

// TokenSecret returns the token Secret shop/name of account, with its uid if there is one.
func TokenSecret(name, account, uid string) *corev1.Secret {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: account}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	if uid != "" {
		s.Annotations[corev1.ServiceAccountUIDKey] = uid
	}
	return s
}

// An EndingContext is done once it has been looked at more than Until times. It
// counts the looks.
type EndingContext struct {
	context.Context
	Looks, Until int
}

// Err counts a look.
func (c *EndingContext) Err() error {
	if c.Looks++; c.Looks > c.Until {
		return context.DeadlineExceeded
	}
	return nil
}

// AllocatedBy returns how many bytes f allocates.
func AllocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
