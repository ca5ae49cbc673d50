// Package controller lets the accounts of some namespaces pull images from a
// private registry, and is an example of how to test a controller: its test drives
// it on a fake.Cluster through conflicts, lost answers, stale caches and outages.
package controller

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/sacontroller"
)

// PullSecret is the name of the Secret that accounts refer to once it exists in their
// namespace.
const PullSecret = "registry"

// A Reader is what the controller decides from; it may be a cache.
type Reader interface {
	GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
	ListServiceAccounts(ctx context.Context, namespace string) ([]*corev1.ServiceAccount, error)
}

// A Client writes to the API server.
type Client interface {
	UpdateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error)
}

// PullSecrets is a controller that adds the Secret to the accounts' imagePullSecrets.
type PullSecrets struct {
	Reader Reader
	Client Client
}

// Name is what the log of the fake calls the controller.
func (*PullSecrets) Name() string { return "pull-secrets" }

// Due returns the key of a changed account or, for the Secret, that of all accounts of
// its namespace.
func (*PullSecrets) Due(event sacontroller.Change) []sacontroller.Key {
	if event.Type == watch.Deleted {
		return nil
	}
	switch o := event.Object.(type) {
	case *corev1.ServiceAccount:
		return []sacontroller.Key{{Kind: "ServiceAccount", Namespace: o.Namespace, Name: o.Name}}
	case *corev1.Secret:
		if o.Name == PullSecret {
			return []sacontroller.Key{{Kind: "Secret", Namespace: o.Namespace, Name: o.Name}}
		}
	}
	return nil
}

// Reconcile adds the reference to one account, or to all accounts of a namespace.
func (c *PullSecrets) Reconcile(ctx context.Context, key sacontroller.Key) (sacontroller.Result, error) {
	_, err := c.Reader.GetSecret(ctx, key.Namespace, PullSecret)
	if err != nil {
		return sacontroller.Result{}, ignoreNotFound(err)
	}
	if key.Kind == "ServiceAccount" {
		account, err := c.Reader.GetServiceAccount(ctx, key.Namespace, key.Name)
		if err != nil {
			return sacontroller.Result{}, ignoreNotFound(err)
		}
		return sacontroller.Result{}, c.allow(ctx, account)
	}
	accounts, err := c.Reader.ListServiceAccounts(ctx, key.Namespace)
	if err != nil {
		return sacontroller.Result{}, err
	}
	for _, account := range accounts {
		if err := c.allow(ctx, account); err != nil {
			return sacontroller.Result{}, err
		}
	}
	return sacontroller.Result{}, nil
}

// allow adds the reference. The update carries the resourceVersion that was read, so
// that it never overwrites the change of another writer.
func (c *PullSecrets) allow(ctx context.Context, account *corev1.ServiceAccount) error {
	ref := corev1.LocalObjectReference{Name: PullSecret}
	if slices.Contains(account.ImagePullSecrets, ref) || account.DeletionTimestamp != nil {
		return nil
	}
	account = account.DeepCopy()
	account.ImagePullSecrets = append(account.ImagePullSecrets, ref)
	_, err := c.Client.UpdateServiceAccount(ctx, account)
	return ignoreNotFound(err)
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
