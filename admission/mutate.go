package admission

import (
	"errors"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission/internal/budget"
)

// Mutate does to req.Pod what [Plugin.Admit] does once it has looked everything
// up, but for the checks, which are those of [Check]. account is the account that
// [AccountName] names. token is the name of the token Secret to mount, for
// SecretBacked only: the first of account's Secrets that [IsTokenOf] accepts, or
// empty. The getters of cfg are not used.
//
// It does no I/O, keeps nothing of account, and ignores mirror pods and every
// request but the creation of a pod. If a token is needed and there is none, it
// returns the error that Admit returns and leaves the pod as it was. A nil
// account is an error.
func Mutate(cfg Config, req Request, account *corev1.ServiceAccount, token string) error {
	if !req.creates() {
		return req.checkOperation()
	}
	if req.Pod == nil || req.ValidateOnly || isMirror(req.Pod) {
		return nil
	}
	if account == nil {
		return errNilAccount
	}
	r := cfg.rules()
	edits, err := r.decide(new(budget.Budget), nil, &req, account, token)
	if err != nil {
		return err
	}
	Decision{Edits: edits}.Apply(req.Pod)
	return nil
}

var errNilAccount = errors.New("admission: got a nil account, want the account of the pod")

// AccountName returns the name of the account that a pod with spec runs as: the
// one that it gives in either of the two fields, or else cfg's default.
func AccountName(cfg Config, spec *corev1.PodSpec) string {
	r := cfg.rules()
	return r.accountName(spec)
}
