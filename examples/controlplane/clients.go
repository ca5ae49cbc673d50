package main

import (
	"bytes"
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/tokens"
)

// The readers, clients and getters of the packages, as small as they are there.

func (s *store) GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return get[corev1.Namespace](ctx, s, "", name)
}
func (s *store) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return get[corev1.ServiceAccount](ctx, s, namespace, name)
}
func (s *store) CreateServiceAccount(ctx context.Context, o *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	return create(ctx, s, o)
}
func (s *store) UpdateServiceAccount(ctx context.Context, o *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	return update(ctx, s, o)
}
func (s *store) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return get[corev1.Pod](ctx, s, namespace, name)
}
func (s *store) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return get[corev1.Secret](ctx, s, namespace, name)
}
func (s *store) CreateSecret(ctx context.Context, o *corev1.Secret) (*corev1.Secret, error) {
	return create(ctx, s, o)
}
func (s *store) UpdateSecret(ctx context.Context, o *corev1.Secret) (*corev1.Secret, error) {
	return update(ctx, s, o)
}
func (s *store) DeleteSecret(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	return remove[corev1.Secret](ctx, s, namespace, name, opts)
}

// tokenIndex is the bucket with the key namespace/account/name for each token Secret.
const tokenIndex = "tokensecrets"

// TokenSecrets reads the Secrets of the account alone, however many others there are.
func (s *store) TokenSecrets(ctx context.Context, namespace, account string) (found []*corev1.Secret, err error) {
	prefix := key(namespace, account+"/")
	err = s.do(ctx, s.db.View, func(c *change) error {
		cursor := c.Bucket([]byte(tokenIndex)).Cursor()
		for k, _ := cursor.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = cursor.Next() {
			secret, failed := read[corev1.Secret](c, namespace, string(k[len(prefix):]), metav1.Preconditions{})
			found, err = append(found, secret), errors.Join(err, failed)
		}
		return err
	})
	return found, err
}

// reindex keeps tokenIndex in step with a write: old was there, o will be. Either may be nil.
func (c *change) reindex(old, o metav1.Object) (err error) {
	index := c.Bucket([]byte(tokenIndex))
	if k := indexKey(old); k != nil {
		err = index.Delete(k)
	}
	if k := indexKey(o); k != nil {
		err = errors.Join(err, index.Put(k, nil))
	}
	return err
}

// indexKey returns nil unless o is the token Secret of an account that can be.
func indexKey(o metav1.Object) []byte {
	secret, _ := o.(*corev1.Secret)
	account, _ := tokens.TokenSecretOwner(secret)
	if len(validation.ValidateServiceAccountName(account, false)) > 0 {
		return nil
	}
	return key(secret.Namespace, account+"/"+secret.Name)
}
