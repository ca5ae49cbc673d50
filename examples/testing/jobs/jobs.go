// Package jobs runs jobs as Pods, each with a service account of its own, and is an
// example of how to test against a whole cluster in memory: its test has an API with
// admission, the controllers, an issuer, and what a kubelet does with tokens.
package jobs

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Client is what this package needs of the API server. serviceaccount.FromCoreV1
// returns one for client-go's client.
type Client interface {
	CreateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error)
	DeleteServiceAccount(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error
	CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error)
	DeletePod(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error
}

// Start runs image as the job called name, as an account of that name. It is
// idempotent: a job that runs already is returned as it is.
func Start(ctx context.Context, client Client, namespace, name, image string) (*corev1.Pod, error) {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"job": name}}
	_, err := client.CreateServiceAccount(ctx, &corev1.ServiceAccount{ObjectMeta: meta})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, err
	}
	pod, err := client.CreatePod(ctx, &corev1.Pod{
		ObjectMeta: meta,
		Spec: corev1.PodSpec{
			ServiceAccountName: name,
			RestartPolicy:      corev1.RestartPolicyNever,
			Containers:         []corev1.Container{{Name: "main", Image: image}},
		},
	})
	if apierrors.IsAlreadyExists(err) {
		return client.GetPod(ctx, namespace, name)
	}
	return pod, err
}

// Finish deletes the job and its account, and so revokes its tokens. It is idempotent.
func Finish(ctx context.Context, client Client, namespace, name string) error {
	err := client.DeletePod(ctx, namespace, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	err = client.DeleteServiceAccount(ctx, namespace, name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
