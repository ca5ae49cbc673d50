package admission

import (
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/internal/names"
)

// A Request is an operation on a pod to decide about.
type Request struct {
	// Operation is required: CREATE, UPDATE, DELETE or CONNECT. With any other one the
	// request is denied.
	Operation admissionv1.Operation
	// Namespace is the namespace of the request. If it is empty, that of Pod
	// counts.
	Namespace string
	// Name is the name in the request, which is empty when a name is to be
	// generated. It serves error texts only.
	Name string
	// Subresource is empty for the pod itself. "ephemeralcontainers" is checked on
	// UPDATE, and means nothing special on CREATE; all others are ignored.
	Subresource string
	// Pod is the pod as it is to be stored. If it is nil, the request is ignored.
	Pod *corev1.Pod
	// ValidateOnly makes a new pod be checked as [Plugin.Validate] does, and not
	// changed.
	ValidateOnly bool
}

const ephemeralContainers = "ephemeralcontainers"

// Ignored reports whether requests with the operation and the subresource of req
// are ignored: all but the creation of pods and updates of their ephemeral
// containers.
func (req *Request) Ignored() bool { return !req.creates() && !req.updatesEphemeral() }

// checkOperation denies an operation that Kubernetes doesn't have: whoever forgets it
// must not get every pod past the checks.
func (req *Request) checkOperation() error {
	switch req.Operation {
	case admissionv1.Create, admissionv1.Update, admissionv1.Delete, admissionv1.Connect:
		return nil
	}
	return apierrors.NewBadRequest("admission: unknown operation " + names.Quote(string(req.Operation)))
}

// creates reports whether req is the creation of a pod. No API server creates
// ephemeral containers; if one did, it would be a new pod to Kubernetes (ADM-3,
// ADM-6), and must not get past the checks here.
func (req *Request) creates() bool {
	return req.Operation == admissionv1.Create && (req.Subresource == "" || req.Subresource == ephemeralContainers)
}

// updatesEphemeral reports whether req is an update of ephemeral containers.
func (req *Request) updatesEphemeral() bool {
	return req.Operation == admissionv1.Update && req.Subresource == ephemeralContainers
}

func (req *Request) namespace() string {
	if req.Namespace == "" {
		return req.Pod.Namespace
	}
	return req.Namespace
}
