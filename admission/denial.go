package admission

import (
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/internal/names"
)

// A denial is an *apierrors.StatusError with the status that Kubernetes gives.

// retrySoon is the retryAfterSeconds of retryable denials.
const retrySoon = 1 // second

// deny returns a 403 about the pod that says why.
func deny(req *Request, why string) *apierrors.StatusError {
	return denyUnwrapped(req, fmt.Sprintf("pods %q is forbidden: %s", req.podName(), why))
}

// denyUnwrapped returns a 403 about the pod whose whole text is message.
func denyUnwrapped(req *Request, message string) *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusForbidden,
		Reason:  metav1.StatusReasonForbidden,
		Details: &metav1.StatusDetails{Kind: "pods", Name: req.podName()},
		Message: message,
	}}
}

// podName is what denials call the pod (ADM-20).
func (req *Request) podName() string {
	switch {
	case req.Name != "":
		return names.Shorten(req.Name)
	case req.Pod.Name != "":
		return names.Shorten(req.Pod.Name)
	case req.Pod.GenerateName != "":
		return names.Shorten(req.Pod.GenerateName)
	}
	return "Unknown"
}

// denyNoAccount denies a pod that has not been given an account (ADM-202).
func denyNoAccount(req *Request) error {
	return deny(req, fmt.Sprintf("no service account specified for pod %s/%s", names.Shorten(req.namespace()), names.Shorten(req.Pod.Name)))
}

// denyLookup denies a pod whose account could not be looked up.
func (r *rules) denyLookup(req *Request, account string, err error, wrapForbidden bool) error {
	why := fmt.Sprintf("error looking up service account %s/%s: %v", names.Shorten(req.namespace()), names.Shorten(account), err)
	// Kubernetes validates new pods with the longer text, and wraps the error as
	// it is everywhere else (ADM-22).
	if apierrors.IsForbidden(err) && !wrapForbidden {
		return denyUnwrapped(req, why)
	}
	denial := deny(req, why)
	if !apierrors.IsForbidden(err) && (!apierrors.IsNotFound(err) || account == r.DefaultAccount && names.ValidNamespace(req.namespace())) {
		denial.ErrStatus.Details.RetryAfterSeconds = retrySoon
	}
	return denial
}

// denyTokenLookup denies a pod whose account's token could not be looked up (ADM-115).
func denyTokenLookup(req *Request, account *corev1.ServiceAccount, err error) error {
	denial := deny(req, fmt.Sprintf("Error looking up service account token for %s/%s: %v", req.namespace(), account.Name, err))
	if !apierrors.IsForbidden(err) {
		denial.ErrStatus.Details.RetryAfterSeconds = retrySoon
	}
	return denial
}

// denyManySecrets denies a pod whose account lists more Secrets than are looked up
// for one pod, none of them a token of it.
func denyManySecrets(req *Request, account *corev1.ServiceAccount) error {
	return deny(req, fmt.Sprintf("service account %s/%s has no token among the first %d secrets that it lists: list the token before them",
		req.namespace(), account.Name, maxSecretReads))
}

// denyNoToken denies a pod whose account has no token yet (ADM-106).
func denyNoToken(account *corev1.ServiceAccount) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusInternalServerError,
		Reason:  metav1.StatusReasonServerTimeout,
		Details: &metav1.StatusDetails{Kind: "serviceaccounts", Name: "create pod", RetryAfterSeconds: retrySoon},
		Message: fmt.Sprintf("No API token found for service account %q, retry after the token is automatically created and added to the service account", account.Name),
	}}
}
