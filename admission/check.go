package admission

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission/internal/budget"
	"github.com/kubesa/serviceaccount/admission/internal/references"
	"github.com/kubesa/serviceaccount/internal/names"
)

// Check does what [Plugin.Validate] does once it has looked up account, the account
// of req.Pod. It does no I/O and changes nothing. The getters of cfg are not used,
// and account only if the pod is not a mirror pod.
//
// The error is a denial as in [Plugin.Admit]. A nil account is an error.
func Check(cfg Config, req Request, account *corev1.ServiceAccount) error {
	switch {
	case req.Ignored():
		return req.checkOperation()
	case req.Pod == nil:
		return nil
	case req.creates() && isMirror(req.Pod):
		return checkMirror(new(budget.Budget), &req)
	case givenAccount(&req.Pod.Spec) == "":
		return denyNoAccount(&req)
	case account == nil:
		return errNilAccount
	}
	r := cfg.rules()
	_, err := r.check(new(budget.Budget), &req, account)
	return err
}

// isMirror reports whether pod is the mirror of a static pod of a kubelet.
func isMirror(pod *corev1.Pod) bool {
	_, ok := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return ok
}

// checkMirror denies mirror pods that use what only the API server may hand out.
func checkMirror(b *budget.Budget, req *Request) error {
	if givenAccount(&req.Pod.Spec) != "" {
		return deny(req, "a mirror pod may not reference service accounts")
	}
	problem, err := references.InMirror(b, &req.Pod.Spec)
	if problem != "" {
		return deny(req, problem)
	}
	return err
}

// check checks what a new pod, or the ephemeral containers of one, refer to. It also
// returns what the owner of the pod should know about account.
func (r *rules) check(b *budget.Budget, req *Request, account *corev1.ServiceAccount) (warnings []string, err error) {
	limited, warnings := r.limits(account)
	if !limited {
		return warnings, nil
	}
	l, err := references.LimitOf(b, account, &req.Pod.Spec)
	if err != nil {
		return nil, err
	}
	if !req.creates() {
		if problem := l.Ephemeral(&req.Pod.Spec); problem != "" {
			return nil, denyUnwrapped(req, problem) // ADM-226 as we differ
		}
	} else if problem := l.Pod(&req.Pod.Spec, r.Strict); problem != "" {
		return nil, deny(req, problem)
	}
	return nil, nil
}

// limits reports whether account limits the Secrets that its pods may refer to, or
// warns that it does not although its owner may think so.
func (r *rules) limits(account *corev1.ServiceAccount) (limited bool, warnings []string) {
	value, ok := account.Annotations[EnforceAnnotation]
	if r.LimitSecretReferences || !ok {
		return r.LimitSecretReferences, nil
	}
	limited, err := strconv.ParseBool(value)
	if err != nil {
		warnings = []string{fmt.Sprintf("service account %s: annotation %s is %s, which is not a boolean: references to secrets are not limited",
			account.Name, EnforceAnnotation, names.Quote(value))}
	}
	return limited, warnings
}
