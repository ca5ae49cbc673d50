package webhook

import (
	"context"
	"errors"
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/names"
)

// answer decides about a request. A panic denies it.
func (h *Handler) answer(ctx context.Context, rq *reviewRequest, p *patch, e *Event) answer {
	a, err := flight.Catch("the decision", func() (answer, error) { return h.decide(ctx, rq, p), nil })
	if err != nil {
		e.Panic, e.Stack = flight.PanicOf(err)
		return answer{denial: denyInternal()}
	}
	return a
}

func (h *Handler) decide(ctx context.Context, rq *reviewRequest, p *patch) answer {
	switch admissionv1.Operation(rq.operation) {
	case admissionv1.Create, admissionv1.Update, admissionv1.Delete, admissionv1.Connect:
	default:
		return answer{denial: denyBadRequest("unknown operation " + names.Quote(rq.operation))}
	}
	if rq.resource.group != "" {
		return answer{}
	}
	switch rq.resource.name {
	case "":
		return answer{denial: denyBadRequest("the request names no resource")} // which could be pods
	case "pods":
		return h.answerPod(ctx, rq, p)
	case "serviceaccounts":
		return answer{warnings: rq.accountWarnings()}
	}
	return answer{}
}

func (h *Handler) answerPod(ctx context.Context, rq *reviewRequest, p *patch) answer {
	req := admission.Request{
		Operation:   admissionv1.Operation(rq.operation),
		Namespace:   rq.namespace,
		Name:        rq.name,
		Subresource: rq.subresource,
		Pod:         &rq.object.pod,

		ValidateOnly: h.cfg.ValidateOnly,
	}
	if req.Ignored() {
		return answer{}
	}
	if err := rq.checkPod(); err != nil {
		return answer{denial: denyBadRequest(err.Error())}
	}
	d, err := h.plugin.Decide(ctx, req)
	if err != nil {
		var denial *apierrors.StatusError
		if !errors.As(err, &denial) {
			denial = denyInternal()
		}
		return answer{denial: denial}
	}
	if err := p.write(ctx, &rq.object, d.Edits); err != nil {
		return answer{denial: apierrors.NewTimeoutError(fmt.Sprintf("the patch was not written in time: %v", err), 1)}
	}
	return answer{patch: p.buf, warnings: d.Warnings}
}

// checkPod says why there is no pod to decide about.
func (rq *reviewRequest) checkPod() error {
	pod := groupVersion{version: "v1", name: "Pod"}
	switch {
	case rq.resource.version != "v1":
		return fmt.Errorf("got pods of version %s, want v1", names.Quote(rq.resource.version))
	case rq.kind != pod:
		return fmt.Errorf("got an object of kind %s, want v1/Pod", names.Quote(rq.kind.String()))
	case rq.wrong != nil:
		return fmt.Errorf("the object is not a pod: %v", rq.wrong)
	case !rq.object.present:
		return errors.New("the request has no object")
	case rq.object.kind != "" && rq.object.kind != "Pod" || rq.object.apiVersion != "" && rq.object.apiVersion != "v1":
		return fmt.Errorf("got an object of kind %s of %s, want Pod of v1", names.Quote(rq.object.kind), names.Quote(rq.object.apiVersion))
	case rq.namespace == "":
		return errors.New("the request has no namespace")
	}
	return nil
}

// accountWarnings returns what the API server warns of when a ServiceAccount gets
// EnforceAnnotation (ADM-234).
func (rq *reviewRequest) accountWarnings() []string {
	_, enforced := rq.object.pod.Annotations[admission.EnforceAnnotation]
	if !enforced || rq.oldEnforced || rq.subresource != "" {
		return nil
	}
	return []string{"metadata.annotations[" + admission.EnforceAnnotation + "]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"}
}

func denyBadRequest(why string) *apierrors.StatusError {
	return apierrors.NewBadRequest("admission: " + strings.TrimSpace(why))
}

func denyInternal() *apierrors.StatusError {
	return apierrors.NewInternalError(errors.New("the request was not decided"))
}
