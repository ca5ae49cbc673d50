package admission

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/internal/podsecrets"
)

// Check does what [Plugin.Validate] does once it has looked up account, the account
// of req.Pod. It does no I/O and changes nothing. The getters of cfg are not used,
// and account only if the pod is not a mirror pod.
//
// The error is a denial as in [Plugin.Admit]. A nil account is an error.
func Check(cfg Config, req Request, account *corev1.ServiceAccount) error {
	if req.Pod == nil {
		return nil
	}
	r := cfg.rules()
	switch {
	case !req.creates() && !req.updatesEphemeral():
		return nil
	case req.creates() && isMirror(req.Pod):
		return checkMirror(new(budget), &req)
	case givenAccount(&req.Pod.Spec) == "":
		return denyNoAccount(&req)
	case account == nil:
		return errNilAccount
	case req.creates():
		return r.checkCreate(new(budget), &req, account)
	}
	return r.checkEphemeral(new(budget), &req, account)
}

// isMirror reports whether pod is the mirror of a static pod of a kubelet.
func isMirror(pod *corev1.Pod) bool {
	_, ok := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return ok
}

// checkMirror denies mirror pods that use what only the API server may hand out.
func checkMirror(b *budget, req *Request) error {
	spec := &req.Pod.Spec
	if err := spendAll(b, spec); err != nil {
		return err
	}
	if givenAccount(spec) != "" {
		return deny(req, "a mirror pod may not reference service accounts")
	}
	if !podsecrets.Visit(spec, podsecrets.FirstSource, func(ref podsecrets.Reference) bool { return ref.Name == "" }) {
		return deny(req, "a mirror pod may not reference secrets")
	}
	for i := range spec.Volumes {
		if spec.Volumes[i].Projected == nil {
			continue
		}
		for _, source := range spec.Volumes[i].Projected.Sources {
			if source.ServiceAccountToken != nil {
				return deny(req, "a mirror pod may not use ServiceAccountToken volume projections")
			}
		}
	}
	return nil
}

// limits reports whether account limits the Secrets that its pods may refer to.
func (r *rules) limits(account *corev1.ServiceAccount) bool {
	if r.limit {
		return true
	}
	value, ok := account.Annotations[EnforceAnnotation]
	if !ok {
		return false // an error would be allocated
	}
	on, _ := strconv.ParseBool(value) // false for what is none
	return on
}

// spendAll spends what one walk over all references of a pod takes.
func spendAll(b *budget, spec *corev1.PodSpec) error {
	n := len(spec.ImagePullSecrets) + len(spec.Volumes)
	for i := range spec.Volumes {
		if p := spec.Volumes[i].Projected; p != nil {
			n += len(p.Sources)
		}
	}
	for _, list := range [...][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			n += 1 + len(list[i].Env) + len(list[i].EnvFrom)
		}
	}
	for i := range spec.EphemeralContainers {
		n += 1 + len(spec.EphemeralContainers[i].Env) + len(spec.EphemeralContainers[i].EnvFrom)
	}
	return b.spend(n)
}

// checkCreate checks what a new pod refers to, in the order of ADM-210..216.
func (r *rules) checkCreate(b *budget, req *Request, account *corev1.ServiceAccount) error {
	if !r.limits(account) {
		return nil
	}
	spec := &req.Pod.Spec
	l, err := newLimit(b, account, spec)
	if err != nil {
		return err
	}
	for i := range spec.Volumes {
		if s := spec.Volumes[i].Secret; s != nil && !l.secrets[s.SecretName] {
			return deny(req, l.text("volume with", s.SecretName))
		}
	}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		if text := l.container("init container", c.Name, c.Env, c.EnvFrom); text != "" {
			return deny(req, text)
		}
	}
	for i := range spec.Containers {
		c := &spec.Containers[i]
		if text := l.container("container", c.Name, c.Env, c.EnvFrom); text != "" {
			return deny(req, text)
		}
	}
	for i, ref := range spec.ImagePullSecrets {
		if !l.pullSecrets[ref.Name] {
			return deny(req, fmt.Sprintf(`imagePullSecrets[%d].name="%s" is not allowed because service account %s does not reference that imagePullSecret`,
				i, names.Shorten(ref.Name), account.Name))
		}
	}
	if r.strict {
		if text := l.strict(spec); text != "" {
			return deny(req, text)
		}
	}
	return nil
}

