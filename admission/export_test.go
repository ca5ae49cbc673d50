package admission

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission/internal/budget"
)

// Steps returns how many steps it takes to decide about req, whose account and
// token have been looked up.
func Steps(cfg Config, req Request, account *corev1.ServiceAccount, token string) (steps int, err error) {
	var b budget.Budget
	r := cfg.rules()
	switch {
	case isMirror(req.Pod):
		err = checkMirror(&b, &req)
	case req.updatesEphemeral():
		_, err = r.check(&b, &req, account)
	default:
		if _, err = r.decide(&b, nil, &req, account, token); err == nil {
			_, err = r.check(&b, &req, account)
		}
	}
	return b.Steps(), err
}
