package admission

import (
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// decide appends to edits what a pod that is created gets, and what it doesn't
// and why. token is the Secret to mount, for SecretBacked. It changes nothing. The
// error is a denial.
//
// Every other description of the change is a rendering of these edits:
// [Decision.Apply], [Edit.AppendJSON], [Edit.Value] and [Edit.Why].
func (r *rules) decide(b *budget, edits []Edit, pod *corev1.Pod, account *corev1.ServiceAccount, token string) ([]Edit, error) {
	edits = r.decideAccount(edits, &pod.Spec)
	edits, err := r.decideToken(b, edits, pod, account, token)
	if err != nil {
		return nil, err
	}
	if edits, err = r.decideFurther(b, edits, pod, account); err != nil {
		return nil, err
	}
	return decidePullSecrets(edits, &pod.Spec, account), nil
}

// The fields of a pod's spec that are changed.
const (
	fieldAccount        = "serviceAccountName"
	fieldOldAccount     = "serviceAccount"
	fieldVolumes        = "volumes"
	fieldInitContainers = "initContainers"
	fieldContainers     = "containers"
	fieldPullSecrets    = "imagePullSecrets"
)

func (r *rules) decideAccount(edits []Edit, spec *corev1.PodSpec) []Edit {
	e := Edit{Field: fieldAccount, name: r.accountName(spec)}
	switch {
	case spec.ServiceAccountName != "":
		e.Keep, e.why = true, podNamesAccount
	case spec.DeprecatedServiceAccount != "":
		e.why = oldFieldNamesAccount
	default:
		e.why = podNamesNoAccount
	}
	edits = append(edits, e)
	if spec.DeprecatedServiceAccount != e.name {
		e.Field, e.Keep, e.why = fieldOldAccount, false, oldFieldFollows
		edits = append(edits, e)
	}
	return edits
}

func (r *rules) accountName(spec *corev1.PodSpec) string {
	if name := givenAccount(spec); name != "" {
		return name
	}
	return r.defaultAccount
}

// givenAccount does what the defaulting of the v1 API does before admission sees
// a pod: the deprecated field counts if the other is empty (ADM-13).
func givenAccount(spec *corev1.PodSpec) string {
	if spec.ServiceAccountName != "" {
		return spec.ServiceAccountName
	}
	return spec.DeprecatedServiceAccount
}

// decideToken decides about the token volume and its mounts. The volume comes
// first and is added if the first container needs it.
func (r *rules) decideToken(b *budget, edits []Edit, pod *corev1.Pod, account *corev1.ServiceAccount, token string) ([]Edit, error) {
	spec := &pod.Spec
	switch automount := r.automount(spec, account); {
	case automount != automountOn:
		return append(edits, Edit{Field: fieldVolumes, Keep: true, why: automount}), nil
	case r.tokenVolume == SecretBacked && token == "" && !r.tokenOptional:
		return nil, denyNoToken(account)
	case len(spec.InitContainers)+len(spec.Containers) == 0:
		return append(edits, Edit{Field: fieldVolumes, Keep: true, why: noContainers}), nil
	case r.tokenVolume == SecretBacked && token == "":
		return append(edits, Edit{Field: fieldVolumes, Keep: true, why: noTokenSecret}), nil
	}
	volume := len(edits)
	edits = append(edits, Edit{Field: fieldVolumes, Keep: true, why: noContainerNeedsToken})
	optedOut, err := r.optedOut(b, pod)
	if err != nil {
		return nil, err
	}
	for _, list := range [...]struct {
		field      string
		containers []corev1.Container
	}{{fieldInitContainers, spec.InitContainers}, {fieldContainers, spec.Containers}} {
		for i := range list.containers {
			c := &list.containers[i]
			mounted, err := r.hasMount(b, c)
			if err != nil {
				return nil, err
			}
			edits = append(edits, Edit{Field: list.field, Container: i, detail: c.Name, rules: r})
			e := &edits[len(edits)-1]
			switch {
			case mounted:
				e.Keep, e.why = true, pathIsTaken
			case optedOut != nil && optedOut[c.Name]:
				e.Keep, e.why = true, containerOptsOut
			default:
				if edits[volume].why == noContainerNeedsToken {
					if edits[volume], err = r.decideVolume(b, spec.Volumes, token); err != nil {
						return nil, err
					}
				}
				e.name, e.why = edits[volume].name, pathIsFree
			}
		}
	}
	return edits, nil
}

// automount says whether the pod gets a token: it says so, or its account does,
// or both are silent.
func (r *rules) automount(spec *corev1.PodSpec, account *corev1.ServiceAccount) why {
	switch {
	case r.disableMount:
		return tokensAreOff
	case spec.AutomountServiceAccountToken != nil:
		if !*spec.AutomountServiceAccountToken {
			return podOptsOut
		}
	case account.AutomountServiceAccountToken != nil:
		if !*account.AutomountServiceAccountToken {
			return accountOptsOut
		}
	}
	return automountOn
}

// optedOut says of each container of the pod, by its name, whether it gets no
// mount. It is nil if the pod lists none: what it lists is looked for in its
// containers, not the other way round, so that a long list takes no memory.
func (r *rules) optedOut(b *budget, pod *corev1.Pod) (map[string]bool, error) {
	if r.optOut == "" {
		return nil, nil
	}
	list := pod.Annotations[r.optOut]
	if list == "" {
		return nil, nil
	}
	optedOut := make(map[string]bool, len(pod.Spec.InitContainers)+len(pod.Spec.Containers))
	for _, containers := range [...][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			optedOut[containers[i].Name] = false
		}
	}
	for name := range strings.SplitSeq(list, ",") {
		if err := b.spend(1 + len(name)); err != nil {
			return nil, err
		}
		name = strings.TrimSpace(name)
		if _, ok := optedOut[name]; ok {
			optedOut[name] = true
		}
	}
	return optedOut, nil
}