// checkEphemeral checks what the ephemeral containers of a pod refer to: all of
// them, since a debug container must not read what the pod's own may not.
func (r *rules) checkEphemeral(b *budget, req *Request, account *corev1.ServiceAccount) error {
	if !r.limits(account) {
		return nil
	}
	l, err := newLimit(b, account, &req.Pod.Spec)
	if err != nil {
		return err
	}
	if text := l.ephemeral(&req.Pod.Spec); text != "" {
		return denyUnwrapped(req, text) // ADM-226 as we differ
	}
	return nil
}

// A limit is what the pods of an account may refer to.
type limit struct {
	account              string
	secrets, pullSecrets map[string]bool
}

// newLimit returns the limit of account, and spends what it takes to hold a pod
// with spec to it.
func newLimit(b *budget, account *corev1.ServiceAccount, spec *corev1.PodSpec) (limit, error) {
	if err := b.spend(len(account.Secrets) + len(account.ImagePullSecrets)); err != nil {
		return limit{}, err
	}
	l := limit{account.Name, make(map[string]bool, len(account.Secrets)), make(map[string]bool, len(account.ImagePullSecrets))}
	for _, ref := range account.Secrets {
		l.secrets[ref.Name] = true
	}
	for _, ref := range account.ImagePullSecrets {
		l.pullSecrets[ref.Name] = true
	}
	return l, spendAll(b, spec)
}

// text says that what, which refers to secret, is not allowed.
func (l limit) text(what, secret string) string {
	return fmt.Sprintf(`%s secret.secretName="%s" is not allowed because service account %s does not reference that secret`,
		what, names.Shorten(secret), l.account)
}

// container returns why the container called name is denied, or "".
func (l limit) container(kind, name string, env []corev1.EnvVar, envFrom []corev1.EnvFromSource) string {
	text := ""
	podsecrets.Env(env, func(ref podsecrets.Reference) bool {
		if !l.secrets[ref.Name] {
			text = l.text(fmt.Sprintf("%s %s with envVar %s referencing", kind, names.Shorten(name), names.Shorten(env[ref.Index].Name)), ref.Name)
		}
		return text == ""
	})
	if text != "" {
		return text
	}
	podsecrets.EnvFrom(envFrom, func(ref podsecrets.Reference) bool {
		if !l.secrets[ref.Name] {
			text = l.text(fmt.Sprintf("%s %s with envFrom referencing", kind, names.Shorten(name)), ref.Name)
		}
		return text == ""
	})
	return text
}

func (l limit) ephemeral(spec *corev1.PodSpec) string {
	for i := range spec.EphemeralContainers {
		c := &spec.EphemeralContainers[i]
		if text := l.container("ephemeral container", c.Name, c.Env, c.EnvFrom); text != "" {
			return text
		}
	}
	return ""
}

// strict checks the references that Kubernetes overlooks (ADM-218).
func (l limit) strict(spec *corev1.PodSpec) string {
	text := ""
	for i := range spec.Volumes {
		v := &spec.Volumes[i]
		podsecrets.Volume(v, podsecrets.AllSources, func(ref podsecrets.Reference) bool {
			if ref.Name != "" && !l.secrets[ref.Name] {
				text = l.text(fmt.Sprintf("volume %s with %s referencing", names.Shorten(v.Name), ref.Field), ref.Name)
			}
			return text == ""
		})
		if text != "" {
			return text
		}
	}
	return l.ephemeral(spec)
}

// warnings returns what the owner of the pod should know about account.
func (r *rules) warnings(account *corev1.ServiceAccount) []string {
	value, ok := account.Annotations[EnforceAnnotation]
	if !ok || r.limit {
		return nil
	}
	if _, err := strconv.ParseBool(value); err == nil {
		return nil
	}
	return []string{fmt.Sprintf("service account %s: annotation %s is %s, which is not a boolean: references to secrets are not limited",
		account.Name, EnforceAnnotation, names.Quote(value))}
}
