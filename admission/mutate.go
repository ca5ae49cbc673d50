package admission

import (
	"errors"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Mutate does to req.Pod what [Plugin.Admit] does once it has looked everything up,
// but for the checks, which are those of [Check]. account is the account that
// [AccountName] names. token is the name of the token Secret to mount, for
// SecretBacked only: the first of account's Secrets that [IsTokenOf] accepts, or
// empty. The getters of cfg are not used.
//
// It does no I/O, reads account without keeping any of it, and leaves mirror pods and
// everything but the creation of a pod alone. It returns a refusal, and leaves the
// pod as it was, if a token is needed and there is none; and an error if account
// is nil.
func Mutate(cfg Config, req Request, account *corev1.ServiceAccount, token string) error {
	if req.Pod == nil || !req.creates() || isMirror(req.Pod) {
		return nil
	}
	if account == nil {
		return errNilAccount
	}
	r := cfg.rules()
	c, err := r.decide(req.Pod, account, token)
	if err != nil {
		return err
	}
	c.name = r.accountName(&req.Pod.Spec)
	verdict{c, account}.apply(&r, req.Pod)
	return nil
}

var errNilAccount = errors.New("admission: got a nil account, want the account of the pod")

// AccountName returns the name of the account that a pod with spec runs as: the one it
// gives, in either of the two fields, or else cfg's default.
func AccountName(cfg Config, spec *corev1.PodSpec) string {
	r := cfg.rules()
	return r.accountName(spec)
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

// changes are what is to be added to a pod.
type changes struct {
	name       string // of the account
	containers int    // that get a mount
	mounts     int    // of those containers, with the new ones
	volume     string // to mount
	addVolume  bool   // if it is not there yet
	token      string // Secret of the volume to add, for SecretBacked
}

// decide says what the pod needs to have the token of account. It changes nothing
// and does not set the account's name.
func (r *rules) decide(pod *corev1.Pod, account *corev1.ServiceAccount, token string) (changes, error) {
	var c changes
	if !r.wantsMount(&pod.Spec, account) {
		return c, nil
	}
	if r.tokenVolume == SecretBacked {
		switch {
		case token != "":
			c.token = token
		case r.tokenOptional:
			return c, nil
		default:
			return c, refuseNoToken(account)
		}
	}
	optOut := r.optedOut(pod)
	for _, list := range [...][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if r.needsMount(&list[i], optOut) {
				c.containers++
				c.mounts += len(list[i].VolumeMounts) + 1
			}
		}
	}
	if c.containers == 0 {
		return c, nil
	}
	if c.volume = r.existingVolume(pod.Spec.Volumes, token); c.volume == "" {
		c.volume, c.addVolume = r.newVolumeName(pod.Spec.Volumes, token), true
	}
	return c, nil
}

// wantsMount reports whether the pod gets a token: it says so, or its account
// does, or both are silent.
func (r *rules) wantsMount(spec *corev1.PodSpec, account *corev1.ServiceAccount) bool {
	switch {
	case r.disableMount:
		return false
	case spec.AutomountServiceAccountToken != nil:
		return *spec.AutomountServiceAccountToken
	case account.AutomountServiceAccountToken != nil:
		return *account.AutomountServiceAccountToken
	}
	return true
}

// optedOut returns the list of containers that get no mount.
func (r *rules) optedOut(pod *corev1.Pod) string {
	if r.optOut == "" {
		return ""
	}
	return pod.Annotations[r.optOut]
}

// needsMount reports whether container has nothing mounted at the token's path and is
// not in optOut.
func (r *rules) needsMount(container *corev1.Container, optOut string) bool {
	for i := range container.VolumeMounts {
		at := container.VolumeMounts[i].MountPath
		if at == r.mountPath || r.strict && path.Clean(at) == r.mountPath {
			return false
		}
	}
	if optOut != "" {
		for name := range strings.SplitSeq(optOut, ",") {
			if strings.TrimSpace(name) == container.Name {
				return false
			}
		}
	}
	return true
}

// apply makes the changes to pod. The mounts of all containers share one array, cut
// so that appending to one of them does not write into the next.
func (v verdict) apply(r *rules, pod *corev1.Pod) {
	spec := &pod.Spec
	spec.ServiceAccountName, spec.DeprecatedServiceAccount = v.name, v.name
	if v.containers > 0 {
		mount := r.mount(v.volume)
		optOut := r.optedOut(pod)
		array := make([]corev1.VolumeMount, 0, v.mounts)
		for _, list := range [...][]corev1.Container{spec.InitContainers, spec.Containers} {
			for i := range list {
				if !r.needsMount(&list[i], optOut) {
					continue
				}
				start := len(array)
				array = append(array, list[i].VolumeMounts...)
				array = append(array, mount)
				list[i].VolumeMounts = array[start:len(array):len(array)]
			}
		}
	}
	if v.addVolume {
		volumes := make([]corev1.Volume, len(spec.Volumes)+1)
		copy(volumes, spec.Volumes)
		volumes[len(spec.Volumes)] = r.volume(v.volume, v.token)
		spec.Volumes = volumes
	}
	if len(spec.ImagePullSecrets) == 0 {
		spec.ImagePullSecrets = append([]corev1.LocalObjectReference{}, v.account.ImagePullSecrets...)
	}
}
