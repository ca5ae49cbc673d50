// Package references decides which Secrets a pod may refer to.
package references

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission/internal/budget"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/internal/podsecrets"
)

// InMirror returns why a mirror pod is denied: for what only the API server may hand
// out. It is empty if there is nothing of that.
func InMirror(b *budget.Budget, spec *corev1.PodSpec) (problem string, err error) {
	if err := spend(b, spec); err != nil {
		return "", err
	}
	if !podsecrets.Visit(spec, podsecrets.FirstSource, func(ref podsecrets.Reference) bool { return ref.Name == "" }) {
		return "a mirror pod may not reference secrets", nil
	}
	for i := range spec.Volumes {
		if spec.Volumes[i].Projected == nil {
			continue
		}
		for _, source := range spec.Volumes[i].Projected.Sources {
			if source.ServiceAccountToken != nil {
				return "a mirror pod may not use ServiceAccountToken volume projections", nil
			}
		}
	}
	return "", nil
}

// spend spends what one walk over all references of a pod takes.
func spend(b *budget.Budget, spec *corev1.PodSpec) error {
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
	return b.Spend(n)
}

// A Limit is what the pods of an account may refer to.
type Limit struct {
	account              string
	secrets, pullSecrets map[string]bool
}

// LimitOf returns the limit of account, and spends what it takes to hold a pod with spec
// to it.
func LimitOf(b *budget.Budget, account *corev1.ServiceAccount, spec *corev1.PodSpec) (*Limit, error) {
	if err := b.Spend(len(account.Secrets) + len(account.ImagePullSecrets)); err != nil {
		return nil, err
	}
	l := &Limit{account.Name, make(map[string]bool, len(account.Secrets)), make(map[string]bool, len(account.ImagePullSecrets))}
	for _, ref := range account.Secrets {
		l.secrets[ref.Name] = true
	}
	for _, ref := range account.ImagePullSecrets {
		l.pullSecrets[ref.Name] = true
	}
	return l, spend(b, spec)
}

// Pod returns why a new pod is denied, in the order of ADM-210..216, or "". If strict is
// set, references that Kubernetes overlooks count, too (ADM-218).
func (l *Limit) Pod(spec *corev1.PodSpec, strict bool) string {
	for i := range spec.Volumes {
		if s := spec.Volumes[i].Secret; s != nil && !l.secrets[s.SecretName] {
			return l.text("volume with", s.SecretName)
		}
	}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		if text := l.container("init container", c.Name, c.Env, c.EnvFrom); text != "" {
			return text
		}
	}
	for i := range spec.Containers {
		c := &spec.Containers[i]
		if text := l.container("container", c.Name, c.Env, c.EnvFrom); text != "" {
			return text
		}
	}
	for i, ref := range spec.ImagePullSecrets {
		if !l.pullSecrets[ref.Name] {
			return fmt.Sprintf(`imagePullSecrets[%d].name="%s" is not allowed because service account %s does not reference that imagePullSecret`,
				i, names.Shorten(ref.Name), l.account)
		}
	}
	if !strict {
		return ""
	}
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
	return l.Ephemeral(spec)
}

// Ephemeral returns why the ephemeral containers of a pod are denied, or "": all of them
// count, since a debug container must not read what the pod's own may not.
func (l *Limit) Ephemeral(spec *corev1.PodSpec) string {
	for i := range spec.EphemeralContainers {
		c := &spec.EphemeralContainers[i]
		if text := l.container("ephemeral container", c.Name, c.Env, c.EnvFrom); text != "" {
			return text
		}
	}
	return ""
}

// text says that what, which refers to secret, is not allowed.
func (l *Limit) text(what, secret string) string {
	return fmt.Sprintf(`%s secret.secretName="%s" is not allowed because service account %s does not reference that secret`,
		what, names.Shorten(secret), l.account)
}

// container returns why the container called name is denied, or "".
func (l *Limit) container(kind, name string, env []corev1.EnvVar, envFrom []corev1.EnvFromSource) string {
	text := ""
	allowed := func(ref podsecrets.Reference) bool {
		if l.secrets[ref.Name] {
			return true
		}
		source := ref.Field
		if source == "env" {
			source = "envVar " + names.Shorten(env[ref.Index].Name)
		}
		text = l.text(fmt.Sprintf("%s %s with %s referencing", kind, names.Shorten(name), source), ref.Name)
		return false
	}
	_ = podsecrets.Env(env, allowed) && podsecrets.EnvFrom(envFrom, allowed)
	return text
}