// hasMount reports whether container has something mounted at the token's path.
func (r *rules) hasMount(b *budget, container *corev1.Container) (bool, error) {
	if err := b.spend(1 + len(container.VolumeMounts)); err != nil {
		return false, err
	}
	for i := range container.VolumeMounts {
		at := container.VolumeMounts[i].MountPath
		if at == r.mountPath {
			return true, nil
		}
		if r.strict {
			if err := b.spend(len(at)); err != nil {
				return false, err
			}
			if path.Clean(at) == r.mountPath {
				return true, nil
			}
		}
	}
	return false, nil
}

// decideVolume returns the edit for the volume to mount: the one that is there,
// or a new one.
func (r *rules) decideVolume(b *budget, volumes []corev1.Volume, token string) (Edit, error) {
	e := Edit{Field: fieldVolumes, detail: token, rules: r}
	v, lookAlike, err := r.existingVolume(b, volumes, token)
	if err != nil {
		return e, err
	}
	if v != nil {
		e.name, e.Keep, e.why = v.Name, true, volumeIsThere
		return e, nil
	}
	if lookAlike != nil {
		e.detail, e.but = lookAlike.Name, r.mismatch(lookAlike)
	}
	if e.why = volumeProjects; r.tokenVolume == SecretBacked {
		e.why = volumeHasSecret
	}
	e.name, err = r.newVolumeName(b, volumes, token)
	return e, err
}

func decidePullSecrets(edits []Edit, spec *corev1.PodSpec, account *corev1.ServiceAccount) []Edit {
	e := Edit{Field: fieldPullSecrets, account: account}
	switch {
	case len(spec.ImagePullSecrets) > 0:
		e.Keep, e.why = true, podHasPullSecrets
	case len(account.ImagePullSecrets) == 0:
		e.Keep, e.why = true, accountHasNoPullSecrets
	default:
		e.why = podHasNoPullSecrets
	}
	return append(edits, e)
}
